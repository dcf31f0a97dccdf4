"""Finding the task book of a store in this cluster, starting it, ending it."""

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

# Messages are pickled between releases of this package that share one actor: another shape of them is another version.
_PROTOCOL = "v1"
START_WITHIN_S = 60.0


def start_book(service: ServiceConfig, *, replace: bool = True) -> Any:
    """The book of this service's store: the one that is there, or a new one where there is none.

    `replace`: a new one also where the one that is there serves otherwise. Blocks. The actor gets no `runtime_env` of
    its own; the package is importable on every node, see `get_limiter`.
    """
    book: Any = ray.remote(TaskManagerActor)
    there_or_new = book.options(
        **shared_by_the_cluster(book_name(service.settings.store)), max_task_retries=0, max_concurrency=CALLS_AT_ONCE
    )
    while True:
        book = there_or_new.remote(service)
        try:
            served = ray.get(book.serves.remote(), timeout=START_WITHIN_S)
            if not replace or served == identity_of(service):
                return book
            _end(book)
        except (RayActorError, GetTimeoutError):
            time.sleep(START_AGAIN_S)


def book_name(store: str) -> str:
    """One store, one book."""
    return f"task-book:{_PROTOCOL}:{hashlib.sha256(TaskStore(store).root.encode()).hexdigest()[:12]}"


def refuse_second_service(store: str, on_wait: Callable[[str], None]) -> None:
    """Raises StoreInUseError while another service is at work on `store`; one of this cluster is none."""
    try:
        ray.get_actor(book_name(store), namespace=NAMESPACE)
    except ValueError:
        refuse_held_store(store, on_wait)


def end_book(store: str) -> None:
    """End the book of `store`, if there is one. Its unfinished tasks go on when it is started again."""
    with suppress(ValueError):
        _end(ray.get_actor(book_name(store), namespace=NAMESPACE))


def _end(book: Any) -> None:
    with suppress(RayError):  # a book that cannot rest loses no more than it would by a crash
        ray.get(book.rest.remote(), timeout=REST_WITHIN_S)
    ray.kill(book)
