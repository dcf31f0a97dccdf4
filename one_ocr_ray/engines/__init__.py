"""Engines that read a page image, behind one interface: the embedded OCR (`ocr`) and models over HTTP (`llm`)."""
