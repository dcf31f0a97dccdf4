"""Every setting, declared once: of a run, an engine, its own model servers, the service."""
