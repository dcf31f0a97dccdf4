"""Decisions of the product as pure functions and values: no clock, no I/O, no Ray."""
