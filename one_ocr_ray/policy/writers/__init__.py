"""Writes pages as Markdown, text, HTML, hOCR, ALTO, CSV and PDF text layers."""
