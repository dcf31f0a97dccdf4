"""The engine that plays a script."""

from __future__ import annotations

from one_ocr_ray.engines.scripted import ScriptedEngine
from one_ocr_ray.model import Answer, PageRequest
from tests.unit.wire_samples_reader import page_image


async def test_each_page_has_its_own_script_and_the_last_answer_goes_on() -> None:
    """Pages do not use up each other's answers."""
    engine = ScriptedEngine({1: [Answer(text="first"), Answer(text="second")]})
    texts = [(await engine.analyze_image_async(page_image(number=page), PageRequest())).text for page in (1, 2, 1, 1)]
    assert texts == ["first", "Page 2", "second", "second"]
    assert [page for page, _ in engine.asked] == [1, 2, 1, 1]
