"""PDF files through pdfium, which runs in a child process that may be killed."""
