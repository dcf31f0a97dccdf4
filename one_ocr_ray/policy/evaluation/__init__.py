"""How well pages were read, against a truth: measures of text, order, tables and headings, and their sums."""
