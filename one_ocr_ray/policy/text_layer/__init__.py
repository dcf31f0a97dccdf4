"""Turns the text layer of a page into lines, and into the features that decide about its trust.

The steps, one module each: layer (what the child process packs), seen (what of it a reader of the page sees), lines
(from characters to lines of text), features (the numbers the gates of `policy/route.py` look at), spot_check (which
lines to read from the picture, and what that says of their fonts). Pure functions on frozen values.
"""
