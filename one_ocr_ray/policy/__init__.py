"""Decisions of the product as pure functions and values: no clock, no input or output, no Ray."""
