"""Writes pages as Markdown, text, HTML, hOCR, ALTO, CSV and the text layer of a PDF."""
