"""From settings to the model servers of a run, and from their addresses to its endpoints. No Ray."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.servers.command import ServerPlan, command_of, refused_argument
from one_ocr_ray.setup.profile import profile_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from one_ocr_ray.job import LlmSetup
    from one_ocr_ray.settings.run import Settings

VLLM = "vllm"


def server_plan_of(settings: Settings) -> ServerPlan:
    """What each server of `--engine vllm` is started with. Raises UsageError for settings that no server takes."""
    if settings.model is None:
        raise UsageError("--engine vllm needs --model: the name or the path of the weights.")
    plan = ServerPlan(
        model=settings.model,
        profile=profile_of(settings),
        python=str(settings.server_python) if settings.server_python else None,
        gpus=settings.gpus_per_replica,
        revision=settings.revision,
        arguments=settings.server_args,
        template=settings.server_command,
    )
    try:
        refused = refused_argument(plan.arguments)
        command_of(plan, "", 0)
    except ValueError as error:
        raise UsageError("--server-args and --server-command: a quotation has no end.") from error
    if refused is not None:
        raise UsageError(f"--server-args: {refused} is set by One OCR itself; leave it out.")
    return plan


def replicas_of(settings: Settings, places: int) -> int:
    """How many servers to start; `places`: for how many the cluster has GPUs now. Raises UsageError for none."""
    if settings.replicas == "auto":
        if places == 0:
            raise UsageError(
                "This cluster has no GPU free for --engine vllm; say --replicas N to wait for some, or "
                "--gpus-per-replica 0 for servers on CPUs."
            )
        return places
    least, _, most = settings.replicas.partition("-")
    return max(int(least), min(int(most or least), places))


def with_servers(setup: LlmSetup, addresses: Sequence[tuple[str, int]], key: SecretStr) -> LlmSetup:
    """`setup` with an endpoint for each server, at host and port."""
    (own,) = setup.endpoints
    endpoints = tuple(
        replace(
            own,
            name=f"r{number}",
            options=replace(own.options, base_url=f"http://{host}:{port}/v1", api_key=key),
        )
        for number, (host, port) in enumerate(addresses)
    )
    return replace(setup, endpoints=endpoints)
