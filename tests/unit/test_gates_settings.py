"""The section `gates` of the settings: thresholds of the route's readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import UsageError
from one_ocr_ray.gates import MEASURED, Gates
from one_ocr_ray.model import Answer
from one_ocr_ray.policy.route.chain import route_text
from one_ocr_ray.policy.route.gates import ocr_verdict
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.job import route_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_section_of_the_file_moves_the_gates_it_names(tmp_path: Path) -> None:
    """The others stay as measured; an answer that was doubtful stands, and the output knows of it."""
    file = tmp_path / "one.yaml"
    file.write_text("gates:\n  ocr_score: 0.6\n  missing_share: 0.2\n")
    route = route_of(load({"inputs": ["a.pdf"]}, file))
    assert route.gates == Gates(ocr_score=0.6, missing_share=0.2)
    doubtful = Answer(text="read", confidence=0.7)
    assert not ocr_verdict(doubtful).accepted
    assert ocr_verdict(doubtful, route.escalate, route.gates).accepted
    assert route_text(route, "local") == "text-layer,local (missing_share 0.2, ocr_score 0.6)"


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are JSON; without either the gates stand as measured, and an output says nothing of them."""
    assert route_of(load({})).gates == MEASURED
    assert route_text(route_of(load({})), "local") == "text-layer,local"
    monkeypatch.setenv("ONE_OCR_GATES", '{"ocr_score": 0.5}')
    assert route_of(load({})).gates.ocr_score == 0.5
    assert route_of(load({"gates": '{"ocr_score": 0.9}'})).gates.ocr_score == 0.9


@pytest.mark.parametrize(
    ("gates", "named"),
    [('{"ocr_score": 1.5}', "gates.ocr_score"), ('{"ocr": 0.5}', "gates.ocr"), ('{"least_characters": 0.5}', "gates")],
)
def test_a_gate_that_cannot_be_is_named(gates: str, named: str) -> None:
    """A share is 0 to 1, a count is whole, and an unknown name is refused."""
    with pytest.raises(UsageError, match=named):
        load({"gates": gates})


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"route": "local,gpt"}, "--route"),
        ({"escalate": "pictures"}, "--escalate"),
        ({"route": "local", "escalate": "tables"}, "--escalate"),
    ],
)
def test_what_is_wrong_with_a_route_is_told_with_its_flag(given: dict[str, str], flag: str) -> None:
    """Not each fault of the two flags is one of --route."""
    with pytest.raises(UsageError, match=f"^{flag}: "):
        route_of(load(given))
