"""The web pages: templates, texts, static files, and what they show."""
