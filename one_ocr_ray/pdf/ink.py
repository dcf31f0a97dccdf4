"""Counts the ink in a page's image: what stands out more than the paper's noise.

A part of the child program: imports Pillow only.
"""

from __future__ import annotations

from PIL import Image, ImageChops

CELL_PT = 2.0  # a small letter covers three cells in a row or a square of four, at any position
CELLS_ACROSS = 400  # at least; a stamp-sized page may have tiny letters
BLOCK_CELLS = 16  # the surroundings of a cell: larger than a line of text, smaller than a scan's shadow
PLENTY_OF_INK_CELLS = 100  # some words
STRONG_LEVELS = 20  # of 255: above any noise
NOISE_LEVELS = 5  # of 255: less is no ink even on the cleanest paper; 12 pt print of 15 levels reaches it
NOISES = 12  # times the mean of the quiet blocks
MAX_NOISE_LEVELS = 10  # more is ink on any paper: a page full of print has no quiet block
QUIET_SHARE = 0.1  # of the blocks: margins, and the space between paragraphs
GAIN = 16  # keeps sixteenths of a level where Pillow counts in whole ones

GRID_PX = 4  # of the grid of ink: small letters stand in five cells
GRID_LEVELS = 4  # of 255: mean of the edges in a cell; the lightest gray that people read on white is twice that

_AMPLIFY = [min(255, GAIN * level) for level in range(256)]


def ink_cells(image: Image.Image, longest_side_pt: float) -> int:
    """The number of ink cells in a band of the page if it has plenty. Else the number in all of it.

    The band takes 0.2 ms of the 11 ms that rendering takes, the whole page 4 ms more.
    """
    longest_px = max(image.size)
    cell_px = max(1, round(min(CELL_PT * longest_px / longest_side_pt, longest_px / CELLS_ACROSS)))
    top = image.height // 4
    band = image.crop((0, top, image.width, top + max(1, image.height // 8))).convert("L").reduce(cell_px)
    # Cells that are ink on any paper, by their gray alone.
    in_band = sum(ImageChops.difference(band, _around(band, _blocks(band))).histogram()[STRONG_LEVELS:])
    if in_band >= PLENTY_OF_INK_CELLS:
        return in_band
    # Cells that stand out in groups, three in a row or a strong square of four; dust and noise do not. Each colour
    # channel counts alone: yellow on white is as light as paper, but has no blue.
    cells = image.reduce(cell_px).convert("RGB")
    blocks = _blocks(cells)
    red, green, blue = ImageChops.difference(cells, _around(cells, blocks)).split()
    difference = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    least = min(max(NOISE_LEVELS, NOISES * _noise_levels(difference, blocks)), MAX_NOISE_LEVELS)
    ink = difference.point([255 * (level >= least) for level in range(256)])
    strong = difference.point([255 * (level >= STRONG_LEVELS) for level in range(256)])
    rows = ImageChops.lighter(_middles(ink, 1, 0), _middles(ink, 0, 1))
    # The cells with strong ink to the left, above, and diagonally between them.
    pairs = ImageChops.darker(strong, ImageChops.offset(strong, 1, 0))
    squares = ImageChops.darker(pairs, ImageChops.offset(pairs, 0, 1))
    return ImageChops.lighter(rows, squares).histogram()[255]


def ink_grid(image: Image.Image) -> tuple[int, bytes]:
    """The cells of 4 px with edges: their number in a row, and rows of bits."""
    gray = image.convert("L").reduce(GRID_PX // 2)
    beside, below = (ImageChops.difference(gray, ImageChops.offset(gray, *step)) for step in ((-1, 0), (0, -1)))
    edges = ImageChops.lighter(beside, below)
    edges.paste(0, (edges.width - 1, 0, edges.width, edges.height))  # `offset` goes round
    edges.paste(0, (0, edges.height - 1, edges.width, edges.height))
    cells = edges.reduce(2).point([255 * (level >= GRID_LEVELS) for level in range(256)])
    return cells.width, cells.convert("1", dither=Image.Dither.NONE).tobytes()


def _blocks(cells: Image.Image) -> tuple[int, int]:
    return max(1, cells.width // BLOCK_CELLS), max(1, cells.height // BLOCK_CELLS)


def _around(cells: Image.Image, blocks: tuple[int, int]) -> Image.Image:
    """The surroundings of each cell, so that the shadow of a scan is no ink."""
    return cells.resize(blocks, Image.Resampling.BOX).resize(cells.size, Image.Resampling.BILINEAR)


def _noise_levels(difference: Image.Image, blocks: tuple[int, int]) -> float:
    """The mean difference of the cells in quiet blocks from their surroundings."""
    means = difference.point(_AMPLIFY).resize(blocks, Image.Resampling.BOX).histogram()
    seen = 0
    for level, count in enumerate(means):
        seen += count
        if seen >= QUIET_SHARE * sum(means):
            return level / GAIN
    return len(means) / GAIN


def _middles(ink: Image.Image, right: int, down: int) -> Image.Image:
    """The cells with ink on both sides, in one direction."""
    sides = ImageChops.darker(ImageChops.offset(ink, right, down), ImageChops.offset(ink, -right, -down))
    return ImageChops.darker(ink, sides)
