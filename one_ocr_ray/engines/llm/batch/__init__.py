"""Batches of the LLM providers: pure codecs of lines, files and batches, and the client that sends and streams."""
