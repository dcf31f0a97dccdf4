"""Reads single lines with recognisers on OpenVINO, a small one first. Larger ones read what it is not sure of.

RapidOCR's own class computes the chances of all 18,700 characters in every column, also of the columns that say nothing
new. That is a tenth of a recogniser's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import openvino

from one_ocr_ray.engines.ocr.languages import SHIPPED_MODEL
from one_ocr_ray.engines.ocr.models import (
    LINE_HEIGHT_PX,
    RECOGNISER,
    SMALL_CHARACTERS,
    SMALL_RECOGNISER,
    compiled,
    network_input,
)
from one_ocr_ray.errors import EngineError
from one_ocr_ray.policy.layout.rotation import SURE
from one_ocr_ray.policy.layout.text import is_cjk
from one_ocr_ray.policy.page.first_reading import LEGIBLE, FirstReadings, is_sure
from one_ocr_ray.policy.text_layer.spot_check import GOOD_SCORE, folded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from one_ocr_ray.engines.ocr.languages import LineModels

    Pixels = NDArray[Any]  # height x width x 3 bytes, BGR

BLANK = 0  # the class of columns without a new character
ROUNDED = 5  # digits of a score
_WIDTH_STEP_PX = 4  # of models of another height, which make a column of so many pixels
# Of each level, in these steps as in RapidOCR: a last digit may decide between two letters of a scrawl.
TONES = (np.arange(256, dtype=np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)


@dataclass(frozen=True, slots=True)
class ReadText:
    """What a line says. `centres` are the middles of its characters but spaces, as fractions of its length."""

    text: str
    score: float  # the mean of its characters, 0-1
    least: float  # of its characters
    centres: tuple[float, ...]


class LineModel:
    """A recogniser of PP-OCR, or one that is asked and answers like it. Not for use by several threads at once."""

    def __init__(self, path: Path, characters: Sequence[str] | None = None) -> None:
        """`characters`: those of its classes, without the blank and the space. None if the file has them."""
        self.asked_px = 0  # the length of all lines so far
        model = openvino.Core().read_model(path)
        if characters is None:
            characters = model.get_rt_info()["framework"]["character"].value.splitlines()
        self._characters = ("", *characters, " ")
        last = model.outputs[0].get_node().input_value(0).get_node().get_type_name()
        height = model.input(0).get_partial_shape()[2]
        self._height_px = height.get_length() if height.is_static else LINE_HEIGHT_PX
        self.request, is_cut = compiled(model, "Softmax")
        self._gives_logits = is_cut or last == "LogSoftmax"  # logits up to a constant, which no score depends on
        hint = self.request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
        self._is_bfloat16 = self._gives_logits and hint == openvino.Type.bf16

    def read(self, line: Pixels) -> ReadText:
        """Read the pixels of a line, `LINE_HEIGHT_PX` high."""
        self.asked_px += line.shape[1]
        if line.shape[0] != self._height_px:
            width = _WIDTH_STEP_PX * round(line.shape[1] * self._height_px / line.shape[0] / _WIDTH_STEP_PX)
            line = cv2.resize(line, (max(_WIDTH_STEP_PX, width), self._height_px), interpolation=cv2.INTER_AREA)
        width = line.shape[1]
        net = network_input(line, TONES)
        if width < LINE_HEIGHT_PX:
            net = np.pad(net, ((0, 0), (0, 0), (0, 0), (0, LINE_HEIGHT_PX - width)))
        self.request.infer([net], share_inputs=True)
        columns = self.request.get_output_tensor().data
        columns = columns.reshape(-1, columns.shape[-1])  # of one line, whether the batch comes first or second
        classes = columns.argmax(axis=1)
        if self._is_bfloat16:  # what is alike in it goes to the first class, as in the model's own softmax
            said = np.flatnonzero(classes != BLANK)
            classes[said] = _in_bfloat16(columns[said]).argmax(axis=1)
        places = np.flatnonzero((classes != BLANK) & (classes != np.concatenate(([BLANK], classes[:-1]))))
        if not len(places):
            return ReadText("", 0.0, 0.0, ())
        likely = columns[places]
        best = likely.max(axis=1)
        scores = np.round(1 / np.exp(likely - best[:, None]).sum(axis=1) if self._gives_logits else best, ROUNDED)
        text = "".join(self._characters[number] for number in classes[places])
        columns_of_line = len(classes) * width / net.shape[3]
        centres = ((places + 0.5) / columns_of_line).tolist()
        return ReadText(
            text,
            round(float(np.mean(scores)), ROUNDED),
            float(np.min(scores)),
            tuple(centre for centre, character in zip(centres, text, strict=True) if not character.isspace()),
        )


class LineReader:
    """The recognisers of an engine, in order. Where none is sure, what the surest says stands."""

    def __init__(self, models: LineModels) -> None:
        """Raises EngineError for a file that is no such model."""
        characters = _characters(SMALL_CHARACTERS)
        self.small = LineModel(SMALL_RECOGNISER, characters)
        self.larger = [LineModel(RECOGNISER) if file is None else _own(Path(file)) for file in models.files]
        self._small_knows_all = models == SHIPPED_MODEL  # other scripts are not to be taken for Latin letters
        self._known = frozenset(characters)
        self.begin_page()

    @property
    def requests(self) -> list[Any]:
        """What keeps the memory of the passes."""
        return [model.request for model in (self.small, *self.larger)]

    def begin_page(self, *, large_alone: bool = False) -> None:
        """Forget how far the small recogniser got on the page before."""
        self._first = FirstReadings(self._known, is_over=large_alone or not self._small_knows_all)

    def read(self, line: Pixels) -> ReadText:
        """Read the pixels of a line, `LINE_HEIGHT_PX` high."""
        if self._first.pays:
            found = self.small.read(line)
            sure = is_sure(found.text, found.score, found.least) and self._first.takes(found.text)
            self._first.count(line.shape[1], sure=sure)
            if sure:
                return found
        best = self._read_well(line)
        if best.score >= LEGIBLE:
            self._first.learn(best.text)
        return best

    def check(self, line: Pixels, letters: str) -> ReadText:
        """Read a line that may say `letters`, which are `folded`: if it does, that needs no second reading."""
        if self._small_knows_all and self._known.issuperset(letters):
            found = self.small.read(line)
            if found.score >= GOOD_SCORE and folded(found.text) == letters:
                return found
            if is_sure(found.text, found.score, found.least) and not any(map(is_cjk, found.text)):
                return found
        return self._read_well(line)

    def _read_well(self, line: Pixels) -> ReadText:
        best = self.larger[0].read(line)
        for model in self.larger[1:]:
            if best.score >= SURE:
                break
            best = max(best, model.read(line), key=lambda found: found.score)
        return best


def _own(file: Path) -> LineModel:
    """A model of the user. Its characters stand in it or one a line in a .txt beside it."""
    characters = file.with_suffix(".txt")
    try:
        return LineModel(file, _characters(characters) if characters.exists() else None)
    except Exception as exc:  # whatever OpenVINO raises for a file that is no model of ours
        raise EngineError(f"{file} cannot be loaded as a recognition model of PP-OCR with its characters.") from exc


def _in_bfloat16(values: NDArray[Any]) -> NDArray[Any]:
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


def _characters(file: Path) -> list[str]:
    """One a line; some of them separate lines elsewhere."""
    return file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
