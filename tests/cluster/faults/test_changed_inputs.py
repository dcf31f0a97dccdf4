"""Input files that are touched, or replaced, between runs on one output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.storage.dataset.verify import verify
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests.cluster.faults.sites import Site
from tests.cluster.outputs import rows
from tests.provider import Identity, Rule, identity_pdf

if TYPE_CHECKING:
    from tests.provider import ProviderProcess

pytestmark = pytest.mark.usefixtures("ray_cluster")

RUNS = 3  # ten and more: `python -m benchmarks.faults --touch`


def touch(site: Site, at_ns: int) -> None:
    """Every input gets another mtime, as by `cp`, `rsync` without -t, `git checkout`, a backup."""
    for path in site.source.iterdir():
        os.utime(path, ns=(at_ns, at_ns))


def stopped_after(site: Site, answers: int) -> None:
    """One run that ends when the account is empty; few calls are under way then."""
    site.provider.change(rules=(Rule(fault="insufficient_quota", after=answers),))
    with pytest.raises(StoppedError):
        site.read(max_in_flight=2)


def test_runs_that_are_cut_off_finish_though_every_file_is_touched_in_between(site: Site) -> None:
    """Each page once, none failed; in the end the plan has the new mtimes, so that nothing is opened again."""
    for number in range(RUNS):
        stopped_after(site, answers=12)
        assert site.answered() >= 10 * (number + 1)
        touch(site, (number + 1) * 10**18)
    site.provider.change(rules=())
    assert site.read().exit_code == 0
    site.assert_kept()
    planned = {each.uri: each.version for batch in plan_of(site) for shard in batch for each in shard.documents}
    assert planned == {str(path): str(RUNS * 10**18) for path in site.source.iterdir()}


def plan_of(site: Site) -> list[tuple[object, ...]]:
    return list(RunDirectory(Objects(site.output)).plan())


def test_failed_pages_of_touched_files_are_read_again(tmp_path: Path, provider: ProviderProcess) -> None:
    """`--retry-failed` looks at the bytes as well."""
    site = Site(tmp_path, provider, documents=2, pages=3)
    provider.change(rules=(Rule(fault="bad_image", page="doc-0002 page *"),))
    assert site.read().exit_code == 3
    provider.change(rules=())
    touch(site, 10**18)
    assert site.read(retry_failed=True).exit_code == 0
    site.assert_kept()


def test_a_replaced_file_is_a_document_of_its_own(tmp_path: Path, provider: ProviderProcess) -> None:
    """What was read of the old bytes stays, what was not fails with a sentence, the new bytes are read whole.

    With the old file in its place again, --retry-failed reads the rest of it.
    """
    site = Site(tmp_path, provider, documents=1, pages=20)
    (old,) = site.source.iterdir()
    before = old.read_bytes()
    stopped_after(site, answers=6)
    provider.change(rules=())
    old.write_bytes(identity_pdf(7, 2))
    assert site.read().exit_code == 3
    documents = rows(Path(site.output), "documents")
    assert [(row["source_uri"], row["page_count"], row["outcome"]) for row in documents] == [
        (str(old), 20, "partial"),
        (str(old), 2, "complete"),
    ]
    failed = [row for row in rows(Path(site.output), "pages") if row["status"] == "failed"]
    assert {row["error"]["code"] for row in failed} == {"render_failed"}
    assert "other bytes" in failed[0]["error"]["message"]
    assert list(verify(site.output)) == []

    old.write_bytes(before)
    assert site.read(retry_failed=True).exit_code == 0
    texts = [row["markdown"] for row in rows(Path(site.output), "pages")]
    expected = {str(Identity(1, n)) for n in range(1, 21)} | {str(Identity(7, n)) for n in (1, 2)}
    assert len(texts) == len(expected)
    assert {str(Identity.parse(text)) for text in texts} == expected
    assert list(verify(site.output)) == []
