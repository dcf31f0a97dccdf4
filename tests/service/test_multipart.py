"""The reader of multipart bodies: what was sent is what is read, however it is cut, and nothing breaks it."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.upload.multipart import read_form
from one_ocr_ray.service.upload.spool import Spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BOUNDARY = b"some-boundary"
TRICKY = [
    b"\r\n",
    b"--",
    BOUNDARY,
    b"\r\n--" + BOUNDARY,
    b"--\r\n",
    b"\0",
    b'"',
    b"Content-Disposition: form-data; name=",
]
contents = st.lists(st.sampled_from(TRICKY) | st.binary(max_size=40), max_size=8).map(b"".join)


def body_of(*files: bytes) -> bytes:
    """A form of `files`."""
    head = b'--%s\r\nContent-Disposition: form-data; name="files"; filename="%d.pdf"\r\n\r\n%s\r\n'
    return b"".join(head % (BOUNDARY, n, data) for n, data in enumerate(files)) + b"--%s--\r\n" % BOUNDARY


def read(body: bytes, cuts: list[int]) -> list[tuple[str, bytes]]:
    """Names and bytes of the files in `body`, which arrives in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        places = sorted({cut % (len(body) + 1) for cut in cuts})
        for start, end in zip([0, *places], [*places, len(body)], strict=True):
            yield body[start:end]

    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), 0)
        try:
            with spool.request_dir() as request_dir:
                kind = f"multipart/form-data; boundary={BOUNDARY.decode()}"
                form = asyncio.run(read_form(kind, pieces(), request_dir, spool, max_files=10, max_file_bytes=10_000))
                for file in form.files:
                    data = file.path.read_bytes()
                    assert file.document_id == f"sha256:{hashlib.sha256(data).hexdigest()}"
                    assert file.size_bytes == len(data)
                return [(file.name, file.path.read_bytes()) for file in form.files]
        finally:
            spool.close()


@settings(deadline=None, max_examples=60)
@given(st.lists(contents, max_size=4), st.lists(st.integers(0, 10_000), max_size=6))
def test_files_come_through_whole_however_the_body_is_cut(files: list[bytes], cuts: list[int]) -> None:
    """Every byte, also of content that looks like a part of the form, and the hash taken on the way."""
    files = [data for data in files if b"\r\n--" + BOUNDARY not in b"\r\n" + data]
    assert read(body_of(*files), cuts) == [(f"{n}.pdf", data) for n, data in enumerate(files)]


@settings(deadline=None, max_examples=60)
@given(contents, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 20), contents), min_size=1, max_size=3))
def test_a_mangled_body_is_read_or_refused(data: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    """Whatever is cut out of a form and put into it, the reader gives files or a problem, and no other error."""
    body = body_of(data, b"second")
    for place, removed, added in changes:
        body = body[:place] + added + body[place + removed :]
    code = ""
    try:
        read(body, [])
    except Problem as problem:
        code = problem.code
    assert code in {"", "invalid_request", "invalid_options", "too_many_files"}
