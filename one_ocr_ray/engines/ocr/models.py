"""Loads the models of the embedded OCR into OpenVINO, with settings and sizes that are fast on this CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openvino
from rapidocr import EngineType, RapidOCR

from one_ocr_ray.engines.ocr.precision import cpuinfo, slow_in_bfloat16

if TYPE_CHECKING:
    from pathlib import Path

LINE_HEIGHT_PX = 48  # the models were trained on lines of this height

_OPENVINO = "EngineConfig.openvino."

# Chosen by measurement on English and Chinese pages: correct characters, low CPU seconds per page, one core each.
SETTINGS = {
    "Global.log_level": "critical",
    "Global.use_cls": False,  # the classifier for upside-down lines turns good lines over
    "Global.return_word_box": True,  # gives the places of characters
    "Det.engine_type": EngineType.OPENVINO,
    "Det.max_candidates": 20_000,  # lines of a page
    "Rec.engine_type": EngineType.OPENVINO,
    "Rec.rec_batch_num": 1,  # a batch pads short lines to its longest one
    "Rec.rec_img_shape": [3, LINE_HEIGHT_PX, LINE_HEIGHT_PX],  # no padding of short lines either
    f"{_OPENVINO}inference_num_threads": 1,
    f"{_OPENVINO}enable_cpu_pinning": False,  # pinned processes all share the first core
}


def openvino_config() -> dict[str, Any]:
    """OpenVINO's settings for each of the models."""
    config = {name.rpartition(".")[2].upper(): value for name, value in SETTINGS.items() if _OPENVINO in name}
    return {**config, "INFERENCE_PRECISION_HINT": "f32"} if slow_in_bfloat16(cpuinfo()) else config


def rapid_ocr() -> Any:
    """RapidOCR, as Any because its annotations are wrong."""
    rapid: Any = RapidOCR(params=SETTINGS)
    finder, reader = rapid._load_det_model(), rapid._load_rec_model()  # noqa: SLF001 - what follows has no setting
    _in_full_precision(finder.session, reader.session)
    return rapid


def recogniser(model: Path) -> Any:
    """RapidOCR that reads lines with the ONNX file `model`; its characters stand in it or one a line in a .txt beside.

    Raises what OpenVINO and RapidOCR raise, and ValueError without characters, which RapidOCR would download.
    """
    characters = model.with_suffix(".txt")
    told = openvino.Core().read_model(model).get_rt_info()
    if not characters.exists() and not ("framework" in told and "character" in told["framework"]):
        raise ValueError("a model without characters")
    rapid: Any = RapidOCR(params={**SETTINGS, "Rec.model_path": str(model), "Rec.rec_keys_path": str(characters)})
    _in_full_precision(rapid._load_rec_model().session)  # noqa: SLF001 - as above
    return rapid


def _in_full_precision(*sessions: Any) -> None:
    """Compile again, where this CPU is slow in bfloat16. Takes 0.5 s once."""
    if slow_in_bfloat16(cpuinfo()):
        for session in sessions:
            session.session = (
                openvino.Core().compile_model(session.model, "CPU", openvino_config()).create_infer_request()
            )


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
