"""Engines that read a page image: one interface, the embedded OCR engine (`ocr`), models behind HTTP APIs (`llm`)."""
