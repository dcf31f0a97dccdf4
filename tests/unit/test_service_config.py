"""From settings and an upload's options to what a task may do: what the operator has set is never exceeded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.errors import OptionsError
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.page.prompts import EXTRACT, prompt_sha256
from one_ocr_ray.policy.ratelimit.messages import Limits
from one_ocr_ray.policy.route.chain import needs_embedded_engine
from one_ocr_ray.policy.tasks.task import TaskOptions, TaskRecord
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.upload.options import parse_options
from one_ocr_ray.settings.service import load_service
from one_ocr_ray.storage.tasks.task_store import TaskStore
from one_ocr_ray.tasks.service_config import (
    TaskAssignment,
    has_embedded_engine,
    identity_of,
    left_usd,
    service_config_of,
    task_job,
)

if TYPE_CHECKING:
    from pathlib import Path


def order(**options: Any) -> TaskAssignment:
    return TaskAssignment(TaskRecord("t_1", "b_1", "", "a.pdf", 1, "", datetime.now(UTC), TaskOptions(**options)))


def left(folder: Path, flags: dict[str, Any], **options: Any) -> float | None:
    service = service_config_of(load_service({"store": str(folder), "engine": "openai", **flags}))
    job, _ = task_job(service, order(**options), TaskStore(str(folder)))
    return left_usd(service, order(**options), job, TaskStore(str(folder)))


def test_the_ceiling_of_a_task_is_the_least_of_operator_and_uploader(tmp_path: Path) -> None:
    """Either may set one; the uploader's never raises the operator's."""
    assert left(tmp_path, {}) is None
    assert left(tmp_path, {"max_cost": 0.5}) == 0.5
    assert left(tmp_path, {}, max_cost_usd=2.0) == 2.0
    assert left(tmp_path, {"max_cost": 0.5}, max_cost_usd=1e6) == 0.5
    assert left(tmp_path, {"max_cost": 0.5}, max_cost_usd=0.1) == 0.1


def test_a_task_asks_models_that_the_operator_offers(tmp_path: Path) -> None:
    """The configured one and those of --models; also for a task that an older service has accepted."""
    flags = {"model": "gpt-5.6", "models": "gpt-5.6-luna, gpt-5.5"}
    for model in (None, "gpt-5.6", "gpt-5.6-luna", "gpt-5.5"):
        left(tmp_path, flags, model=model)
    with pytest.raises(OptionsError, match="--models") as refused:
        left(tmp_path, flags, model="gpt-6-astra")
    assert refused.value.code is ErrorCode.MODEL_NOT_FOUND


@pytest.mark.parametrize("options", [{"engine": "gemini"}, {"engine": "local", "prompt": "Read."}])
def test_what_the_service_does_not_offer_is_not_told_as_a_bad_key(tmp_path: Path, options: dict[str, Any]) -> None:
    """Of a task that was accepted before the service was set up otherwise: the code says what to mend."""
    with pytest.raises(OptionsError) as refused:
        left(tmp_path, {"engines": "local"}, **options)
    assert refused.value.code is ErrorCode.INVALID_OPTIONS


def test_a_schema_is_asked_of_a_model_for_every_page(tmp_path: Path) -> None:
    """Also where the service reads text layers first; the prompt is that of extractions, unless one is given."""
    flags = {"store": str(tmp_path), "engine": "openai", "route": "auto", "profile": "olmocr-2"}
    service, store = service_config_of(load_service(flags)), TaskStore(str(tmp_path))
    schema = '{"type": "object"}'
    job, fingerprint = task_job(service, order(schema=schema), store)
    request = job.engines["openai"].request
    assert (request.json_schema, request.prompt, request.profile) == (schema, EXTRACT.text, None)
    assert job.route.names == ("openai",)
    assert fingerprint.schema_sha256 == prompt_sha256(schema)
    with_prompt, _ = task_job(service, order(schema=schema, prompt="Take it."), store)
    assert with_prompt.engines["openai"].request.prompt == "Take it."
    assert task_job(service, order(), store)[1].schema_sha256 is None
    with pytest.raises(OptionsError, match="every page"):
        task_job(service, order(schema=schema, route="text-layer,openai"), store)


@pytest.mark.parametrize(("positions", "has_engine"), [("words", True), ("blocks", False)])
def test_places_of_words_need_the_embedded_engine(tmp_path: Path, positions: str, *, has_engine: bool) -> None:
    """A service of a model starts it where the places of words are kept, and data has none."""
    flags = {"store": str(tmp_path), "engine": "openai", "positions": positions}
    service, store = service_config_of(load_service(flags)), TaskStore(str(tmp_path))
    assert has_embedded_engine(service) is has_engine
    job, _ = task_job(service, order(), store)
    assert (job.route.ocr_places, needs_embedded_engine(job.route)) == (has_engine, has_engine)
    of_data, _ = task_job(service, order(schema='{"type": "object"}'), store)
    assert not needs_embedded_engine(of_data.route)


def test_a_task_sends_on_what_its_upload_asks_for(tmp_path: Path) -> None:
    """Along the service's own route or one that it names; without it the service's own choice holds."""
    flags = {"store": str(tmp_path), "engine": "openai", "route": "auto", "escalate": "formulas"}
    service, store = service_config_of(load_service(flags)), TaskStore(str(tmp_path))

    def chosen(**options: str) -> tuple[tuple[str, ...], set[str]]:
        route = task_job(service, order(**options), store)[0].route
        return route.names, {kind.value for kind in route.escalate}

    auto = ("text-layer", "local", "openai")
    assert chosen() == (auto, {"formulas"})
    assert chosen(escalate="tables, handwriting") == (auto, {"tables", "handwriting"})
    assert chosen(route="local,openai", escalate="tables") == (("local", "openai"), {"tables"})
    assert chosen(route="local,openai") == (("local", "openai"), set())
    with pytest.raises(OptionsError, match="a reader that they can go on to") as refused:  # accepted by another service
        chosen(route="openai", escalate="tables")
    assert refused.value.code is ErrorCode.INVALID_OPTIONS


def test_limits_of_the_configured_account_are_not_another_engines(tmp_path: Path) -> None:
    """What --rpm, --tpm and --rpd tell of one provider says nothing of the next; the bound on requests is for all."""
    flags = {"engine": "openai", "engines": "gemini", "rpm": 5, "tpm": 100, "rpd": 7, "max_in_flight": 9}
    service, store = service_config_of(load_service({"store": str(tmp_path), **flags})), TaskStore(str(tmp_path))
    jobs = (task_job(service, order(engine=engine), store)[0] for engine in ("openai", "gemini"))
    own, other = (endpoint.limits for job in jobs for setup in job.engines.values() for endpoint in setup.endpoints)
    assert own == Limits(5, 100, 7, 9)
    assert other == Limits(None, None, None, 9)


def test_another_release_or_setting_is_another_identity(tmp_path: Path) -> None:
    """A book that lives on in a cluster is replaced by the new code's, not kept for its settings."""
    service = service_config_of(load_service({"store": str(tmp_path)}))
    assert identity_of(service) == identity_of(service_config_of(load_service({"store": str(tmp_path)})))
    assert identity_of(service) != identity_of(service_config_of(load_service({"store": str(tmp_path), "rpm": 5})))
    assert identity_of(service) != identity_of(service, version="another")


def test_uploads_may_choose_models_by_the_names_of_the_operator(tmp_path: Path) -> None:
    """As their engine or on a route, each with its own account; a name that the operator does not have is refused."""
    small = {"engine": "openai", "model": "s", "base_url": "http://s/v1", "api_key_env": "KEY_S"}
    flags = {"store": str(tmp_path), "engines": {"small": small, "large": {**small, "model": "l"}}}
    service, store = service_config_of(load_service(flags)), TaskStore(str(tmp_path))
    job, _ = task_job(service, order(route="text-layer,local,small,large"), store)
    assert [each.options.model for each in job.engines.values()] == ["s", "l"]
    job, fingerprint = task_job(service, order(engine="large", prompt="Read."), store)
    assert (job.route.names, job.engines["large"].request.prompt) == (("large",), "Read.")
    assert fingerprint.route == "large=openai/l"
    with pytest.raises(OptionsError, match="no reader of this run"):
        task_job(service, order(route="local,gemini"), store)
    assert parse_options('{"route": "local,small"}', service.settings).route == "local,small"
    assert parse_options('{"engine": "large", "route": "small,large"}', service.settings).engine == "large"
    with pytest.raises(Problem, match="invalid_options"):
        parse_options('{"route": "local,gemini"}', service.settings)
