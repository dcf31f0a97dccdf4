"""Profiles of OCR models: facts of each family, and pure readers of its answers."""
