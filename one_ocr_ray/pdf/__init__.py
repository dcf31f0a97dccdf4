"""Documents in a child process that may be killed: PDFs through pdfium, pictures through Pillow."""
