"""cluster.yaml against Ray's own schema and checks; no cloud is asked."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config  # the checks of `ray up`; there is no dry run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config() -> dict[str, Any]:
    """The file as `ray up` reads it."""
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_ray_takes_the_file(config: dict[str, Any]) -> None:
    """By its schema, and after its own preparation."""
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    validate_config(prepare_config(copy.deepcopy(config)))


def test_the_check_can_fail(config: dict[str, Any]) -> None:
    """A misspelt key is refused, so the test above says something."""
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config(config | {"max_worker": 3}))


def test_the_head_does_no_work_and_workers_are_spot_from_zero(config: dict[str, Any]) -> None:
    """What the comments of the file promise."""
    head, worker = config["available_node_types"]["head"], config["available_node_types"]["worker"]
    assert head["resources"] == {"CPU": 0}
    assert worker["min_workers"] == 0
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_every_start_asks_for_the_token_and_gets_the_key_from_the_secret_manager(config: dict[str, Any]) -> None:
    """On the head and on workers; the dashboard listens inside the head only."""
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        start = next(command for command in commands if "ray start" in command)
        assert "RAY_AUTH_MODE=token" in start
        assert 'OPENAI_API_KEY="$(aws secretsmanager' in start
    assert "--dashboard-host=127.0.0.1" in " ".join(config["head_start_ray_commands"])
