"""Judging answers: what is cleaned, what fails, and what must not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest
from one_ocr_ray.policy.page.extraction import foreign_schema_fault, schema_fault, schema_violation
from one_ocr_ray.policy.page.quality import judge, repeats, without_controls, without_fence

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "rows": {"type": "array", "items": {"type": "number"}}},
        "required": ["name"],
        "additionalProperties": False,
    }
)


def fails_with(text: str, *, truncated: bool = False, schema: str | None = None) -> ErrorCode | None:
    """The code that judging `text` gives."""
    failure = judge(Answer(text=text, truncated=truncated), PageRequest(json_schema=schema)).failure
    return failure.code if failure else None


def test_a_good_answer_passes_unchanged() -> None:
    """Markdown with a table, code and a formula is left alone."""
    text = "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n```\n\n$$e = mc^2$$"
    assert judge(Answer(text=text), PageRequest()) == Answer(text=text)


def test_empty_is_a_bad_reply_unless_the_cap_was_reached() -> None:
    """A page with ink has an answer; with the cap used up by thinking it is truncated."""
    assert fails_with(" \n ") is ErrorCode.PROVIDER_BAD_RESPONSE
    assert fails_with("", truncated=True) is ErrorCode.TRUNCATED


def test_truncated_text_is_kept_beside_its_failure() -> None:
    """The page loop may take it in the end."""
    answer = judge(Answer(text="half", truncated=True), PageRequest())
    assert answer.text == "half"
    assert answer.failure is not None
    assert (answer.failure.code, answer.failure.action) == (ErrorCode.TRUNCATED, Action.RETRY_CHANGED)


def test_an_earlier_failure_stays() -> None:
    """What the provider has said is not judged again."""
    filtered = Failure(ErrorCode.CONTENT_FILTERED, "Filtered.")
    assert judge(Answer(text="", failure=filtered), PageRequest()).failure is filtered


def test_refusing_words_are_no_refusal() -> None:
    """A page may say that it is sorry."""
    assert fails_with("I'm sorry, but I can't assist with that.") is None


def test_far_too_long() -> None:
    """No page has so many characters."""
    assert fails_with("".join(f"{number:x} " for number in range(60_000))) is ErrorCode.PROVIDER_BAD_RESPONSE


# --- cleaning


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("a\x00b", "ab"),
        ("a\x1b[31mb", "a[31mb"),
        ("a\x85b\x9fc\x7f", "abc"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("user\u202etxt.exe\u2066", "usertxt.exe"),
        ("\ufeffa", "a"),
        ("a\ud83db", "ab"),
        ("汉字 é 🙂 العربية", "汉字 é 🙂 العربية"),
    ],
)
def test_controls(dirty: str, clean: str) -> None:
    """Invisible characters that harm are gone, everything else stays."""
    assert without_controls(dirty) == clean


@given(st.text(st.characters()))
def test_cleaned_text_can_be_stored(text: str) -> None:
    """Whatever a model writes fits a UTF-8 column and holds no NUL."""
    cleaned = judge(Answer(text=text), PageRequest()).text
    assert "\x00" not in cleaned
    assert cleaned.encode().decode() == cleaned


@pytest.mark.parametrize(
    ("fenced", "bare"),
    [
        ("```markdown\n# A\n\ntext\n```", "# A\n\ntext"),
        ("```\ntext\n```", "text"),
        ("~~~md\ntext\n~~~", "text"),
        ("  ```md\ntext\n```  \n", "text"),
        ("```json\n{}\n```", "{}"),
        ("```markdown\nA\n\n```python\nx\n```\n\nB\n```", "A\n\n```python\nx\n```\n\nB"),
        ("````markdown\nA\n```\nx\n```\nB\n````", "A\n```\nx\n```\nB"),
    ],
)
def test_a_fence_around_the_whole_goes(fenced: str, bare: str) -> None:
    """Models wrap their answer; the page has no such fence."""
    assert without_fence(fenced) == bare


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint()\n```",
        "```\na\n```\n\ntext\n\n```\nb\n```",
        "```markdown\na\n```\n\ntext\n\n```\nb\n```",
        "```markdown\nnever closed",
        "text\n```\na\n```",
        "```markdown\na\n```\nand more",
    ],
)
def test_other_fences_stay(text: str) -> None:
    """A listing, two blocks, or a block beside text is content."""
    assert without_fence(text) == text


def test_an_open_fence_goes_where_the_text_was_cut_off() -> None:
    """The end of the fence was never written."""
    assert without_fence("```markdown\n# A\n\n```python\nx", open_ended=True) == "# A\n\n```python\nx"
    assert without_fence("```markdown\na\n```\nmore", open_ended=True) == "```markdown\na\n```\nmore"


# --- repetition


@pytest.mark.parametrize(
    "unit", ["a", "the ", "I see a cat. ", "The quick brown fox jumps over.\n", "重复的句子。", "<td>x</td>"]
)
def test_a_loop_is_found_whatever_its_period(unit: str) -> None:
    """A short or a long phrase without end, after good text and cut anywhere."""
    text = "# A good beginning of the page\n\n" + unit * (3000 // len(unit) + 6)
    assert repeats(text)
    assert repeats(text[:-1])


def test_a_loop_of_a_paragraph_is_found() -> None:
    """The period may be longer than what is looked at."""
    paragraph = " ".join(f"word{number}" for number in range(80)) + "\n"
    assert repeats(paragraph * 6)
    assert not repeats(paragraph * 4)


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n" + "|---" * 40 + "|\n" + "| 1 " * 40 + "|",
        "\n".join(f"Chapter {number} {'.' * 120} {number * 7}" for number in range(60)),
        "Name: " + "_" * 400 + "\nDate: " + "_" * 400,
        "| Item | Qty |\n|---|---|\n" + "|  |  |\n" * 120,
        "<table>" + "<tr><td></td><td></td><td></td></tr>" * 60 + "</table>",
        "\n".join(f"| {number} | 0.00 | 0.00 |" for number in range(300)),
        "- item\n" * 40,
        "",
        "short",
    ],
    ids=["rule", "leaders", "lines", "empty form", "empty html table", "ledger", "short list", "empty", "short"],
)
def test_pages_that_repeat_by_right(text: str) -> None:
    """Tables, forms and tables of contents are no loops."""
    assert not repeats(text)


def test_a_wordless_loop_is_found_in_the_end() -> None:
    """Dashes to the output cap are no table."""
    assert repeats("|---|\n|" + "---|" * 4000)


def test_very_long_and_without_news() -> None:
    """A loop whose end differs is given away by how well it compresses; a long table of figures is not."""
    loop = "".join(f"and then the same words again, number {number}. " for number in range(2000)) + "The end."
    table = "\n".join(f"| {number * 7919 % 10007} | {number * 104729 % 99991} |" for number in range(2000))
    assert len(table) > 25_000
    assert repeats(loop)
    assert not repeats(table)


LABEL = (
    "Fragile, handle with care. Deliver to: Museum of Industry, Gate 4, 12 Harbour Road, Rotterdam. Return to sender.\n"
)
PAGES_OF_ONE_LINE = [
    LABEL * 30,
    "| Spare part | see list | on request | n/a |\n" * 60,
    "Signed: ______________________ Date: ______________\n" * 50,
    "本人确认以上内容属实，签字：\n" * 80,
]


@pytest.mark.parametrize("page", PAGES_OF_ONE_LINE, ids=["labels", "rows", "signatures", "chinese"])
def test_real_repetition_that_ended_by_itself_is_text(page: str) -> None:
    """The same text that ran into the cap, or that nobody has said to be at its end, is a loop."""
    for finish in ("stop", "STOP", "end_turn"):
        assert judge(Answer(text=page, finish_reason=finish), PageRequest()).failure is None
    for cut_off in (Answer(text=page, finish_reason="length", truncated=True), Answer(text=page)):
        failure = judge(cut_off, PageRequest()).failure
        assert failure is not None
        assert failure.code is ErrorCode.REPETITION


UNITS = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=150).map(
    lambda text: f"x{text}\n"
)


@given(st.text(max_size=300), UNITS)
def test_a_page_full_of_one_line_is_text_and_a_loop_to_the_cap_is_none(before: str, unit: str) -> None:
    """Whatever the line is: 6,000 characters fit a page, and 12,000 do not, even where the model ended them."""
    page = before + unit * (6_000 // len(unit))
    assert judge(Answer(text=page, finish_reason="stop"), PageRequest()).failure is None
    loop = before + unit * (12_000 // len(unit) + 1)
    assert fails_with(loop, truncated=True) is ErrorCode.REPETITION
    failure = judge(Answer(text=loop, finish_reason="stop"), PageRequest()).failure
    assert failure is not None
    assert failure.code is ErrorCode.REPETITION


def test_repetition_asks_for_another_try_and_keeps_the_text() -> None:
    """A loop that ran into the cap is a loop, not a truncation."""
    answer = judge(Answer(text="again and " * 500, truncated=True), PageRequest())
    assert answer.failure is not None
    assert (answer.failure.code, answer.failure.action) == (ErrorCode.REPETITION, Action.RETRY_CHANGED)
    assert answer.text


# --- extraction


def test_a_reply_that_satisfies_the_schema_passes_without_its_fence() -> None:
    """The column `data` gets bare JSON."""
    answer = judge(Answer(text='```json\n{"name": "x", "rows": [1, 2]}\n```'), PageRequest(json_schema=SCHEMA))
    assert answer.failure is None
    assert json.loads(answer.text) == {"name": "x", "rows": [1, 2]}


def test_rows_that_are_equal_are_no_loop_in_valid_json() -> None:
    """What satisfies the schema is not judged by its looks."""
    reply = json.dumps({"name": "x", "rows": [0] * 5000})
    assert fails_with(reply, schema=SCHEMA) is None


@pytest.mark.parametrize(
    "reply", ["no json", '{"name": 1}', '{"rows": []}', '{"name": "x", "more": 1}', '{"name": "x"', "[]"]
)
def test_a_reply_that_breaks_the_schema(reply: str) -> None:
    """It may be asked for once more, with the error."""
    failure = judge(Answer(text=reply), PageRequest(json_schema=SCHEMA)).failure
    assert failure is not None
    assert (failure.code, failure.action) == (ErrorCode.SCHEMA_MISMATCH, Action.RETRY_CHANGED)


def test_cut_off_json_says_so() -> None:
    """The sentence for the model names the reason that it can mend."""
    failure = judge(Answer(text='{"name": "x', truncated=True), PageRequest(json_schema=SCHEMA)).failure
    assert failure is not None
    assert "cut off" in failure.message


def test_complaints_do_not_quote_the_page() -> None:
    """Failures end in logs and error columns."""
    found = schema_violation('{"name": ["SECRET"], "rows": ["SECRET"], "SECRET": 1}', SCHEMA)
    assert found is not None
    assert "SECRET" not in found


def test_hostile_json_is_survived() -> None:
    """A reply as deep as JSON allows, a schema that refers to itself."""
    schema = '{"type": "object", "properties": {"a": {"$ref": "#"}}}'
    reply = '{"a":' * 900 + "{}" + "}" * 900
    assert schema_violation(reply, schema) in {None, "The reply is nested too deeply."}
    assert schema_violation("[" * 5000, schema) is not None


def test_a_schema_never_fetches_anything() -> None:
    """A reference to another place is an error, not a download."""
    found = schema_violation("{}", '{"$ref": "http://127.0.0.1:9/schema.json"}')
    assert found == "The schema refers to something that is not in it."


def test_a_schema_that_multiplies_is_given_up() -> None:
    """References that double at every level would be checked for ever."""
    levels = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(60)}
    schema = json.dumps({"$ref": "#/$defs/a0", "$defs": levels | {"a60": {"type": "object"}}})
    assert schema_violation("{}", schema) == "The schema takes too long to check."
    assert schema_violation("{}", '{"type": "object"}') is None


@pytest.mark.parametrize("schema", [{"pattern": "("}, {"$ref": "#/$defs", "$defs": {"minLength": {}}}])
def test_a_schema_that_cannot_be_applied_is_no_crash(schema: dict[str, Any]) -> None:
    """A pattern that is none, and a reference to what is no schema."""
    assert schema_violation('"x"', json.dumps(schema)) == "The schema cannot be applied to the reply."


def _nested(levels: int) -> dict[str, Any]:
    return {"items": _nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ({"properties": {"a": {"pattern": "(x+)+$"}}}, "pattern"),
        ({"$defs": {"a": {"patternProperties": {"(x+)+$": {}}}}}, "pattern"),
        ({"description": "x" * 40_000}, "longer"),
        (_nested(40), "deeper"),
    ],
)
def test_a_strangers_schema_is_bounded(schema: dict[str, Any], part: str) -> None:
    """Patterns that never end, sizes and depths are refused with a sentence."""
    assert part in (foreign_schema_fault(schema, json.dumps(schema)) or "")
    usual = {"type": "object", "properties": {"pattern": {"type": "string", "maxLength": 9}}}
    assert foreign_schema_fault(usual, json.dumps(usual)) is None


@pytest.mark.parametrize(
    ("schema", "usable"), [(SCHEMA, True), ("{", False), ("[]", False), ('{"type": "text"}', False)]
)
def test_schema_fault(schema: str, usable: bool) -> None:
    """A wrong schema is told before anything is sent."""
    assert (schema_fault(schema) is None) is usable


# --- what servers leave in an answer

PAGE = "# Title\n\nText"


@pytest.mark.parametrize(
    "said",
    [
        f"<think>A title, I think.</think>\n\n{PAGE}",
        f"\n<think>\n\n</think>\n\n{PAGE}",
        f"<thinking>\nA title.\n</thinking>{PAGE}",
        f"<think>a</think>\n<think>b</think>\n{PAGE}",
        f"◁think▷A title.◁/think▷{PAGE}",
        f"The page has a title.\n</think>\n\n{PAGE}",
        f"The page has a title. </think> \n{PAGE}",
        f"The page has a title.</think>{PAGE}",
        f"The page has a title.\n</think> {PAGE}",
        f"<think>a</think>\n\n```markdown\n{PAGE}\n```",
        f"<|begin_of_box|>{PAGE}<|end_of_box|>",
        f"<think>a</think><|begin_of_box|>\n{PAGE}\n<|end_of_box|>\n",
        f"{PAGE}\n</think>",
    ],
)
def test_thoughts_and_boxes_around_an_answer_go(said: str) -> None:
    """They are the server's, not the page's."""
    assert judge(Answer(text=said), PageRequest()).text == PAGE


@pytest.mark.parametrize(
    "page",
    [
        "# Tags\n\nA model writes <think> before it thinks and </think> behind.",
        "Thoughts begin with <think>\nand end with </think>\nas in the listing.",
        "The token `</think>`\nends a thought.",
        "It ends with </think> as a rule.\nAlways.",
        "One </think>\nand one more </think>\nare two.",
        "<think> is a tag that begins a thought.",
        "GLM writes <|begin_of_box|>42<|end_of_box|> around a result.",
        "a < b and </b> is no thought\n",
    ],
)
def test_a_page_that_shows_such_tags_loses_nothing(page: str) -> None:
    """Papers and manuals write of them."""
    assert judge(Answer(text=page), PageRequest()).text == page.strip()


def test_a_thought_that_reached_the_cap_is_no_text() -> None:
    """It is asked for with more room."""
    failure = judge(Answer(text="<think>A title, and", truncated=True), PageRequest()).failure
    assert failure is not None
    assert (failure.code, failure.action) == (ErrorCode.TRUNCATED, Action.RETRY_CHANGED)


@pytest.mark.parametrize("before", ["<think>{no}</think>", "The JSON is {so}.\n</think>\n", "<|begin_of_box|>"])
def test_json_behind_thoughts_counts(before: str) -> None:
    """An extraction is judged by what follows them."""
    answer = judge(Answer(text=f'{before}{{"name": "x", "rows": []}}'), PageRequest(json_schema=SCHEMA))
    assert (answer.text, answer.failure) == ('{"name": "x", "rows": []}', None)


def test_half_a_character_in_json_goes() -> None:
    """Escaped or not; whole pairs and escaped backslashes stay."""
    said = r'{"name": "a\ud83d b \ud83d\ude00 c:\\ud83d", "rows": []}'
    answer = judge(Answer(text=said), PageRequest(json_schema=SCHEMA))
    assert answer.failure is None
    assert json.loads(answer.text)["name"] == "a b \N{GRINNING FACE} c:\\ud83d"
