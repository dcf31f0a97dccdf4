"""From drawn lines, and from how text stands, to the tables of a page and their cells."""
