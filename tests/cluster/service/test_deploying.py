"""What `serve run` and `serve deploy` do with the service, short of serving it."""

from __future__ import annotations

import orjson
import pytest
import ray

from one_ocr_ray.cluster.service.serving import build
from one_ocr_ray.errors import UsageError

KEY = {"env_vars": {"OPENAI_API_KEY": "sk-canary"}}


def test_a_key_in_the_runtime_env_of_a_job_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for a run: Ray shows it to everyone who sees the job. The key itself is not repeated."""
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", orjson.dumps({"runtime_env": KEY}).decode())
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as refused:
        build({"engine": "openai"})
    assert "sk-canary" not in str(refused.value)


@pytest.mark.usefixtures("ray_cluster")
def test_a_key_in_the_runtime_env_of_an_application_is_refused() -> None:
    """Serve builds an application in a task that has the application's own runtime environment."""

    @ray.remote(num_cpus=0, max_retries=0)
    def built() -> str:
        try:
            build({"engine": "openai"})
        except UsageError as error:
            return str(error)
        return "accepted"

    assert "OPENAI_API_KEY" in ray.get(built.options(runtime_env=KEY).remote())
