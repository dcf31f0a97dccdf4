"""Routes: what users may write, which reader a page goes to next, and the gates that decide it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from one_ocr_ray.blocks import Block, BlockKind
from one_ocr_ray.model import Answer, ErrorCode, Failure, PageWarning
from one_ocr_ray.policy.route.chain import NOT_FOR_LOCAL, Walk, needs_embedded_engine, parse_route, route_text
from one_ocr_ray.policy.route.gates import (
    before_the_picture,
    layer_verdict,
    model_verdict,
    needs_detector,
    needs_more_samples,
    ocr_verdict,
    past_tables,
)
from one_ocr_ray.policy.route.reader_use import ReaderUse, has_choice, use_line
from one_ocr_ray.policy.text_layer.features import PageText
from one_ocr_ray.policy.text_layer.spot_check import FontRecord, SpotCheck
from one_ocr_ray.routing import Escalation, Route, RouteReason, Verdict

GOOD_PAGE = PageText(shown=1000, letters=900, fonts={"body": 800, "title": 100})
RIGHT = SpotCheck({"body": FontRecord(80, 0), "title": FontRecord(20, 0)})


@pytest.mark.parametrize(
    ("text", "engine", "names"),
    [
        (None, "local", ("text-layer", "local")),
        (None, "openai", ("openai",)),
        ("auto", "openai", ("text-layer", "local", "openai")),
        ("auto", "local", ("text-layer", "local")),
        ("local", "local", ("local",)),
        ("text-layer", "local", ("text-layer",)),
        (" text-layer , gemini", "gemini", ("text-layer", "gemini")),
    ],
)
def test_a_route_is_an_ordered_list_of_readers(text: str | None, engine: str, names: tuple[str, ...]) -> None:
    """By default the text layer comes before the embedded engine, and an LLM engine reads alone."""
    assert parse_route(text, engine).names == names


@pytest.mark.parametrize(
    ("text", "engine", "escalate", "says"),
    [
        ("text-layer,gemini", "local", None, "'gemini' is no reader of this run"),
        ("local,local", "local", None, "each reader"),
        ("local,text-layer", "local", None, "text-layer can only come first"),
        ("text-layer,local", "openai", None, "it leaves openai out"),
        ("", "local", None, "'' is no reader"),
        ("auto", "openai", "stamps", "'stamps' is no kind"),
        ("local", "local", "tables", "needs a reader"),
    ],
)
def test_what_is_no_route_is_refused_in_one_sentence(text: str, engine: str, escalate: str | None, says: str) -> None:
    """The sentence names what is wrong."""
    with pytest.raises(ValueError, match=says):
        parse_route(text, engine, escalate)


def test_what_an_output_keeps_of_a_route() -> None:
    """One reader is no route; kinds of pages to send on are a part of it."""
    assert route_text(Route(("local",)), "local") == "off"
    assert route_text(Route(("text-layer",)), "local") == "text-layer"
    both = Route(("text-layer", "local"), frozenset({Escalation.TABLES, Escalation.FORMULAS}))
    assert route_text(both, "local") == "text-layer,local (formulas, tables)"
    assert [needs_embedded_engine(Route(names)) for names in (("openai",), ("text-layer", "openai"))] == [False, True]


def test_a_page_passes_readers_that_are_no_better_at_its_fault() -> None:
    """A garbled page goes to the embedded engine, one with formulas past it, and from the last reader nowhere."""
    start = Walk((frozenset(), NOT_FOR_LOCAL, frozenset()))
    garbled, formulas = start.after(RouteReason.GARBLED), start.after(RouteReason.FORMULAS)
    assert garbled is not None
    assert formulas is not None
    assert (garbled.at, formulas.at) == (1, 2)
    assert formulas.after(RouteReason.FAILED_OVER) is None
    assert Walk((frozenset(), NOT_FOR_LOCAL)).after(RouteReason.FORMULAS) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cut": True}, RouteReason.TOO_COMPLEX),
        ({"invisible": 1200, "image_share": 1.0}, RouteReason.OCR_LAYER),
        ({"covered": 1200, "image_share": 1.0}, RouteReason.OCR_LAYER),
        ({"shown": 9}, RouteReason.NO_TEXT),
        ({"no_ink": 500}, RouteReason.TEXT_WITHOUT_INK),
        ({"bad": 30}, RouteReason.GARBLED),
    ],
)
def test_some_layers_are_refused_without_a_look(changes: dict[str, float], reason: RouteReason) -> None:
    """By counts alone, each with its reason."""
    assert before_the_picture(replace(GOOD_PAGE, **changes)) == Verdict(accepted=False, reason=reason)


def test_some_hidden_text_is_dropped_and_the_page_stays() -> None:
    """Hidden text without a picture, a few bullets of private codes, what stands off the page: no verdict yet."""
    odd = replace(GOOD_PAGE, invisible=1200, off_page=60, doubled=400, bad=15, no_ink=100)
    assert before_the_picture(odd) is None


def test_text_that_no_font_draws_stands() -> None:
    """The layer is all there is of it."""
    assert before_the_picture(replace(GOOD_PAGE, undrawn=400)) == Verdict(accepted=True, reason=RouteReason.NOT_DRAWN)


@pytest.mark.parametrize("changes", [{"image_share": 0.2}, {"loose_ink": 0.5}, {"annotations": 1}])
def test_where_the_picture_may_hold_more_it_is_searched(changes: dict[str, float]) -> None:
    """Pictures, ink without text, and what annotations draw."""
    assert needs_detector(replace(GOOD_PAGE, **changes))
    assert not needs_detector(GOOD_PAGE)


def test_a_checked_layer_stands() -> None:
    """Its samples say what the picture says."""
    assert layer_verdict(GOOD_PAGE, RIGHT) == Verdict(accepted=True, reason=RouteReason.CHECKED)
    assert layer_verdict(GOOD_PAGE, RIGHT, missing=0.02).accepted


@pytest.mark.parametrize(
    ("spot", "missing", "reason"),
    [
        (SpotCheck({"body": FontRecord(80, 60), "title": FontRecord(20, 0)}), None, RouteReason.GARBLED),
        (SpotCheck({"body": FontRecord(80, 0), "title": FontRecord(2, 2)}), None, RouteReason.GARBLED),
        (SpotCheck({"body": FontRecord(80, 6), "title": FontRecord(20, 0)}), None, RouteReason.GARBLED),
        (SpotCheck(RIGHT.fonts, inserted=9), None, RouteReason.GARBLED),
        (RIGHT, 0.2, RouteReason.TEXT_MISSING),
        (SpotCheck({"title": FontRecord(20, 0)}), None, RouteReason.UNSURE),
    ],
)
def test_what_samples_refuse(spot: SpotCheck, missing: float | None, reason: RouteReason) -> None:
    """One bad font among good ones, letters that the layer has lost, text in pictures, too little to tell."""
    assert layer_verdict(GOOD_PAGE, spot, missing=missing) == Verdict(accepted=False, reason=reason)


def test_a_poor_picture_may_misread_more() -> None:
    """Samples that the recogniser is less sure of have errors of its own."""
    spot = SpotCheck({"body": FontRecord(80, 4), "title": FontRecord(20, 0)})
    assert not layer_verdict(GOOD_PAGE, spot).accepted
    assert layer_verdict(GOOD_PAGE, replace(spot, score=0.9)).accepted
    assert needs_more_samples(GOOD_PAGE, spot)
    assert not needs_more_samples(GOOD_PAGE, SpotCheck({"body": FontRecord(80, 70)}))


def test_a_script_that_the_engine_does_not_know_is_told() -> None:
    """Nothing speaks against the layer, and nothing for it: it stands, and the row says so."""
    arabic = replace(GOOD_PAGE, unread_script=850)
    assert layer_verdict(arabic, SpotCheck({})) == Verdict(accepted=True, reason=RouteReason.UNCHECKED)
    assert layer_verdict(replace(arabic, unmapped=200), SpotCheck({})).reason is RouteReason.UNMAPPED


def test_formulas_go_on_where_that_is_wanted() -> None:
    """The characters of formulas are right, and their layout is lost."""
    page = replace(GOOD_PAGE, math=60)
    assert layer_verdict(page, RIGHT).accepted
    assert layer_verdict(page, RIGHT, escalate={Escalation.FORMULAS}).reason is RouteReason.FORMULAS


def test_tables_of_a_text_layer_go_on_where_that_is_wanted() -> None:
    """Only from a layer that is trusted: another reason to go on stays."""
    stands, garbled = Verdict(accepted=True), Verdict(accepted=False, reason=RouteReason.GARBLED)
    assert past_tables(stands, [TABLE], {Escalation.TABLES}) == Verdict(accepted=False, reason=RouteReason.TABLE)
    assert past_tables(garbled, [TABLE], {Escalation.TABLES}) == garbled
    assert past_tables(stands, [TABLE], {Escalation.FORMULAS}) == stands
    assert past_tables(stands, [], {Escalation.TABLES}) == stands


BROKEN = Failure(ErrorCode.OCR_FAILED, "Broken.")
TABLE = Block(1, BlockKind.TABLE)


@pytest.mark.parametrize(
    ("answer", "escalate", "reason"),
    [
        (Answer(failure=BROKEN), (), RouteReason.FAILED_OVER),
        (Answer(confidence=0.95, warnings=(PageWarning.SCRIPT_NOT_READ,)), (), RouteReason.SCRIPT_NOT_READ),
        (Answer(confidence=0.7), (), RouteReason.LOW_CONFIDENCE),
        (Answer(confidence=0.85), (Escalation.HANDWRITING,), RouteReason.HANDWRITING),
        (Answer(confidence=0.95, blocks=(TABLE,)), (Escalation.TABLES,), RouteReason.TABLE),
    ],
)
def test_what_the_embedded_engine_passes_on(
    answer: Answer, escalate: tuple[Escalation, ...], reason: RouteReason
) -> None:
    """What it could not read well, and what it is told to pass on."""
    assert ocr_verdict(answer, escalate) == Verdict(accepted=False, reason=reason)


def test_an_answer_that_is_good_stands() -> None:
    """Of the embedded engine when it is sure, of a model whenever it can be used."""
    assert ocr_verdict(Answer(confidence=0.95, blocks=(TABLE,))).accepted
    assert model_verdict(Answer(text="read")).accepted
    assert model_verdict(Answer(failure=BROKEN)) == Verdict(accepted=False, reason=RouteReason.FAILED_OVER)
    for code in (ErrorCode.REPETITION, ErrorCode.TRUNCATED, ErrorCode.PROVIDER_BAD_RESPONSE):
        assert model_verdict(Answer(failure=Failure(code, "."))) == Verdict(False, RouteReason.UNUSABLE)


def test_who_read_is_told_in_the_order_of_a_route() -> None:
    """The models last; money only where it is known and something was saved."""
    readers = {
        "openai": ReaderUse(766, 1.42, 0.0, "gpt-5.6-luna"),
        "local": ReaderUse(1020, 0.0, 1.8),
        "text-layer": ReaderUse(8214, 0.0, 14.58),
    }
    shares = "8,214 pages from the text layer, 1,020 by OCR, 766 by gpt-5.6-luna"
    assert use_line(readers) == f"{shares}; 1.42 USD instead of 17.8"
    assert use_line(readers | {"local": ReaderUse(1020, 0.0, None)}) == shares
    assert use_line({"text-layer": ReaderUse(1)}) == "1 page from the text layer"
    assert not has_choice({"local": ReaderUse(3)})
