"""One OCR on Ray: PDF pages to Markdown in Parquet.

    import one_ocr_ray as ocr

Holds the version and the names of the Python API, each of which is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from one_ocr_ray.errors import OneOcrError
    from one_ocr_ray.python.client import AsyncClient, Event, ServiceError, Task
    from one_ocr_ray.python.datasets import evaluate, export, verify
    from one_ocr_ray.python.estimate import estimate
    from one_ocr_ray.python.output import Output
    from one_ocr_ray.python.output import open_output as open  # noqa: A004 - `ocr.open` reads as `gzip.open`
    from one_ocr_ray.python.page_reader import PageReader
    from one_ocr_ray.python.reading import Document, DocumentError, Page, read
    from one_ocr_ray.python.run import run
    from one_ocr_ray.python.sync_client import Client

__all__ = [
    "AsyncClient",
    "Client",
    "Document",
    "DocumentError",
    "Event",
    "OneOcrError",
    "Output",
    "Page",
    "PageReader",
    "ServiceError",
    "Task",
    "__version__",
    "estimate",
    "evaluate",
    "export",
    "open",
    "read",
    "run",
    "verify",
]

_HOMES = {
    "AsyncClient": "one_ocr_ray.python.client",
    "Client": "one_ocr_ray.python.sync_client",
    "Document": "one_ocr_ray.python.reading",
    "DocumentError": "one_ocr_ray.python.reading",
    "Event": "one_ocr_ray.python.client",
    "OneOcrError": "one_ocr_ray.errors",
    "Output": "one_ocr_ray.python.output",
    "Page": "one_ocr_ray.python.reading",
    "PageReader": "one_ocr_ray.python.page_reader",
    "ServiceError": "one_ocr_ray.python.client",
    "Task": "one_ocr_ray.python.client",
    "estimate": "one_ocr_ray.python.estimate",
    "evaluate": "one_ocr_ray.python.datasets",
    "export": "one_ocr_ray.python.datasets",
    "open": "one_ocr_ray.python.output",
    "read": "one_ocr_ray.python.reading",
    "run": "one_ocr_ray.python.run",
    "verify": "one_ocr_ray.python.datasets",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - nothing is imported before it is used

    return getattr(import_module(_HOMES[name]), "open_output" if name == "open" else name)
