"""Reads a page's pixels: decodes, finds and reads lines, and turns the page upright.

Importing this module costs about a second (OpenCV, RapidOCR); only `engine.py` does, and only when a page comes.
"""

from __future__ import annotations

import gc
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from one_ocr_ray.engines.ocr.heap import give_back, keep_freed_memory, resident_bytes
from one_ocr_ray.engines.ocr.ink import page_tones
from one_ocr_ray.engines.ocr.languages import LineModels
from one_ocr_ray.engines.ocr.line_finder import Finder, FoundLines, LineBox
from one_ocr_ray.engines.ocr.line_reader import LineReader
from one_ocr_ray.engines.ocr.models import LINE_HEIGHT_PX, Detector, release_memory, usual_width_px
from one_ocr_ray.engines.ocr.regions import RegionFinder
from one_ocr_ray.engines.ocr.rulings import page_rulings
from one_ocr_ray.policy.layout import rotation
from one_ocr_ray.policy.layout.geometry import TextLine
from one_ocr_ray.policy.layout.kinds.boldness import Strokes
from one_ocr_ray.policy.layout.words import place_words
from one_ocr_ray.policy.page import looks
from one_ocr_ray.policy.page.legibility import FEW_CHARACTERS, LineRead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from one_ocr_ray.policy.layout.content import Region, Ruling

    Pixels = NDArray[Any]  # height x width x 3 bytes, BGR

SAMPLE_LINES = 6  # the longest lines decide which way up a page is
SAMPLE_CHARACTERS = 5
LEAST_STROKE_PX = 8  # of the height of a line: more than a dot

MOST_KEPT_BYTES = 1_300_000_000  # ordinary pages of many kinds, one after the other, leave up to 1.2 GB


@dataclass(frozen=True, slots=True)
class _LineText:
    """What a line says. `centres` are the middles of its characters but spaces, as fractions of its length."""

    text: str
    score: float
    centres: tuple[float, ...]
    stroke_px: float  # the mean width of its strokes at the height that lines are read in
    inked: float  # the share of its columns that have ink
    unread: float  # the share of those that are far from every character

    @property
    def scored(self) -> rotation.Scored:
        return self.score, len(self.centres)


@dataclass(frozen=True, slots=True)
class ReadLine:
    """One line of a page as it was read."""

    box: LineBox
    reading: _LineText

    @property
    def scored(self) -> rotation.Scored:
        """Its score 0-1 and how many characters it has."""
        return self.reading.scored

    @property
    def read(self) -> LineRead:
        """How well it was read."""
        height, length = sorted(self.box.size)
        reading = self.reading
        box = self.box
        return LineRead(length, height, reading.score, reading.inked, reading.unread, box.guessed, box.page_side_px)

    @property
    def strokes(self) -> Strokes:
        """What its ink is like, on the page as it came."""
        height = min(self.box.size)
        return Strokes(self.reading.stroke_px * height / LINE_HEIGHT_PX, height, len(self.reading.centres))

    def placed(self, *, bold: bool | None = None) -> TextLine:
        """Its text and place for the page layout."""
        short, long = sorted(self.box.size)
        words = place_words(self.reading.text, self.reading.centres, short / long)
        return TextLine(self.box.corners, words, confidence=self.reading.score, bold=bold)


@dataclass(frozen=True, slots=True)
class PageReading:
    """A page as it was read. Its size, lines, regions and drawn lines are those of the upright page.

    `turn_deg`: the clockwise turn that makes it upright. `is_laid`: it is written downwards; size and places are those
    of the page laid on its left side.
    """

    turn_deg: int
    width_px: int
    height_px: int
    lines: list[ReadLine]
    regions: tuple[Region, ...]
    rulings: tuple[Ruling, ...]
    other_ink: frozenset[looks.BlotKind]
    is_laid: bool = False


class RapidReader:
    """RapidOCR with its models, which it loads with the first page. Not for use by several threads at once."""

    def __init__(self, most_kept_bytes: int = MOST_KEPT_BYTES, models: LineModels | None = None) -> None:
        """`most_kept_bytes`: a process that has more after a page gives memory back to the system."""
        self._most_kept_bytes = most_kept_bytes
        self._models = models or LineModels()
        self._largest_px = 0.0  # of the passes whose memory the detector keeps
        cv2.setNumThreads(1)
        keep_freed_memory()
        self._load()

    def _load(self) -> None:
        self._detector = Detector()
        self._finder = Finder(self._detector)
        self.lines = LineReader(self._models)
        self._regions = RegionFinder()

    def read(self, jpeg: bytes) -> PageReading:
        """Read a page whichever way up it is. Raises what OpenCV, OpenVINO and RapidOCR raise."""
        try:
            return self._read(jpeg)
        finally:
            if resident_bytes() > self._most_kept_bytes:
                # A rare page: give back the memory of the passes, and where that is little the models.
                self._release()
                if resident_bytes() > self._most_kept_bytes:
                    del self._finder, self._detector, self.lines, self._regions
                    gc.collect()
                    self._load()
                    give_back()

    def read_crop(self, crop: Pixels, letters: str) -> tuple[str, float]:
        """What stands on one line whose pixels these are, and how sure that is, 0-1. It may say `letters`."""
        line = _scaled(crop)
        is_long = looks.pieces(line.shape[1]) > 1
        read = self._recognise_one(crop) if is_long else self.lines.check(line, letters)
        return read.text, read.score

    def read_boxes(self, boxes: Sequence[LineBox]) -> list[ReadLine]:
        """The lines in `boxes` of an upright page, read by the large recogniser alone."""
        self.lines.begin_page(large_alone=True)
        return _lines(boxes, self._recognise([box.pixels for box in boxes]))

    def lines_on(self, page: Pixels, part: tuple[slice, slice]) -> list[LineBox]:
        """The lines that the detector sees at first in those rows and columns of the page."""
        return self._finder.first_look(page, part)

    def _release(self) -> None:
        release_memory(self._detector.request, *self.lines.requests, self._regions.model)
        give_back()
        self._largest_px = 0.0

    def _read(self, jpeg: bytes) -> PageReading:
        page = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if page is None:
            raise ValueError("not an image")
        # Give back what the pages before left, if a larger one comes. Its pass takes up to 0.8 GB more.
        height, width = page.shape[:2]
        pass_px = width * height * looks.pass_scale(width, height) ** 2
        if pass_px > self._largest_px and resident_bytes() > self._most_kept_bytes / 2:
            self._release()
        self._largest_px = max(self._largest_px, pass_px)
        self.lines.begin_page()
        found = self._finder.find(page)
        if not rotation.runs_sideways(box.size for box in found.boxes) or self._has_tall_pictures(found.boxes):
            return self._read_level(page, found)
        laid = _turned(page, 1)
        sideways = self._read_level(laid, self._finder.find(laid))
        if rotation.mean_score([line.scored for line in sideways.lines]) < rotation.LEGIBLE:
            return self._read_level(page, found)
        if sideways.turn_deg == 0 and self._is_vertical_writing(sideways.lines):
            return replace(sideways, regions=(), is_laid=True)  # the layout model knows no such pages
        return replace(sideways, turn_deg=(sideways.turn_deg + 270) % 360)

    def _has_tall_pictures(self, boxes: Sequence[LineBox]) -> bool:
        """True if the longest level boxes are text, and the longest tall ones are text neither way up."""
        by_length = sorted(boxes, key=lambda box: -max(box.size))
        level = [box.pixels for box in by_length if not rotation.is_tall(box.size)][:SAMPLE_LINES]
        tall = [box.pixels for box in by_length if rotation.is_tall(box.size)][:SAMPLE_LINES]
        return self._are_text(level) and not self._are_text(tall)

    def _are_text(self, crops: list[Pixels]) -> bool:
        return any(
            rotation.is_text([reading.scored for reading in self._recognise(each)])
            for each in (crops, [_turned(crop, 2) for crop in crops])
        )

    def _read_level(self, page: Pixels, found: FoundLines) -> PageReading:
        """Read a page that is upright or upside down. Only where the longest lines read badly are they turned."""
        by_length = sorted(found.boxes, key=lambda box: (rotation.is_tall(box.size), -max(box.size)))
        sample, others = by_length[:SAMPLE_LINES], by_length[SAMPLE_LINES:]
        readings = self._recognise([box.pixels for box in sample])
        scored = [reading.scored for reading in readings]
        if rotation.mean_score(scored) < rotation.SURE:
            turned = self._recognise([_turned(box.pixels, 2) for box in sample])
            if rotation.is_better_turned(scored, [reading.scored for reading in turned]):
                page = _turned(page, 2)
                boxes = self._finder.find(page).boxes
                return self._page(180, page, _lines(boxes, self._recognise([box.pixels for box in boxes])), found)
        readings += self._recognise([box.pixels for box in others])
        return self._page(0, page, _lines(by_length, readings), found)

    def _page(self, turn_deg: int, page: Pixels, lines: list[ReadLine], found: FoundLines) -> PageReading:
        """`page`: as it is after that turn."""
        height_px, width_px = page.shape[:2]
        regions, rulings = self._regions.find(page), page_rulings(page)
        other_ink = found.other_ink
        if sum(len(line.reading.centres) for line in lines) < FEW_CHARACTERS and page_tones(page).is_smear:
            other_ink |= {looks.BlotKind.SMEAR}
        return PageReading(turn_deg, width_px, height_px, lines, regions, rulings, other_ink)

    def _is_vertical_writing(self, lines: Sequence[ReadLine]) -> bool:
        longest = max(lines, key=lambda line: len(line.reading.text))
        height, width = longest.box.pixels.shape[:2]
        middles = [centre * width for centre in longest.reading.centres[:SAMPLE_CHARACTERS]]
        cells = [longest.box.pixels[:, max(0, round(x - height / 2)) : round(x + height / 2)] for x in middles]
        characters = self._recognise([_turned(cell, 3) for cell in cells])
        return rotation.is_vertical_writing(longest.reading.text, [character.text for character in characters])

    def _recognise(self, crops: Sequence[Pixels]) -> list[_LineText]:
        return [self._recognise_one(crop) for crop in crops]

    def _recognise_one(self, crop: Pixels) -> _LineText:
        """Read a line too long for the model in pieces, cut where ink is least."""
        line = _scaled(crop)
        width = line.shape[1]
        cuts = _cuts(line, looks.pieces(width))
        if len(cuts) == 2:
            found = self.lines.read(line)
            return _reading(line, found.text, found.score, found.centres)
        read = [self.lines.read(_scaled(line[:, left:right])) for left, right in pairwise(cuts)]
        centres = [
            (left + centre * (right - left)) / width
            for (left, right), piece in zip(pairwise(cuts), read, strict=True)
            for centre in piece.centres
        ]
        score = rotation.mean_score([(piece.score, len(piece.centres)) for piece in read])
        return _reading(line, " ".join(piece.text for piece in read), score, centres)


def _cuts(line: Pixels, pieces: int) -> list[int]:
    """Where a line is cut into about equal pieces: at nearby columns with least ink."""
    width = line.shape[1]
    contrast = np.ptp(cv2.cvtColor(line, cv2.COLOR_BGR2GRAY), axis=0) if pieces > 1 else ()
    cuts = [0]
    for index in range(1, pieces):
        start = round(index * width / pieces) - LINE_HEIGHT_PX
        cuts.append(start + int(np.argmin(contrast[start : start + 2 * LINE_HEIGHT_PX])))
    return [*cuts, width]


def _reading(line: Pixels, text: str, score: float, centres: Sequence[float]) -> _LineText:
    """What was read in a line, and how much of its ink says something. Columns with less than a dot has are no ink."""
    gray = cv2.cvtColor(line, cv2.COLOR_BGR2GRAY)
    up_to = np.bincount(gray.ravel(), minlength=256).cumsum()  # how many pixels are of a level or darker
    darkest, *middle, lightest = np.searchsorted(up_to, (0, gray.size // 2 - 1, gray.size // 2, gray.size - 1), "right")
    is_ink = np.abs(np.arange(256) - sum(middle) // 2) > (lightest - darkest) / 3
    strokes: Pixels = cv2.LUT(gray, is_ink.astype(np.uint8))
    inked = np.flatnonzero(cv2.reduce(strokes, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0] >= LEAST_STROKE_PX)
    places = np.array([-math.inf, *(centre * line.shape[1] for centre in centres), math.inf])
    after = np.searchsorted(places, inked)
    distance = np.minimum(places[after] - inked, inked - places[after - 1])
    unread = float(np.mean(distance > LINE_HEIGHT_PX)) if len(inked) else 0.0
    # The mean length of the runs of ink along a line, but for those of rules and bars; 0 without ink.
    rows = cv2.copyMakeBorder(strokes, 0, 0, 1, 1, cv2.BORDER_CONSTANT, value=0).ravel()
    changes = np.flatnonzero(rows[1:] != rows[:-1])
    runs = changes[1::2] - changes[::2]
    runs = runs[runs < LINE_HEIGHT_PX / 2]
    return _LineText(
        text, score, tuple(centres), float(np.mean(runs)) if len(runs) else 0.0, len(inked) / line.shape[1], unread
    )


def _scaled(crop: Pixels) -> Pixels:
    height, width = crop.shape[:2]
    return cv2.resize(crop, (usual_width_px(width * LINE_HEIGHT_PX / height), LINE_HEIGHT_PX))


def _turned(pixels: Pixels, quarters: int) -> Pixels:
    """Turned to the left by a number of quarters."""
    return np.ascontiguousarray(np.rot90(pixels, quarters))


def _lines(boxes: Sequence[LineBox], readings: Sequence[_LineText]) -> list[ReadLine]:
    return [ReadLine(box, reading) for box, reading in zip(boxes, readings, strict=True)]
