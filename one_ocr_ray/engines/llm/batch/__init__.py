"""Batches of the LLM providers: pure codecs, and the client that sends and streams."""
