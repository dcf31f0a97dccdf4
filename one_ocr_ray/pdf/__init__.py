"""Documents, PDFs through pdfium and pictures through Pillow, in a child process that may be killed."""
