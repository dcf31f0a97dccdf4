"""Each engine's default model and address. Constants only, for code that loads no engine."""

DEFAULT_MODELS = {
    "local": "rapidocr-pp-ocrv6-small",
    "text-layer": "pdfium",
    "openai": "gpt-5.6-luna",
    "gemini": "gemini-3.8-flash",
}
DEFAULT_BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "gemini": "https://generativelanguage.googleapis.com",
}
