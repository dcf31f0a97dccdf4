"""How well pages were read, against a truth. Measures text, order, tables and headings, and sums them up."""
