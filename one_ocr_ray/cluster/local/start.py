"""Starts Ray on this machine for as long as a run or service lasts."""

from __future__ import annotations

import logging
import resource
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import ray

from one_ocr_ray.cluster.local.folder import ray_folder
from one_ocr_ray.cluster.nodes import NAMESPACE
from one_ocr_ray.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_FILES = 65_536  # what `ray.init` raises the limit to, before it starts what inherits it

_log = logging.getLogger("one_ocr_ray")


@contextmanager
def local_ray(*, agents: bool) -> Iterator[None]:
    """Ray for the time of the block; with `agents` it has what Ray Serve needs.

    Where Ray's private parts are not those that `local.node` knows, Ray starts as `ray.init` does, which takes longer.
    Raises StoppedError when it does not come up, as on a machine that swaps, and UsageError for a folder of temporary
    files that Ray cannot use.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with ExitStack() as ending:
        folder = ending.enter_context(ray_folder())
        try:
            with ExitStack() as starting:
                try:
                    from one_ocr_ray.cluster.local.node import start_local_node  # noqa: PLC0415 - it may not import

                    start_local_node(starting, agents=agents, folder=folder)
                except (ImportError, AttributeError, TypeError) as error:
                    starting.close()
                    _log.warning("Ray %s is started without shortcuts (%s)", ray.__version__, type(error).__name__)
                    ray.init(
                        address="local",
                        namespace=NAMESPACE,
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        _temp_dir=folder,
                    )
                    starting.callback(ray.shutdown)
                ending.push(starting.pop_all())
        except Exception as error:  # Ray has no class of its own for it
            raise StoppedError(
                f"Ray did not start on this machine ({str(error).partition('.')[0]}). Is it short of CPU, memory or "
                "disk? The same command resumes."
            ) from error
        yield
