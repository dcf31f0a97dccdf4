"""LLM engines: one engine that sends, and a pure codec for each provider. Nothing here retries or waits for limits."""
