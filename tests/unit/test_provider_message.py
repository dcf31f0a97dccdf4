"""What is shown of a provider's own sentence: its reason, and no secret, prompt or page."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.page.prompts import TRANSCRIBE
from one_ocr_ray.policy.page.provider_message import MAX_MESSAGE_CHARS, clean_message

MODEL = "Qwen/Qwen3-VL-235B-A22B-Instruct-FP8"


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Budget has been exceeded! Current cost: 10.02, Max budget: 10.0", None),
        ("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day", None),
        ('"llava:7b" does not support thinking', None),
        ("This model's maximum context length is 128000 tokens.", None),
        ("Unsupported parameter: 'temperature' is not supported with this model.", None),
        (f"The model `{MODEL}` does not exist or you do not have access to it.", None),
        ("请求过于频繁，请稍后再试。", None),
        ("Rate limit reached. Visit https://platform.openai.com/account/rate-limits to learn more.", None),
        ("Slow\x00 down\r\n\tplease\u202e", "Slow down please"),
        ("Incorrect API key provided: hunter2.", "Incorrect API key provided: [...]"),
        ("Incorrect API key provided: sk-c****cdef. You can", "Incorrect API key provided: [...] You can"),
        ("No access for sk-proj-Ab1Cd2", "No access for [...]"),
        ("Key gsk_abcdefgh is not known", "Key [...] is not known"),
        ("Bearer abc was refused", "Bearer [...] was refused"),
        ("Limit of organization org-AbCdEfGh reached", "Limit of organization [...] reached"),
        ("No 0a1b2c3d4e5f60718293a4b5c6d7e8f9 here", "No [...] here"),
        ("Ask ada@example.com for more", "Ask [...] for more"),
        ("See https://user:pass@example.com/a?key=hunter2#x now", "See https://example.com/a now"),
        ("1 error: input_value='Transcribe this', input_type=str", "1 error: …"),
        ("Invalid messages=[{'role': 'user', 'content': 'my page'}]", "Invalid …"),
        ("Bad value '" + "a word of a page " * 5 + "' here", "Bad value … here"),
        ("sk-canary", ""),
        ("[1, 2, 3]", ""),
        ("", ""),
    ],
)
def test_what_is_left(sentence: str, shown: str | None) -> None:
    """Reasons stay as they are (None); what may be a secret or a quotation goes."""
    assert clean_message(sentence, known=[MODEL]) == (sentence if shown is None else shown)


def test_a_prompt_is_not_repeated() -> None:
    """However the server quotes it."""
    sentence = f"Cannot handle {TRANSCRIBE.text[30:200]}"
    assert clean_message(sentence, prompt=TRANSCRIBE.text) == "Cannot handle …"


def test_an_image_is_not_repeated() -> None:
    """A data URL is a long word, with and without quotes."""
    image = base64.b64encode(bytes(range(256)) * 4).decode()
    for sentence in (f"Cannot load data:image/jpeg;base64,{image} now", f"Cannot load '{image}' now"):
        assert image[8:40] not in clean_message(sentence)
        assert clean_message(sentence).startswith("Cannot load")


def test_long_sentences_are_cut_between_words() -> None:
    """A line of a terminal or two."""
    shown = clean_message("a reason and " * 400)
    assert len(shown) <= MAX_MESSAGE_CHARS
    assert shown.endswith(("reason…", "and…", "a…"))


KEYS = st.text(string.ascii_letters + string.digits + "-_.~+/=", min_size=6, max_size=60)


@given(key=KEYS, before=st.text(max_size=80), after=st.text(max_size=80), cut=st.integers(0, 40))
def test_a_known_secret_never_shows(key: str, before: str, after: str, cut: int) -> None:
    """Nor a piece of it that is long enough to help."""
    shown = clean_message(f"{before}{key[: max(6, len(key) - cut)]}{after}", secrets=[key])
    assert not any(key[start : start + 6] in shown for start in range(len(key) - 5))


@given(st.text(max_size=3000))
def test_whatever_is_said_fits_on_a_line(sentence: str) -> None:
    """Printable, short, and never an exception."""
    shown = clean_message(sentence)
    assert len(shown) <= MAX_MESSAGE_CHARS
    assert shown.isprintable()
