"""Finds ink on a page image that no line covers, and measures its tones. policy/page/looks.py decides what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from one_ocr_ray.policy.page.looks import LONG_CELLS, THIN_CELLS, Blot, Tones

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Pixels = NDArray[Any]

CELL_PX = 4
SIDE_PX = 1600  # larger pages are scaled to this size
LEAST_CONTRAST = 12  # of 255 within a cell
OVER_THE_USUAL = 2.5  # times the 25th percentile of the cells' contrast, which is noise and paper
END_OF_RULE_CELLS = 20
MOST_BLOTS = 300
_CELL = np.ones((CELL_PX + 1, CELL_PX + 1), np.uint8)
_LETTER_GAPS = np.ones((3, 7), np.uint8)
_RULE = np.ones((1, LONG_CELLS), np.uint8)
_ACROSS = np.ones((THIN_CELLS + 1, 1), np.uint8)
_AROUND = np.ones((3, 3), np.uint8)
AROUND_A_LINE = 0.4  # of its height around it, for accents and descenders

# For tones
EDGE_SHARE = 0.03  # of a page, on each side: what a scanner sees beside the paper
NEAR_LEVELS = 8
STEP_PX = 4  # over which an edge is looked for
DARKER_LEVELS = 5  # than the surroundings
PART_PX = 320  # a part of a page with some lines of print
LEAST_LEVELS = 1.5  # of contrast in a part with print
LINE_STEPS_PX = range(12, 96)  # from line to line


def shrunk_gray(page: Pixels) -> tuple[Pixels, float]:
    """A page (BGR) in gray, at most `SIDE_PX` long, and how much smaller it is."""
    height, width = page.shape[:2]
    shrunk = max(1.0, max(height, width) / SIDE_PX)
    if shrunk > 1:
        size = max(1, round(width / shrunk)), max(1, round(height / shrunk))
        page = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(page, cv2.COLOR_BGR2GRAY), shrunk


class PageInk:
    """The cells of a page with ink: those that have edges, in any colours."""

    def __init__(self, page: Pixels) -> None:
        gray, shrunk = shrunk_gray(page)
        start = min(CELL_PX // 2, min(gray.shape) - 1)
        cells = slice(start, None, CELL_PX)
        contrast = (cv2.dilate(gray, _CELL) - cv2.erode(gray, _CELL))[cells, cells]
        usual = float(np.percentile(contrast, 25))
        self.cell_px = CELL_PX * shrunk
        self._ink = (contrast >= max(LEAST_CONTRAST, OVER_THE_USUAL * usual)).astype(np.uint8)

    def blots(self, lines: Iterable[Pixels] = ()) -> list[Blot]:
        """The ink outside `lines` (each by its corners in px). If there are very many blots, only the largest."""
        covered = np.zeros_like(self._ink)
        for corners in lines:
            # A box enlarged on all sides by `AROUND_A_LINE`.
            height = min(np.linalg.norm(corners[0] - corners[3]), np.linalg.norm(corners[0] - corners[1]))
            outwards = corners - corners.mean(axis=0)
            lengths = np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1)
            grown: Pixels = corners + outwards / lengths * max(height, 1) * AROUND_A_LINE
            cv2.fillPoly(covered, [np.round(grown / self.cell_px - 0.5).astype(np.int32)], 1)
        letters: Pixels = self._ink  # without frames and table rules, which would join everything they touch
        for along, across in ((_RULE, _ACROSS), (_RULE.T, _ACROSS.T)):
            thin = 1 - cv2.morphologyEx(letters, cv2.MORPH_OPEN, across)
            letters = cv2.subtract(letters, cv2.min(cv2.morphologyEx(letters, cv2.MORPH_OPEN, along), thin))
        free = letters & (1 - cv2.dilate(covered, _AROUND))
        if not free.any():
            return []
        _, labels, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(free, _LETTER_GAPS), connectivity=8)
        counts = np.bincount(labels[free > 0], minlength=len(boxes))
        at_rules = np.unique(labels[(free & cv2.dilate(self._ink - letters, _AROUND)) > 0])
        counts[at_rules[counts[at_rules] < END_OF_RULE_CELLS]] = 0  # where rules cross or end
        return [
            _blot(labels, free, number, boxes[number], int(counts[number]))
            for number in np.argsort(-counts)[:MOST_BLOTS].tolist()
            if number and counts[number] > 1
        ]


def _blot(labels: Pixels, free: Pixels, number: int, box: Pixels, cells: int) -> Blot:
    left, top, width, height = box[:4].tolist()
    part = np.s_[top : top + height, left : left + width]
    own = (labels[part] == number) & (free[part] > 0)
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    return Blot(
        left + int(columns[0]),
        top + int(rows[0]),
        int(columns[-1] - columns[0]) + 1,
        int(rows[-1] - rows[0]) + 1,
        cells,
    )


def page_tones(page: Pixels) -> Tones:
    """The tones of a page (BGR), without its edges."""
    gray, _ = shrunk_gray(page)
    edge = round(EDGE_SHARE * max(gray.shape))
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 2)[edge:-edge, edge:-edge]
    if min(smooth.shape) <= STEP_PX:
        return Tones(0, 0, 0, 0, 0, 0)
    counts = np.bincount(smooth.astype(np.uint8).ravel(), minlength=256)
    near = np.convolve(counts, np.ones(2 * NEAR_LEVELS + 1), "same")
    paper = int(near.argmax())
    depth = max(1.0, paper - float(np.percentile(smooth, 0.5)))
    steps = (np.abs(smooth[STEP_PX:] - smooth[:-STEP_PX]), np.abs(smooth[:, STEP_PX:] - smooth[:, :-STEP_PX]))
    steepest = max(float(np.percentile(each, 99.8)) for each in steps) / STEP_PX
    darker = cv2.GaussianBlur(smooth, (0, 0), 30) - cv2.GaussianBlur(smooth, (0, 0), 3) > DARKER_LEVELS
    return Tones(
        paper, float(near[paper] / counts.sum()), depth, steepest / depth, float(darker.mean()), _lined_share(gray)
    )


def _lined_share(gray: Pixels) -> float:
    """The share of a page's parts whose rows are dark and light in turn."""
    level = gray.astype(np.float32)
    level -= cv2.boxFilter(level, -1, (1, 121), borderType=cv2.BORDER_REFLECT)
    height, width = level.shape
    parts = [
        level[top : top + PART_PX, left : left + PART_PX]
        for top in range(0, height - PART_PX + 1, PART_PX // 2)
        for left in range(0, width - PART_PX + 1, PART_PX // 2)
    ]
    inked = [part for part in parts if part.std() >= LEAST_LEVELS]
    return sum(_is_lined(part) for part in inked) / max(1, len(inked))


def _is_lined(part: Pixels) -> bool:
    rows = part.mean(axis=1)
    rows -= rows.mean()
    if rows.std() < 0.3 * part.std():
        return False
    alike = [
        float(rows[:-step] @ rows[step:] / np.sqrt((rows[:-step] @ rows[:-step]) * (rows[step:] @ rows[step:]) + 1e-9))
        for step in range(1, LINE_STEPS_PX.stop)
    ]
    best = max(LINE_STEPS_PX, key=lambda step: alike[step - 1])
    return alike[best - 1] >= 0.5 and min(alike[: best - 1]) < 0
