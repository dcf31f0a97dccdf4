"""From blocks and pages to the formats of files: Markdown, text, HTML, hOCR, ALTO, CSV and the text layer of a PDF."""
