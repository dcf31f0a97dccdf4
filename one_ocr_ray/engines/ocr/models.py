"""Loads the models of the embedded OCR into OpenVINO, with settings and sizes that are fast on this CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino
import rapidocr
from rapidocr import EngineType, RapidOCR

from one_ocr_ray.engines.ocr.precision import cpuinfo, slow_in_bfloat16

_WEIGHTS = Path(__file__).with_name("weights")  # their origin is in README.md there
SMALL_RECOGNISER = _WEIGHTS / "rec_tiny.onnx"
SMALL_CHARACTERS = _WEIGHTS / "rec_tiny_characters.txt"
RECOGNISER = Path(rapidocr.__file__).parent / "models" / "PP-OCRv6_rec_small.onnx"
LINE_HEIGHT_PX = 48  # the models were trained on lines of this height

_OPENVINO = "EngineConfig.openvino."

# Chosen by measurement on English and Chinese pages: correct characters, low CPU seconds per page, one core each.
SETTINGS = {
    "Global.log_level": "critical",
    "Global.use_cls": False,  # the classifier for upside-down lines turns good lines over
    "Det.engine_type": EngineType.OPENVINO,
    "Det.max_candidates": 20_000,  # lines of a page
    f"{_OPENVINO}inference_num_threads": 1,
    f"{_OPENVINO}enable_cpu_pinning": False,  # pinned processes all share the first core
}


def openvino_config() -> dict[str, Any]:
    """OpenVINO's settings for each of the models."""
    config = {name.rpartition(".")[2].upper(): value for name, value in SETTINGS.items() if _OPENVINO in name}
    return {**config, "INFERENCE_PRECISION_HINT": "f32"} if slow_in_bfloat16(cpuinfo()) else config


def detector() -> Any:
    """RapidOCR's detector of lines, as Any because its annotations are wrong."""
    rapid: Any = RapidOCR(params=SETTINGS)
    found = rapid._load_det_model()  # noqa: SLF001 - what follows has no setting
    if slow_in_bfloat16(cpuinfo()):  # made twice then, which takes 0.3 s once
        session = found.session
        session.session = openvino.Core().compile_model(session.model, "CPU", openvino_config()).create_infer_request()
    return found


def usual_width_px(width_px: float) -> int:
    """The nearest of the 80 or so widths that lines are read in, a thirteenth from their own at most.

    OpenVINO makes programs for every width that it has not had before and keeps them: with the widths as they come,
    that is a tenth of all CPU time on a manual of 40 pages and half of the memory after it.
    """
    step_px = 8 if width_px < 128 else 16 if width_px < 256 else 32
    return max(1, round(width_px / step_px)) * step_px


def release_memory(*requests: Any) -> None:
    """Free what OpenVINO keeps of the passes of these models. The next pass takes it again, in up to 0.3 s."""
    for request in requests:
        request.get_compiled_model().release_memory()
