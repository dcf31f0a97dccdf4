"""What touches pixels in the embedded OCR: decoding, finding lines, reading them, turning the page the right way up.

Importing this module costs about a second (OpenCV, RapidOCR); only `engines/local.py` does, and only when a page comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import openvino
from rapidocr import EngineType, RapidOCR
from rapidocr.main import RapidOCRError

from one_ocr_ray.engines.heap import keep_freed_memory
from one_ocr_ray.engines.precision import cpuinfo, slow_in_bfloat16
from one_ocr_ray.policy.layout import rotation
from one_ocr_ray.policy.layout.geometry import TextLine
from one_ocr_ray.policy.layout.words import place_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from one_ocr_ray.policy.layout.geometry import Point

    Pixels = NDArray[Any]  # height x width x 3 bytes, BGR

SAMPLE_LINES = 6  # the longest lines decide which way up a page is
SAMPLE_CHARACTERS = 5
LINE_HEIGHT_PX = 48  # to which the models' authors scale a line

_OPENVINO = "EngineConfig.openvino."

# Measured on English and Chinese pages: characters right, CPU seconds per page low, one core per process.
SETTINGS = {
    "Global.log_level": "critical",
    "Global.use_cls": False,  # the classifier of upside-down lines turns good lines over
    "Global.return_word_box": True,  # gives the places of characters
    "Det.engine_type": EngineType.OPENVINO,
    "Det.mean": 0.5,  # of all colours, as one number: an array of three takes five times as long
    "Det.std": 0.5,
    "Rec.engine_type": EngineType.OPENVINO,
    "Rec.rec_batch_num": 1,  # a batch pads short lines to its longest one
    "Rec.rec_img_shape": [3, LINE_HEIGHT_PX, LINE_HEIGHT_PX],  # no padding of short lines either
    f"{_OPENVINO}inference_num_threads": 1,
    f"{_OPENVINO}enable_cpu_pinning": False,  # pinned processes all share the first core
}


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a line is, and its pixels laid level: RapidOCR turns the crops of tall boxes to the left."""

    corners: tuple[Point, Point, Point, Point]  # clockwise from the top left, px
    pixels: Pixels

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in px, at least 1."""
        line = TextLine(self.corners, ())
        return max(line.width, 1.0), max(line.height, 1.0)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a line says. `centres` are the middles of its characters but spaces, as fractions of its length."""

    text: str
    score: float
    centres: tuple[float, ...]

    @property
    def scored(self) -> rotation.Scored:
        return self.score, len(self.centres)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page as it was read."""

    box: _Box
    reading: _Reading

    @property
    def scored(self) -> rotation.Scored:
        """Its score 0-1 and how many characters it has."""
        return self.reading.scored

    @property
    def placed(self) -> TextLine:
        """Its text and place for the page layout."""
        short, long = sorted(self.box.size)
        return TextLine(self.box.corners, place_words(self.reading.text, self.reading.centres, short / long))


class PageReader:
    """RapidOCR with its models, which it loads with the first page. Not for use by several threads at once."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        keep_freed_memory()
        self._rapid = _rapid_ocr()

    def read(self, jpeg: bytes) -> tuple[int, list[Line]]:
        """Read a page whichever way up it is: the clockwise turn in degrees that makes it upright, and its lines with
        their places on the upright page. Raises what OpenCV, OpenVINO and RapidOCR raise.
        """
        page = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if page is None:
            raise ValueError("not an image")
        boxes = self._find(page)
        if not rotation.runs_sideways(box.size for box in boxes) or self._has_tall_pictures(boxes):
            return self._read_level(page, boxes)
        laid = _turned(page, 1)
        turn_deg, lines = self._read_level(laid, self._find(laid))
        if rotation.mean_score([line.scored for line in lines]) < rotation.LEGIBLE:
            return self._read_level(page, boxes)
        if turn_deg == 0 and self._is_vertical_writing(lines):
            return 0, lines
        return (turn_deg + 270) % 360, lines

    def _has_tall_pictures(self, boxes: Sequence[_Box]) -> bool:
        """Whether the longest level boxes are text and the longest tall ones are not, neither way up."""
        by_length = sorted(boxes, key=lambda box: -max(box.size))
        level = [box.pixels for box in by_length if not rotation.is_tall(box.size)][:SAMPLE_LINES]
        tall = [box.pixels for box in by_length if rotation.is_tall(box.size)][:SAMPLE_LINES]
        return self._are_text(level) and not self._are_text(tall)

    def _are_text(self, crops: list[Pixels]) -> bool:
        return any(
            rotation.is_text([reading.scored for reading in self._recognise(each)])
            for each in (crops, [_turned(crop, 2) for crop in crops])
        )

    def _read_level(self, page: Pixels, boxes: Sequence[_Box]) -> tuple[int, list[Line]]:
        """Read a page that is upright or upside down. Only where the longest lines read badly are they turned."""
        by_length = sorted(boxes, key=lambda box: (rotation.is_tall(box.size), -max(box.size)))
        sample, others = by_length[:SAMPLE_LINES], by_length[SAMPLE_LINES:]
        readings = self._recognise([box.pixels for box in sample])
        scored = [reading.scored for reading in readings]
        if rotation.mean_score(scored) < rotation.SURE:
            turned = self._recognise([_turned(box.pixels, 2) for box in sample])
            if rotation.is_better_turned(scored, [reading.scored for reading in turned]):
                boxes = self._find(_turned(page, 2))
                return 180, _lines(boxes, self._recognise([box.pixels for box in boxes]))
        return 0, _lines(by_length, readings + self._recognise([box.pixels for box in others]))

    def _is_vertical_writing(self, lines: Sequence[Line]) -> bool:
        longest = max(lines, key=lambda line: len(line.reading.text))
        height, width = longest.box.pixels.shape[:2]
        middles = [centre * width for centre in longest.reading.centres[:SAMPLE_CHARACTERS]]
        cells = [longest.box.pixels[:, max(0, round(x - height / 2)) : round(x + height / 2)] for x in middles]
        characters = self._recognise([_turned(cell, 3) for cell in cells])
        return rotation.is_vertical_writing(longest.reading.text, [character.text for character in characters])

    def _find(self, page: Pixels) -> list[_Box]:
        """The boxes of all lines."""
        try:
            crops, found = self._rapid.detect_and_crop(*self._rapid.preprocess_img(page))
        except RapidOCRError:  # how RapidOCR says that it found none
            return []
        return [_Box(_corners(box), crop) for box, crop in zip(found.boxes.tolist(), crops, strict=True)]

    def _recognise(self, crops: list[Pixels]) -> list[_Reading]:
        if not crops:
            return []
        found = self._rapid.recognize_txt([_scaled(crop) for crop in crops])
        return [
            _Reading(text, score, tuple((column + 0.5) / words.line_txt_len for column in chain(*words.word_cols)))
            for text, score, words in zip(found.txts, found.scores, found.word_results, strict=True)
        ]


def _rapid_ocr() -> Any:
    """RapidOCR, whose annotations are not those of the objects it returns, in numbers that are fast on this CPU."""
    rapid: Any = RapidOCR(params=SETTINGS)
    finder, reader = rapid._load_det_model(), rapid._load_rec_model()  # noqa: SLF001 - what follows has no setting
    finder.mean, finder.std = np.float32(finder.mean), np.float32(finder.std)  # with float64 all of it is in float64
    if slow_in_bfloat16(cpuinfo()):  # made twice then, which takes 0.5 s once
        config = {name.rpartition(".")[2].upper(): value for name, value in SETTINGS.items() if _OPENVINO in name}
        config["INFERENCE_PRECISION_HINT"] = "f32"
        for session in (finder.session, reader.session):
            session.session = openvino.Core().compile_model(session.model, "CPU", config).create_infer_request()
    return rapid


def usual_width_px(width_px: float) -> int:
    """The nearest of the 80 or so widths that lines are read in, a thirteenth from their own at most.

    OpenVINO makes programs for every width that it has not had before and keeps them: with the widths as they come,
    that is a tenth of all CPU time on a manual of 40 pages and half of the memory after it.
    """
    step_px = 8 if width_px < 128 else 16 if width_px < 256 else 32
    return max(1, round(width_px / step_px)) * step_px


def _scaled(crop: Pixels) -> Pixels:
    height, width = crop.shape[:2]
    return cv2.resize(crop, (usual_width_px(width * LINE_HEIGHT_PX / height), LINE_HEIGHT_PX))


def _turned(pixels: Pixels, quarters: int) -> Pixels:
    """Turned to the left by a number of quarters."""
    return np.ascontiguousarray(np.rot90(pixels, quarters))


def _corners(box: Sequence[Sequence[float]]) -> tuple[Point, Point, Point, Point]:
    top_left, top_right, bottom_right, bottom_left = ((x, y) for x, y in box)
    return top_left, top_right, bottom_right, bottom_left


def _lines(boxes: Sequence[_Box], readings: Sequence[_Reading]) -> list[Line]:
    return [Line(box, reading) for box, reading in zip(boxes, readings, strict=True)]
