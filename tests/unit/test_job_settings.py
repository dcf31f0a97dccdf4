"""From settings to what a run works with; no Ray in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS, DEFAULT_MODELS
from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import PageRequest
from one_ocr_ray.policy.page.prompts import EXTRACT, TRANSCRIBE
from one_ocr_ray.policy.ratelimit.adapt import Rates
from one_ocr_ray.settings.run import Settings, load
from one_ocr_ray.setup.job import (
    ENGINES_OF_SETTING,
    engine_options_of,
    fingerprint_of,
    limits_of,
    llm_setups_of,
    output_uri_of,
    page_request_of,
    pdf_options_of,
    prices_of,
    selection_of,
    settings_without_effect,
)

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.mark.parametrize("engine", ["openai", "gemini"])
def test_an_engine_has_a_model_and_an_endpoint_of_its_own(engine: str) -> None:
    """The documented defaults, where nothing else is said."""
    llm = engine_options_of(load({"engine": engine}))
    assert llm is not None
    assert (llm.name, llm.model, llm.base_url) == (engine, DEFAULT_MODELS[engine], DEFAULT_BASE_URLS[engine])
    assert llm.image_detail == "high"


def test_a_flag_wins_over_the_variable_of_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slash at its end goes; the variable is OpenAI's alone."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://variable/v1/")
    assert engine_options_of(load({"engine": "openai"})).base_url == "http://variable/v1"  # type: ignore[union-attr]
    flags = {"engine": "openai", "base_url": "http://flag/v1"}
    assert engine_options_of(load(flags)).base_url == "http://flag/v1"  # type: ignore[union-attr]
    assert engine_options_of(load({"engine": "gemini"})).base_url == DEFAULT_BASE_URLS["gemini"]  # type: ignore[union-attr]


def test_a_key_in_the_place_of_its_variable_is_refused_without_showing_it() -> None:
    """What stands behind # of an address is the name of a variable."""
    with pytest.raises(UsageError, match="#KEY_OF_HOST") as caught:
        engine_options_of(load({"engine": "openai", "base_url": ["http://a/v1#KEY_OF_A", "http://b/v1#sk-secret"]}))
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("flag", ["prompt_file", "schema"])
def test_an_empty_file_is_no_prompt_and_no_schema(flag: str, tmp_path: Path) -> None:
    """A model without a prompt answers anything, and each page is paid."""
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match=f"--{flag.replace('_', '-')}: the file .* is empty"):
        page_request_of(load({"engine": "openai", flag: str(tmp_path / "empty")}))


def test_each_engine_has_its_word_for_looking_closely() -> None:
    """`detail` at openai, `media_resolution` at gemini."""
    looks = {"detail": "low", "media_resolution": "medium"}
    assert engine_options_of(load({"engine": "openai", **looks})).image_detail == "low"  # type: ignore[union-attr]
    assert engine_options_of(load({"engine": "gemini", **looks})).image_detail == "medium"  # type: ignore[union-attr]


def test_secrets_of_a_choice_do_not_show() -> None:
    """It travels to workers and may be printed there; gateways take keys in headers and queries."""
    secrets = {"headers": '{"X-Key": "canary-1"}', "query": '{"key": "canary-2"}'}
    llm = engine_options_of(load({"engine": "openai", "base_url": "http://user:canary-3@host/v1", **secrets}))
    assert "canary" not in repr(llm)
    assert llm is not None
    assert llm.headers["X-Key"].get_secret_value() == "canary-1"


@pytest.mark.parametrize("flag", ["model", "base_url", "prompt_file", "schema", "max_cost"])
def test_the_embedded_engine_refuses_what_only_an_llm_knows(flag: str) -> None:
    """A flag without effect would be a promise that is not kept."""
    assert engine_options_of(load({})) is None
    with pytest.raises(UsageError, match=f"--{flag.replace('_', '-')} needs an LLM engine"):
        engine_options_of(load({flag: "1"}))


def test_a_ceiling_needs_a_price() -> None:
    """Of the table or of the user; an unknown price or tier is refused before any work."""
    flags = {"engine": "openai", "model": "own", "max_cost": "5"}
    with pytest.raises(UsageError, match="price of own is unknown"):
        engine_options_of(load(flags))
    prices = json.dumps({"own": {"input_usd": 1, "output_usd": 2}})
    settings = load({**flags, "prices": prices})
    assert engine_options_of(settings) is not None
    assert (prices_of(settings)["own"].output_usd, prices_of(settings)["own"].cached_usd) == (2, None)
    with pytest.raises(UsageError, match="price"):
        engine_options_of(load({**flags, "model": DEFAULT_MODELS["openai"], "service_tier": "priority"}))


def test_the_prompt_is_built_in_for_its_purpose_or_the_users(tmp_path: Path) -> None:
    """Transcription, extraction with a schema, or the text of a file."""
    (tmp_path / "p.txt").write_text("Read it.", encoding="utf-8")
    (tmp_path / "s.json").write_text('{"type": "object"}')
    assert page_request_of(load({})) == PageRequest()
    assert page_request_of(load({"engine": "openai"})).prompt == TRANSCRIBE.text
    extracting = page_request_of(load({"engine": "openai", "schema": tmp_path / "s.json"}))
    assert (extracting.prompt, extracting.json_schema) == (EXTRACT.text, '{"type": "object"}')
    own = load({"engine": "openai", "schema": tmp_path / "s.json", "prompt_file": tmp_path / "p.txt"})
    assert page_request_of(own).prompt == "Read it."


def test_the_limits_of_an_answer_come_from_the_settings() -> None:
    """`off` leaves the reasoning out, for servers that refuse the field."""
    request = page_request_of(load({"engine": "openai", "output_tokens": "100", "reasoning": "off"}))
    assert (request.output_tokens_cap, request.reasoning) == (100, None)
    assert page_request_of(load({"engine": "openai"})).reasoning == "low"


@pytest.mark.parametrize(("flag", "name"), [("schema", "--schema"), ("prompt_file", "--prompt-file")])
def test_a_file_that_cannot_be_read_is_named(flag: str, name: str, tmp_path: Path) -> None:
    """Also one that is not text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for file in ("gone", "binary"):
        with pytest.raises(UsageError, match=f"{name}: the file .*{file} cannot be read"):
            page_request_of(load({"engine": "openai", flag: tmp_path / file}))


@pytest.mark.parametrize("text", ["{", "[]", '{"type": 7}'])
def test_what_is_no_schema_is_refused(text: str, tmp_path: Path) -> None:
    """Before any page is read."""
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UsageError, match="--schema"):
        page_request_of(load({"engine": "openai", "schema": tmp_path / "s.json"}))


def fingerprint(**flags: Any) -> Fingerprint:
    settings = load(flags)
    return fingerprint_of(settings, llm_setups_of(settings), selection_of(settings))


def test_the_fingerprint_is_what_decides_a_rows_content(tmp_path: Path) -> None:
    """Engine, model, prompt, schema, image size and pages make other work; limits, cluster and money do not."""
    (tmp_path / "p.txt").write_text("Read it.")
    (tmp_path / "s.json").write_text('{"type": "object"}')
    base = fingerprint(engine="openai")
    for other in (
        {"model": "another"},
        {"prompt_file": tmp_path / "p.txt"},
        {"schema": tmp_path / "s.json"},
        {"longest_side": 800},
        {"pages": "1-2"},
    ):
        assert fingerprint(engine="openai", **other).config_id != base.config_id, other
    same = fingerprint(engine="openai", rpm=60, max_in_flight=1, max_cost=1, workers=3, base_url="http://x/v1")
    assert same == base
    assert fingerprint(engine="openai", pages="1-").config_id == base.config_id


def test_the_fingerprint_of_the_embedded_engine_has_no_prompt() -> None:
    """Its settings of prompts and tokens mean nothing."""
    values = asdict(fingerprint())
    assert (values["engine"], values["prompt_sha256"], values["schema_sha256"]) == ("local", None, None)
    assert values["model"]


def test_pages_limits_password_and_output_come_through(tmp_path: Path) -> None:
    """Each in the noun that its user wants; the password hides itself."""
    settings = load({"pages": "2-3", "rpm": 5, "tpm": 6, "rpd": 7, "max_in_flight": 8, "password": "canary"})
    assert selection_of(settings).of(10) == [2, 3]
    assert asdict(limits_of(settings)) == {
        "requests_per_minute": 5, "tokens_per_minute": 6, "requests_per_day": 7, "max_in_flight": 8,
    }  # fmt: skip
    options = pdf_options_of(settings)
    assert options.password_text == "canary"
    assert "canary" not in repr(options)
    assert output_uri_of(load({"output": "s3://bucket/out"})) == "s3://bucket/out"
    assert output_uri_of(load({"output": str(tmp_path / "o")})) == str(tmp_path / "o")


def test_own_servers_have_no_rate_that_nobody_has_named() -> None:
    """With a known rate the window of requests in flight would not follow the queue of the server."""
    limits = limits_of(load({"engine": "vllm", "model": "m"}))
    assert (limits.tokens_per_minute, limits.requests_per_day) == (None, None)
    rates = Rates(0.0)
    rates.set_configured(limits, 0.0)
    assert (rates.known, rates.windowed, rates.unlimited) == (False, True, True)
    assert rates.ceiling.requests_per_minute is None


@pytest.mark.parametrize("pages", ["x", "0", "3-1"])
def test_what_is_no_selection_is_refused(pages: str) -> None:
    """With the name of the flag."""
    with pytest.raises(UsageError, match="--pages"):
        selection_of(load({"pages": pages}))


def test_settings_that_the_engine_does_not_heed_are_said_in_one_line() -> None:
    """Wherever they come from; a default says nothing, and every setting of an engine is judged."""
    assert settings_without_effect(load({})) is None
    given = {"rpm": 10, "timeout": 9, "headers": "{}", "media_resolution": "low", "longest_side": 800}
    said = "Without effect with --engine local: --rpm, --timeout, --headers, --media-resolution."
    assert settings_without_effect(load(given)) == said
    assert (
        settings_without_effect(load({**given, "engine": "openai"}))
        == "Without effect with --engine openai: --media-resolution."
    )
    assert settings_without_effect(load({**given, "engine": "gemini"})) is None
    of_all_or_refused = {
        "engine", "model", "base_url", "longest_side", "prompt_file", "schema", "max_cost", "route", "escalate",
        "gates", "audit", "engines", "endpoints",
    }  # fmt: skip
    for name, setting in Settings.model_fields.items():
        extra = setting.json_schema_extra
        if isinstance(extra, dict) and extra["group"] in ("Engine", "Limits of the account"):
            assert (name in ENGINES_OF_SETTING) is (name not in of_all_or_refused), name
