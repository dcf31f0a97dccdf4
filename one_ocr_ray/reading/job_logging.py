"""The log lines of a job: failed pages, damaged documents and committed shards.

They hold ids, codes and counts. They never hold a key, a file's name or content, or a message: it may quote a page.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.model import DocumentResult, PageResult

_log = logging.getLogger("one_ocr_ray")


def log_page(page: PageResult) -> None:
    """Log a finished page. A good one has level debug, for there may be millions."""
    failed = page.status is PageStatus.FAILED and page.failure is not None
    _log.log(
        logging.WARNING if failed else logging.DEBUG,
        "page failed" if failed else "page read",
        extra={
            "run_id": page.run_id,
            "document_id": page.document_id,
            "page_number": page.page_number,
            "code": page.failure.code.value if page.failure is not None else None,
            "attempts": page.attempts,
        },
    )


def log_documents(shard_id: str, documents: Sequence[DocumentResult]) -> None:
    """Log a committed shard, with a line for each document that is not whole."""
    for document in documents:
        if document.pages_failed or document.failure is not None:
            _log.warning(
                "document %s",
                document.outcome.value,
                extra={
                    "run_id": document.run_id,
                    "document_id": document.document_id,
                    "pages_failed": document.pages_failed,
                    "code": document.failure.code.value if document.failure is not None else None,
                },
            )
    if documents:
        outcomes = Counter(document.outcome.value for document in documents)
        extra = {"run_id": documents[0].run_id, "shard_id": shard_id, "documents": dict(outcomes)}
        _log.info("shard committed", extra=extra)
