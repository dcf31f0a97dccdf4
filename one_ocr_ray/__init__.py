"""One OCR on Ray: PDF pages to Markdown in Parquet. Holds the version and imports nothing."""

__version__ = "0.1.0"
