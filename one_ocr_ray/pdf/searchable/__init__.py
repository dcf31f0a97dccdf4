"""Writes a copy of a PDF with an invisible text layer, in a child process."""
