"""Whether a page is blank: decided by its image alone, and then no engine is asked."""

from __future__ import annotations

# Measured at 1600 px: empty pages and scans of empty pages with noise and shadows give 0 cells, a lone 8 pt "1" at the
# foot of an A4 page 3. The doubt goes to the page: text taken for nothing is lost, a needless request is not.
MAX_BLANK_CELLS = 2


def is_blank(ink_cells: int) -> bool:
    """Whether an image with `ink_cells` cells of ink (see `PageImage`) shows nothing."""
    return ink_cells <= MAX_BLANK_CELLS
