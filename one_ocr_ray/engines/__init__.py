"""Engines that read a page image, behind one interface: embedded (`ocr`) or over HTTP (`llm`)."""
