"""`engines` of a configuration file: names for a route, each with model, account, limits and prices of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from one_ocr_ray.environment import keys_in, provider_key
from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.ratelimit.messages import Limits
from one_ocr_ray.settings.run import Settings, key_variables, load
from one_ocr_ray.setup.endpoints import total_limits
from one_ocr_ray.setup.job import fingerprint_of, llm_setups_of, selection_of

ROUTING = Path(__file__).resolve().parents[2] / "docs" / "routing.md"
SMALL = {"engine": "openai", "model": "s", "base_url": "http://s/v1", "api_key_env": "KEY_S", "rpm": 5}
LARGE = {"engine": "gemini", "model": "l", "timeout": 7.0, "prices": {"input_usd": 1, "output_usd": 2}}
BOTH = {"small": SMALL, "large": LARGE}


def settings(route: str = "text-layer,local,small,large", **flags: Any) -> Settings:
    return load({"route": route, "engines": BOTH, **flags})


def config_id(chosen: Settings) -> str:
    return fingerprint_of(chosen, llm_setups_of(chosen), selection_of(chosen)).config_id


def test_each_reader_has_model_account_and_limits_of_its_own() -> None:
    """What an entry leaves out is as the flags say, but never another account's address, key or limits."""
    setups = llm_setups_of(settings(timeout=9.0, rpm=1, max_in_flight=3))
    assert list(setups) == ["small", "large"]
    small, large = (setup.endpoints[0] for setup in setups.values())
    assert (small.options.model, small.options.base_url, small.options.key_variable) == ("s", "http://s/v1", "KEY_S")
    assert (large.options.name, large.options.model, large.options.key_variable) == ("gemini", "l", None)
    assert (small.options.timeout_s, large.options.timeout_s) == (9.0, 7.0)
    assert (small.limits, large.limits) == (Limits(5, None, None, 3), Limits(None, None, None, 3))
    assert (setups["small"].prices, setups["large"].prices) == ({}, {"l": Price(1, 2)})


def test_a_named_engine_is_a_part_of_the_configuration_and_its_address_is_not() -> None:
    """Another model behind the same name is another configuration; the same model elsewhere is the same."""
    same = settings(engines={**BOTH, "small": {**SMALL, "base_url": "http://elsewhere/v1", "rpm": 9}})
    other = settings(engines={**BOTH, "small": {**SMALL, "model": "other"}})
    assert config_id(settings()) == config_id(same)
    assert config_id(settings()) != config_id(other)


def test_an_engine_as_it_comes_can_stand_on_any_route() -> None:
    """Its documented model, under its usual key."""
    setups = llm_setups_of(load({"engine": "openai", "route": "openai,gemini", "model": "m"}))
    assert [setup.options.model for setup in setups.values()] == ["m", "gemini-3.8-flash"]


@pytest.mark.parametrize(
    ("engines", "says"),
    [
        ({"Large": SMALL}, "name 'Large' cannot be used"),
        ({"auto": SMALL}, "name 'auto' cannot be used"),
        ({"small": {"model": "s"}}, "Say which engine small is"),
        ({"small": {**SMALL, "key": "canary"}}, "Unknown setting engines.small.key"),
        ({"small": {**SMALL, "api_key_env": "sk-canary"}}, "engines.small.api_key_env"),
        ({"small": "openai"}, "engines.small"),
    ],
)
def test_a_wrong_entry_is_one_sentence_without_its_values(engines: dict[str, Any], says: str) -> None:
    """A key that was written into the file by mistake is not repeated."""
    with pytest.raises(UsageError, match=re.escape(says)) as refused:
        load({"engines": engines})
    assert "canary" not in str(refused.value)


def test_a_ceiling_needs_the_price_of_every_model() -> None:
    """Whichever reader it is that has none."""
    with pytest.raises(UsageError, match="the price of s is unknown"):
        llm_setups_of(settings(max_cost=1.0))


def test_a_key_is_read_from_the_variable_that_is_named_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On the node, or from a file; in a runtime_env it is found as any other."""
    monkeypatch.setenv("OPENAI_API_KEY", "usual")
    assert provider_key("openai", "KEY_S") is None
    (tmp_path / "key").write_text("own\n")
    monkeypatch.setenv("KEY_S_FILE", str(tmp_path / "key"))
    assert provider_key("openai", "KEY_S").get_secret_value() == "own"  # type: ignore[union-attr]
    assert keys_in({"env_vars": {"KEY_S": "own", "OTHER": "x"}}, key_variables(settings())) == ["KEY_S"]


def test_the_documented_file_is_one_that_a_run_takes(tmp_path: Path) -> None:
    """The worked example of docs/routing.md."""
    examples = re.findall(r"```yaml\n(.*?)```", ROUTING.read_text(), re.DOTALL)
    (example,) = (each for each in examples if "engines:" in each)
    (tmp_path / "one-ocr.yaml").write_text(example)
    setups = llm_setups_of(load({}, tmp_path / "one-ocr.yaml"))
    assert list(setups) == ["small", "large"]
    assert all(setup.endpoints[0].limits.requests_per_minute for setup in setups.values())


def test_several_addresses_are_endpoints_of_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with the key in its variable and the limits of the flags; names are hosts, and never hold a key."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    urls = ["http://a:8000/v1#KEY_A", "http://u:canary@b/v1/", "http://b/v1#KEY_B"]
    (setup,) = llm_setups_of(load({"engine": "openai", "base_url": urls, "rpm": 60})).values()
    told = [(each.name, each.options.base_url, each.options.key_variable) for each in setup.endpoints]
    assert told == [
        ("a:8000", "http://a:8000/v1", "KEY_A"),
        ("b", "http://u:canary@b/v1", None),
        ("b-2", "http://b/v1", "KEY_B"),
    ]
    assert {each.limits for each in setup.endpoints} == {Limits(60, None, None, 256)}
    assert "canary" not in repr(setup)
    assert key_variables(load({"engine": "openai", "base_url": urls})) == ("KEY_A", "KEY_B")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://a/v1,http://b/v1")
    (setup,) = llm_setups_of(load({"engine": "openai"})).values()
    assert [each.name for each in setup.endpoints] == ["a", "b"]


def test_endpoints_of_a_file_have_limits_and_weights_of_their_own() -> None:
    """Without an address the provider's own: two keys of one provider are two endpoints. Limits add up."""
    two = [{"api_key_env": "KEY_1", "rpm": 500}, {"name": "second", "api_key_env": "KEY_2", "rpm": 100, "weight": 0.5}]
    (setup,) = llm_setups_of(load({"engine": "gemini", "endpoints": two})).values()
    assert [each.name for each in setup.endpoints] == ["generativelanguage.googleapis.com", "second"]
    assert [each.weight for each in setup.endpoints] == [1.0, 0.5]
    assert total_limits(setup.endpoints) == Limits(600, None, None, 256)
    chosen = settings(engines={**BOTH, "small": {"engine": "openai", "model": "s", "endpoints": two}})
    assert config_id(chosen) == config_id(settings())
    with pytest.raises(UsageError, match="same address and the same key"):
        llm_setups_of(load({"engine": "gemini", "endpoints": [two[0], two[0]]}))
    with pytest.raises(UsageError, match="not both"):
        llm_setups_of(load({"engine": "gemini", "endpoints": two, "base_url": "http://a"}))


def test_the_documented_endpoints_are_those_of_a_run(tmp_path: Path) -> None:
    """The worked example of docs/providers.md."""
    examples = re.findall(r"```yaml\n(.*?)```", ROUTING.with_name("providers.md").read_text(), re.DOTALL)
    (example,) = (each for each in examples if "endpoints:" in each)
    (tmp_path / "one-ocr.yaml").write_text(example)
    (setup,) = llm_setups_of(load({}, tmp_path / "one-ocr.yaml")).values()
    assert [each.name for each in setup.endpoints] == ["rack-1", "rack-2", "hosted"]
