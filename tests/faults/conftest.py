"""What the tests on S3 share: one server for each file of them, and a prefix of its own for each test."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.faults.s3 import BUCKET, environment, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = count(1)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of an S3 server."""
    with s3_server() as port:
        yield port


@pytest.fixture
def root(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix that nobody has used, in the environment of a user."""
    for name, value in environment(port).items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/some where? #1%/{next(_numbers)}"
