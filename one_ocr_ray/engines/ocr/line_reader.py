"""Reads the pixels of one line with the recognition models of an engine, in order, until one of them is sure."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from one_ocr_ray.engines.ocr.models import recogniser
from one_ocr_ray.errors import EngineError
from one_ocr_ray.policy.layout.rotation import SURE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from one_ocr_ray.engines.ocr.languages import LineModels


class LineReader:
    """The models that read lines. Where none is sure, what the surest says stands."""

    def __init__(self, rapid: Any, models: LineModels) -> None:
        """`rapid` has the model of the wheel. Raises EngineError for a file that is no such model."""
        self._rapids = [rapid if file is None else _own(file) for file in models.files]

    @property
    def sessions(self) -> Sequence[Any]:
        """What keeps the memory of the passes."""
        return [rapid.text_rec.session.session for rapid in self._rapids]

    def read(self, line: NDArray[Any]) -> tuple[str, float, list[float]]:
        """The text, its score 0-1, and the middles of its characters but spaces as fractions of the line's length."""
        best: tuple[str, float, list[float]] = ("", -1.0, [])
        for rapid in self._rapids:
            found = rapid.recognize_txt([line])
            words, text, score = found.word_results[0], found.txts[0], found.scores[0]
            if score > best[1]:
                centres = [(column + 0.5) / words.line_txt_len for column in chain(*words.word_cols)]
                best = (text, score, centres)
            if score >= SURE:
                break
        return best


def _own(file: str) -> Any:
    try:
        return recogniser(Path(file))
    except Exception as exc:  # whatever OpenVINO and RapidOCR raise for a file that is no model of theirs
        raise EngineError(f"{file} cannot be loaded as a recognition model of PP-OCR with its characters.") from exc
