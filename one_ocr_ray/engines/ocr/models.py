"""Loads the models of the embedded OCR into OpenVINO, with fast settings for this CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import openvino
import rapidocr
from rapidocr.ch_ppocr_det.utils import DBPostProcess

from one_ocr_ray.engines.ocr.precision import cpuinfo, slow_in_bfloat16

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[Any]

_WEIGHTS = Path(__file__).with_name("weights")  # their origin is in README.md there
_RAPIDOCR = Path(rapidocr.__file__).parent / "models"
SMALL_RECOGNISER = _WEIGHTS / "rec_tiny.onnx"
SMALL_CHARACTERS = _WEIGHTS / "rec_tiny_characters.txt"
RECOGNISER = _RAPIDOCR / "PP-OCRv6_rec_small.onnx"
DETECTOR = _RAPIDOCR / "PP-OCRv6_det_small.onnx"
LINE_HEIGHT_PX = 48  # the models were trained on lines of this height

SETTINGS = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}  # pinned processes all share the first core
# RapidOCR's own for boxes of lines, but for the most of a page.
BOXES: dict[str, Any] = {
    "thresh": 0.3,
    "box_thresh": 0.5,
    "unclip_ratio": 1.6,
    "use_dilation": True,
    "max_candidates": 20_000,
}


def openvino_config() -> dict[str, Any]:
    """OpenVINO's settings for each of the models."""
    return {**SETTINGS, "INFERENCE_PRECISION_HINT": "f32"} if slow_in_bfloat16(cpuinfo()) else {**SETTINGS}


def compiled(model: openvino.Model, without: str) -> tuple[Any, bool]:
    """A request to `model`, which ends before its last layer if its kind is `without`. True if it is."""
    last = model.outputs[0].get_node().input_value(0).get_node()
    is_cut = last.get_type_name() == without
    if is_cut:
        model = openvino.Model([last.input_value(0)], model.get_parameters())
    return openvino.Core().compile_model(model, "CPU", openvino_config()).create_infer_request(), is_cut


def network_input(pixels: Pixels, tones: Pixels) -> Pixels:
    """Pixels as a model takes them: a picture per colour, numbered in `tones` per level."""
    numbers = cv2.LUT(pixels, tones)
    net = np.empty((1, 3, *pixels.shape[:2]), np.float32)
    for colour in range(3):
        cv2.extractChannel(numbers, colour, net[0, colour])
    return net


class Detector:
    """PP-OCRv6's detector of lines. Not for use by several threads at once."""

    _TONES = np.arange(256, dtype=np.float32) / 127.5 - 1

    def __init__(self) -> None:
        self.request, self._gives_logits = compiled(openvino.Core().read_model(DETECTOR), "Sigmoid")
        self._boxes_of = DBPostProcess(**BOXES)

    def text_map(self, pixels: Pixels) -> Pixels:
        """How much each pixel looks like text, 0-1. Good until the next call."""
        self.request.infer([network_input(pixels, self._TONES)], share_inputs=True)
        values: Pixels = self.request.get_output_tensor().data[0, 0]
        return 1 / (1 + cv2.exp(-values)) if self._gives_logits else values  # OpenVINO takes three times as long

    def boxes(self, text_map: Pixels, height_px: int, width_px: int) -> list[Pixels]:
        """The corners of all lines in a map, on a page of this size."""
        boxes, _ = self._boxes_of(text_map[None, None], (height_px, width_px))
        return list(boxes)


def usual_width_px(width_px: float) -> int:
    """The nearest of the 80 or so widths that lines are read in. It differs by a thirteenth at most.

    OpenVINO makes programs for every width that it has not had before and keeps them: with the widths as they come,
    that is a tenth of all CPU time on a manual of 40 pages and half of the memory after it.
    """
    step_px = 8 if width_px < 128 else 16 if width_px < 256 else 32
    return max(1, round(width_px / step_px)) * step_px


def release_memory(*requests: Any) -> None:
    """Free what OpenVINO keeps of the passes of these models. The next pass takes it again, in up to 0.3 s."""
    for request in requests:
        request.get_compiled_model().release_memory()
