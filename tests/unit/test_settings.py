"""One declaration, three sources, no secrets shown."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.environment import refuse_keys_in, submitted_runtime_env
from one_ocr_ray.errors import UsageError
from one_ocr_ray.settings.run import Settings, load, password_of
from one_ocr_ray.settings.service import unknown_variables

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONE_OCR_RPM", raising=False)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The precedence of the contract."""
    file = tmp_path / "run.toml"
    file.write_text("rpm = 1\ntpm = 1\nrpd = 1\n")
    monkeypatch.setenv("ONE_OCR_RPM", "2")
    monkeypatch.setenv("ONE_OCR_TPM", "2")
    settings = load({"rpm": "3"}, file)
    assert (settings.rpm, settings.tpm, settings.rpd, settings.max_in_flight) == (3, 2, 1, 256)


@pytest.mark.parametrize(("name", "text"), [("c.yaml", "rpmm: 1"), ("c.toml", "rpmm = 1")])
def test_an_unknown_key_is_refused(tmp_path: Path, name: str, text: str) -> None:
    """A typing mistake must not become a default."""
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match="rpmm"):
        load({}, tmp_path / name)


def test_an_unknown_variable_is_a_warning_that_names_what_it_resembles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cluster software and CI set such names. The value may be a secret; a setting of the service is known."""
    for name in list(os.environ):
        if name.upper().startswith("ONE_OCR_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ONE_OCR_STORE", "/store")
    assert unknown_variables() is None
    monkeypatch.setenv("ONE_OCR_RPMM", "sk-secret")
    monkeypatch.setenv("one_ocr_max_in_flihgt", "1")
    monkeypatch.setenv("ONE_OCR_SERVICE_PORT_8000_TCP", "tcp://10.0.0.1:8000")
    load({})
    assert unknown_variables() == (
        "Not a setting, and without effect: ONE_OCR_RPMM (do you mean ONE_OCR_RPM?), ONE_OCR_SERVICE_PORT_8000_TCP, "
        "one_ocr_max_in_flihgt (do you mean ONE_OCR_MAX_IN_FLIGHT?)."
    )


@pytest.mark.parametrize("text", ["rpm: [", "- 1", "rpm: \x00", "[" * 20_000])
def test_a_file_that_is_not_settings_is_one_sentence(tmp_path: Path, text: str) -> None:
    """Whatever is wrong with it."""
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"c\.yaml"):
        load({}, tmp_path / "c.yaml")
    with pytest.raises(UsageError, match=r"nope\.yaml"):
        load({}, tmp_path / "nope.yaml")


def test_a_bad_value_is_named_without_showing_it() -> None:
    """The value may be a secret in the wrong place."""
    with pytest.raises(UsageError, match="max_in_flight") as caught:
        load({"max_in_flight": "sk-secret"})
    assert "sk-secret" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    """Not in repr, not in a dump."""
    settings = load({"password": "opensesame"})
    assert "opensesame" not in repr(settings)
    assert "opensesame" not in settings.model_dump_json()
    assert password_of(settings) == "opensesame"


def test_a_password_file_wins_and_loses_its_line_break(tmp_path: Path) -> None:
    """As editors and `echo` write it."""
    (tmp_path / "pw").write_text("密码 2026\n", encoding="utf-8")
    assert password_of(load({"password_file": str(tmp_path / "pw")})) == "密码 2026"
    with pytest.raises(UsageError, match="cannot be read"):
        password_of(load({"password_file": str(tmp_path / "nope")}))


def test_a_password_flag_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the two it is; both flags at once are a mistake."""
    (tmp_path / "pw").write_text("of the file")
    monkeypatch.setenv("ONE_OCR_PASSWORD_FILE", str(tmp_path / "pw"))
    assert password_of(load({})) == "of the file"
    assert password_of(load({"password": "of the flag"})) == "of the flag"
    with pytest.raises(UsageError, match="not both"):
        load({"password": "a", "password_file": str(tmp_path / "pw")})


@pytest.mark.parametrize("name", ["rpm", "tpm", "timeout", "max_cost"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_number_is_finite(name: str, value: str) -> None:
    """An endless time-out or an infinite ceiling is a slip."""
    with pytest.raises(UsageError, match=name):
        load({name: value})


@pytest.mark.parametrize(
    ("text", "inputs"), [("a b.pdf", ("a b.pdf",)), ('["a.pdf", "b"]', ("a.pdf", "b")), ("[1].pdf", ("[1].pdf",))]
)
def test_the_environment_names_inputs_plainly_or_as_json(
    text: str, inputs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One INPUT needs no brackets around it."""
    monkeypatch.setenv("ONE_OCR_INPUTS", text)
    assert load({}).inputs == inputs


@pytest.mark.parametrize("name", ["headers", "query", "prices"])
def test_what_is_not_json_in_the_environment_is_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, and never the value."""
    monkeypatch.setenv(f"ONE_OCR_{name.upper()}", "{sk-secret")
    with pytest.raises(UsageError, match=f'Setting {name}: Input should be JSON, such as {{"') as caught:
        load({})
    assert "sk-secret" not in str(caught.value)
    monkeypatch.setenv(f"ONE_OCR_{name.upper()}", "{}")
    assert getattr(load({}), name) == {}


@pytest.mark.parametrize("headers", ['{"X-A": "sk-secret\\nX-B: c"}', '{"X A": "sk-secret"}', '{"": "sk-secret"}'])
def test_a_header_that_no_request_can_carry_is_refused(headers: str) -> None:
    """Before anything is sent, and without the value."""
    with pytest.raises(UsageError, match="Setting headers: Input should be HTTP headers") as caught:
        load({"headers": headers})
    assert "sk-secret" not in str(caught.value)
    assert load({"headers": '{"X-A": "b\\tc é"}'}).headers["X-A"].get_secret_value() == "b\tc é"


@pytest.mark.parametrize(
    ("engine", "name", "sentence"),
    [("openai", "openai", "engines: openai is --engine itself"), ("local", "local", "The name local")],
)
def test_an_entry_of_engines_that_nobody_would_ask_is_refused(engine: str, name: str, sentence: str) -> None:
    """It had no effect: that name is another reader's already."""
    with pytest.raises(UsageError, match=sentence):
        load({"engine": engine, "engines": {name: {"engine": "openai", "model": "m"}}})


@pytest.mark.parametrize(("name", "text"), [("c.yaml", "max-pages: 7\ninputs: a.pdf"), ("c.toml", "max-pages = 7")])
def test_a_file_may_write_names_as_flags_do(tmp_path: Path, name: str, text: str) -> None:
    """`max-pages` and `max_pages` are one setting."""
    (tmp_path / name).write_text(text)
    assert load({}, tmp_path / name).max_pages == 7


def test_every_setting_has_a_flag_of_its_name() -> None:
    """Flags, variables and keys come from one declaration, described for people."""
    for name, setting in Settings.model_fields.items():
        assert setting.description, name
        assert name == "inputs" or setting.json_schema_extra


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_a_key_in_a_runtime_env_is_refused_without_showing_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `ray job submit` hands it over; the sentence names the variable and what to do."""
    config = json.dumps({"runtime_env": {"env_vars": {name: "sk-canary", "OTHER": "1"}}, "metadata": {}})
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", config)
    with pytest.raises(UsageError, match=f"{name}_FILE") as refused:
        refuse_keys_in(submitted_runtime_env())
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "config",
    [
        "{}",
        '{"metadata": {}}',
        '{"runtime_env": null}',
        '{"runtime_env": {"working_dir": "."}}',
        '{"runtime_env": {"env_vars": {"OPENAI_API_KEY_FILE": "/run/key", "GEMINI_API_KEY": ""}}}',
    ],
)
def test_a_file_of_a_key_in_a_runtime_env_is_fine(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is no secret; and a job without variables is the normal case."""
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", config)
    refuse_keys_in(submitted_runtime_env())
