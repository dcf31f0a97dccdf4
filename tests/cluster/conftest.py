"""One real Ray for the whole session, started when the first test asks for it."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled", RAY_DEDUP_LOGS="0")  # before Ray is imported
os.environ["ONE_OCR_CALLBACK_SECRET"] = "of the tests"  # which the processes of Ray inherit

import certifi
import pytest

from one_ocr_ray.cluster.local.node import start_local_node
from tests.cluster.limiters import end_limiters

if TYPE_CHECKING:
    from collections.abc import Iterator

# Nothing here leaves this machine, and each of hundreds of processes that import aiohttp would read all certificates of
# the world, for a tenth of a CPU second. They read one.
_END = "-----END CERTIFICATE-----\n"
_FOLDER = tempfile.TemporaryDirectory(prefix="one-ocr-tests-")  # until the session's end
os.environ["SSL_CERT_FILE"] = f"{_FOLDER.name}/one.pem"
Path(_FOLDER.name, "one.pem").write_text(Path(certifi.where()).read_text().partition(_END)[0] + _END)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """The Ray of `one-ocr serve`, with as many CPUs as the smallest machine that the project supports in CI.

    Of `ray.init` it would have a dashboard, an autoscaler and a log monitor, which take a tenth of the tests' CPU time.
    """
    with ExitStack() as ending:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 2}')
            start_local_node(ending, agents=True, folder=None)
        yield


@pytest.fixture(scope="module", autouse=True)
def limiters_end() -> Iterator[None]:
    """No limiter outlives the tests of its module."""
    yield
    end_limiters()
