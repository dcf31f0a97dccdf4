"""`--language`: which models read lines, what is told of one that is not installed, and a model of the user's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino
import pytest
import rapidocr

from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.engines.ocr.languages import SHIPPED_MODEL, LineModels, line_models
from one_ocr_ray.engines.ocr.line_reader import LineModel
from one_ocr_ray.engines.ocr.own_engine import OwnEngine
from one_ocr_ray.errors import EngineError, UsageError
from one_ocr_ray.model import PageRequest
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.job import fingerprint_of, selection_of, settings_without_effect
from tests.provider import Identity
from tests.scans import scan
from tests.unit.wire_samples_reader import page_image

if TYPE_CHECKING:
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint

SHIPPED_FILE = Path(rapidocr.__file__).parent / "models" / "PP-OCRv6_rec_small.onnx"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("codes", [None, "", "de", "zh,en", "zh-CN, ja", "Latin"])
def test_what_ships_needs_no_file(codes: str | None, tmp_path: Path) -> None:
    """The default, and languages whose letters its model knows, with or without a region."""
    assert line_models(codes, tmp_path) == SHIPPED_MODEL
    assert SHIPPED_MODEL.name == "rapidocr-pp-ocrv6-small"


def test_a_model_is_found_by_language_or_script(tmp_path: Path) -> None:
    """A file of the language's own name comes first; the order is that of the codes, each model once."""
    put(tmp_path, "cyrillic_PP-OCRv5_rec_mobile.onnx", "korean.onnx", "korean.txt", "ko.onnx", "mine.onnx")
    cyrillic, korean = str(tmp_path / "cyrillic_PP-OCRv5_rec_mobile.onnx"), str(tmp_path / "ko.onnx")
    assert line_models("ru,en,bg", tmp_path) == LineModels((cyrillic, None))
    assert line_models("ko,ru", tmp_path) == LineModels((korean, cyrillic))
    assert line_models("mine", tmp_path).name == "rapidocr-mine"
    assert line_models("ru,en", tmp_path).name == "rapidocr-cyrillic_PP-OCRv5_rec_mobile+pp-ocrv6-small"


def test_a_language_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    """It says what there is, what to put where, and is said before anything starts."""
    put(tmp_path, "korean_PP-OCRv5_rec_mobile.onnx")
    with pytest.raises(UsageError) as refused:
        line_models("en,ru", tmp_path)
    said = str(refused.value)
    assert "'ru'" in said
    assert {"en", "zh", "korean"} <= {word.strip(",:") for word in said.split()}
    assert f"eslav.onnx, a recognition model of PP-OCR, into {tmp_path}" in said
    assert "--language-models" in said
    with pytest.raises(UsageError, match="no model for 'xx'"):
        fingerprint(language="xx")


def fingerprint(**flags: str) -> Fingerprint:
    settings = load({"inputs": ("a.pdf",), "output": "out", **flags})
    return fingerprint_of(settings, {}, selection_of(settings))


def test_outputs_of_other_models_are_others(tmp_path: Path) -> None:
    """What is read by the models that ship has the name that it had before there was a choice."""
    put(tmp_path, "ru.onnx")
    usual = fingerprint()
    assert fingerprint(language="de") == usual
    other = fingerprint(language="ru", language_models=str(tmp_path))
    assert other.config_id != usual.config_id
    assert replace(other, line_models=None) == usual


def test_a_language_that_nobody_reads_is_told() -> None:
    """A model alone asks for none; a route with the embedded engine does."""
    alone = load({"inputs": ("a.pdf",), "output": "out", "engine": "openai", "language": "de"})
    assert "--language" in (settings_without_effect(alone) or "")
    assert settings_without_effect(alone.model_copy(update={"route": "auto"})) is None


def test_a_model_of_ones_own_reads_with_its_own_characters(tmp_path: Path) -> None:
    """The model of the wheel under another name, whose characters are the next ones: every "a" comes out as "b"."""
    model = openvino.Core().read_model(SHIPPED_FILE)
    characters = model.get_rt_info()["framework"]["character"].value.splitlines()
    (tmp_path / "next.onnx").write_bytes(_without_characters(SHIPPED_FILE))
    shifted = {chr(code): chr(code + 1) for code in range(ord("a"), ord("z"))}
    (tmp_path / "next.txt").write_text("\n".join(shifted.get(each, each) for each in characters), encoding="utf-8")
    picture, words = scan(Identity(3, 1), 100)
    engine = OwnEngine(line_models("next", tmp_path))
    answer = asyncio.run(engine.analyze_image_async(page_image(picture), PageRequest()))
    wanted = ["".join(shifted.get(letter, letter) for letter in word) for word, *_ in words]
    assert set(wanted) <= set(answer.text.split())
    assert engine.model == "rapidocr-next"


def _without_characters(model: Path) -> bytes:
    """The ONNX file without its characters: the name of that entry is another."""
    return model.read_bytes().replace(b"\x0a\x09character", b"\x0a\x09charactex", 1)


def test_a_file_that_is_no_model_is_told_by_name(tmp_path: Path) -> None:
    """Nothing is downloaded for it."""
    (tmp_path / "ko.onnx").write_bytes(b"nothing")
    (tmp_path / "ru.onnx").write_bytes(_without_characters(SHIPPED_FILE))
    for code in ("ko", "ru"):
        with pytest.raises(EngineError, match=f"{code}.onnx cannot be loaded"):
            LocalEngine(line_models(code, tmp_path)).page_reader()


def test_a_model_of_another_height_may_give_logarithms(tmp_path: Path) -> None:
    """Its lines are 32 px high, the batch comes second, and each dark column is an x, as far as a gap parts them."""
    from openvino import opset13 as ops  # noqa: PLC0415 - no other test makes a model

    pixels = ops.parameter([1, 3, 32, -1], np.float32)
    brightness = ops.reshape(ops.reduce_mean(pixels, np.array([1, 2])), np.array([-1, 1, 1]), special_zero=False)
    chances = ops.log_softmax(ops.multiply(brightness, np.array([[[9, -9]]], np.float32)), 2)
    openvino.save_model(openvino.Model([chances], [pixels]), tmp_path / "x.xml")
    line = np.full((48, 240, 3), 255, np.uint8)
    line[:, 54:66] = line[:, 174:186] = 0
    found = LineModel(tmp_path / "x.xml", ["x"]).read(line)
    assert found.text == "xx"
    assert found.centres == pytest.approx((0.225, 0.725), abs=0.02)
    assert found.score > 0.9
