"""Profiles of OCR models: what is known of each family, and pure readers of the forms that they answer in."""
