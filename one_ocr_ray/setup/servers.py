"""From settings to a run's model servers, and from addresses to its endpoints. No Ray."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.servers.command import ServerPlan, command_of, refused_argument
from one_ocr_ray.policy.servers.size import UNBOUNDED, FleetSize
from one_ocr_ray.setup.profile import profile_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from one_ocr_ray.job import LlmSetup
    from one_ocr_ray.settings.run import Settings

VLLM = "vllm"
NOT_STARTED = "http://127.0.0.1:9/v1"  # the address of servers that the run has not started yet; nobody is asked there


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
        ready_within_s=settings.ready_timeout,
    )
    try:
        refused = refused_argument(plan.arguments)
        command_of(plan, "", 0)
    except ValueError as error:
        raise UsageError("--server-args and --server-command: a quotation has no end.") from error
    if refused is not None:
        raise UsageError(f"--server-args: {refused} is set by One OCR itself; leave it out.")
    return plan


def own_server_options(settings: Settings) -> EngineOptions:
    """What is asked of the run's own servers, whose addresses are not known yet."""
    if settings.base_url or settings.endpoints:
        raise UsageError("--engine vllm starts its own servers: leave --base-url out.")
    if settings.max_cost is not None and settings.gpu_hour_usd is None:
        raise UsageError("--max-cost with --engine vllm needs the price of its GPUs: give --gpu-hour-usd.")
    return EngineOptions(
        name="openai",
        model=server_plan_of(settings).model,
        base_url=NOT_STARTED,
        usd_per_s=server_usd_per_s(settings),
        timeout_s=settings.timeout,
        image_detail=settings.detail,
        output_cap_fields=() if settings.output_cap_field == "auto" else (settings.output_cap_field,),
    )


def server_usd_per_s(settings: Settings) -> float | None:
    """What one server costs in a second; None without a price. One on CPUs counts as one GPU."""
    if settings.gpu_hour_usd is None:
        return None
    return settings.gpu_hour_usd * max(1, settings.gpus_per_replica) / 3600


def fleet_size_of(settings: Settings, places: int) -> FleetSize:
    """How many servers there should be; `places`: for how many the cluster has GPUs now. Raises UsageError for none."""
    if settings.replicas == "auto":
        if places == 0:
            raise UsageError(
                "This cluster has no GPU free for --engine vllm; say --replicas N to wait for some, or "
                "--gpus-per-replica 0 for servers on CPUs."
            )
        return FleetSize(places, 1, UNBOUNDED, asks=False)
    low, _, high = settings.replicas.partition("-")
    least, most = int(low), int(high or low)
    return FleetSize(max(least, min(most, places)), least, most)


def with_servers(setup: LlmSetup, addresses: Mapping[str, tuple[str, int]], key: SecretStr) -> LlmSetup:
    """`setup` with an endpoint for each server, by name at host and port. Others may join."""
    own = setup.endpoints[0]
    endpoints = tuple(
        replace(own, name=name, options=replace(own.options, base_url=f"http://{host}:{port}/v1", api_key=key))
        for name, (host, port) in addresses.items()
    )
    return replace(setup, endpoints=endpoints)
