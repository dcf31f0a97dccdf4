"""Finding the task manager of a store in this cluster, starting it, ending it."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from one_ocr_ray.cluster.nodes import NAMESPACE, shared_by_the_cluster
from one_ocr_ray.cluster.service.task_manager import CALLS_AT_ONCE, REST_WITHIN_S, START_AGAIN_S, TaskManagerActor
from one_ocr_ray.storage.tasks.manager_lease import refuse_held_store
from one_ocr_ray.storage.tasks.task_store import TaskStore
from one_ocr_ray.tasks.service_config import identity_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.tasks.service_config import ServiceConfig

# Releases of this package may share the actor. Raise the version when the shape of a pickled message changes.
_PROTOCOL = "v2"
START_WITHIN_S = 60.0


def begin_task_manager(service: ServiceConfig) -> Any:
    """The task manager of this service's store, which the cluster starts if there is none. Does not wait for it."""
    actor: Any = ray.remote(TaskManagerActor)
    options = shared_by_the_cluster(task_manager_name(service.settings.store))
    return actor.options(**options, max_task_retries=0, max_concurrency=CALLS_AT_ONCE).remote(service)


def start_task_manager(service: ServiceConfig, *, replace: bool = True) -> Any:
    """Find the task manager of this service's store, or start one. Blocks.

    With `replace` one that serves another configuration is ended first. The actor gets no `runtime_env` of its own: the
    package is importable on every node, see `get_limiter`.
    """
    while True:
        manager = begin_task_manager(service)
        try:
            served = ray.get(manager.serves.remote(), timeout=START_WITHIN_S)
            if not replace or served == identity_of(service):
                return manager
            _end(manager)
        except (RayActorError, GetTimeoutError):
            time.sleep(START_AGAIN_S)


def task_manager_name(store: str) -> str:
    """The name of the actor; a store has one."""
    return f"task-manager:{_PROTOCOL}:{hashlib.sha256(TaskStore(store).root.encode()).hexdigest()[:12]}"


def refuse_second_service(store: str, on_wait: Callable[[str], None]) -> None:
    """Raise StoreInUseError while another cluster's service works on `store`."""
    try:
        ray.get_actor(task_manager_name(store), namespace=NAMESPACE)
    except ValueError:
        refuse_held_store(store, on_wait)


def end_task_manager(store: str) -> None:
    """End the task manager of `store`, if there is one. Unfinished tasks go on when it is started again."""
    with suppress(ValueError):
        _end(ray.get_actor(task_manager_name(store), namespace=NAMESPACE))


def _end(manager: Any) -> None:
    with suppress(RayError):  # otherwise it loses no more than by a crash
        ray.get(manager.rest.remote(), timeout=REST_WITHIN_S)
    ray.kill(manager)
