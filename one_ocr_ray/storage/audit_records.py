"""`_run/audit/<shard>/`: pages that a second reader has read too, an object for each, written once.

A page is audited before its shard is committed. A resumed run finds what was audited, and audits the rest.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from one_ocr_ray.errors import DamagedError
from one_ocr_ray.policy.route.audit import AuditedPage, audit_report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.storage.store.objects import Objects

AUDIT = "_run/audit"


def record_audit(output: Objects, shard_id: str, page: AuditedPage) -> None:
    """Record `page` of that shard, durably; the first record of a page stands."""
    document = hashlib.sha256(page.document_id.encode()).hexdigest()[:32]
    output.put_new(f"{AUDIT}/{shard_id}/{document}-{page.page_number}.json", orjson.dumps(asdict(page)))


def audited_pages(output: Objects, shard_id: str | None = None) -> Iterator[AuditedPage]:
    """What was audited of one shard, or of the whole output. Raise DamagedError for a record that cannot be read."""
    folder = AUDIT if shard_id is None else f"{AUDIT}/{shard_id}"
    paths = [info.path for info in output.list(folder) if info.path.endswith(".json")]
    for path, data in zip(paths, output.get_many(paths), strict=True):
        try:
            yield AuditedPage(**orjson.loads(data or b""))
        except (orjson.JSONDecodeError, TypeError) as error:
            raise DamagedError(
                f"The file {path} of this output is damaged; it says how two readers have read a page. Put it back "
                "from a copy, or remove it: then the page is missing in the audit."
            ) from error


def audit_of(output: Objects, share: float | None) -> dict[str, Any] | None:
    """The report of all runs on this output; None where this one audits nothing."""
    return None if share is None else audit_report(share, audited_pages(output))
