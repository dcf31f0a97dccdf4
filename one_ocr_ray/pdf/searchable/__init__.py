"""Writing a copy of a PDF with an invisible text layer, in a child process that may die."""
