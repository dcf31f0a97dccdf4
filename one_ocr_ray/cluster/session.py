"""Joins a cluster, or starts a local Ray that lives as long as the run."""

from __future__ import annotations

import logging
import socket
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import ray
from ray import LoggingConfig
from ray.job_config import JobConfig

from one_ocr_ray.cluster.local.start import local_ray
from one_ocr_ray.cluster.nodes import NAMESPACE
from one_ocr_ray.environment import refuse_keys_in
from one_ocr_ray.errors import UsageError
from one_ocr_ray.settings.run import LOCAL_RAY
from one_ocr_ray.storage.store.uris import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ray.actor import ActorHandle

    from one_ocr_ray.settings.run import Settings

# A head that does not take a connection within this is not there.
ANSWER_S = 10.0
INPUTS_SHOWN = 3


def run_metadata(run_id: str, settings: Settings, output: str, model: str) -> dict[str, str]:
    """What Ray's dashboard says of the job of a run."""
    inputs = [shown(each) for each in settings.inputs]
    more = f" and {others} more" if (others := len(inputs) - INPUTS_SHOWN) > 0 else ""
    return {
        "one_ocr_run_id": run_id,
        "one_ocr_input": " ".join(inputs[:INPUTS_SHOWN]) + more,
        "one_ocr_output": shown(output),
        "one_ocr_engine": settings.engine,
        "one_ocr_model": model,
    }


@contextmanager
def ray_session(
    address: str, metadata: Mapping[str, str] = MappingProxyType({}), *, for_service: bool = False
) -> Iterator[None]:
    """Ray during the block: the cluster at `address`, or with `local` one of its own.

    The cluster's dashboard shows `metadata` beside the job. A Ray of its own has the least that a run needs, or with
    `for_service` what Ray Serve needs. A Ray that this process has joined already is used and left as it is. Raises
    UsageError when there is none at `address`, and for a key in the runtime environment.
    """
    if ray.is_initialized():
        yield
        return
    with local_ray(agents=for_service) if address == LOCAL_RAY else _joined_cluster(address, metadata):
        refuse_keys_in(ray.get_runtime_context().runtime_env)
        yield


@contextmanager
def _joined_cluster(address: str, metadata: Mapping[str, str]) -> Iterator[None]:
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdigit():  # `auto` is for Ray to find
        try:  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
        except (OSError, OverflowError) as error:
            raise UsageError(f"Nothing answers at {address}. Start Ray there, or leave --address out.") from error
    config = JobConfig()
    # Not `ray.init(logging_config=)`: it would also turn the driver's lines, made for people, into JSON.
    config.set_py_logging_config(LoggingConfig(encoding="JSON", log_level="INFO"))
    for name, value in metadata.items():
        config.set_metadata(name, value)
    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            job_config=config,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except (ConnectionError, ValueError) as error:
        raise UsageError(
            f"There is no Ray cluster at {address}, or it does not let this machine in. Start one, give "
            "RAY_AUTH_MODE and the token of the cluster, or leave --address out."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def ending_actors() -> Iterator[list[ActorHandle[Any]]]:
    """A list for the actors of a run. They are ended at the end of the block."""
    actors: list[ActorHandle[Any]] = []
    try:
        yield actors
    finally:
        for actor in actors:
            ray.kill(actor)
