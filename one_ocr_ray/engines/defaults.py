"""What an engine is when nothing else is said: its model, its address. Constants alone, for whoever loads no engine."""

DEFAULT_MODELS = {
    "local": "rapidocr-pp-ocrv6-small",
    "openai": "gpt-5.6-luna",
    "gemini": "gemini-3.8-flash",
}
DEFAULT_BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "gemini": "https://generativelanguage.googleapis.com",
}
