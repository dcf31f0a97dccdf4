"""The same command again: with --retry-failed, and with the flags that choose what is read; from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ray

from one_ocr_ray import cli
from one_ocr_ray.storage.dataset.verify import verify
from tests import pdfs
from tests.cluster.faults.sites import Site
from tests.cluster.outputs import pages_by_source, rows
from tests.provider import Rule, write_identity_pdfs

if TYPE_CHECKING:
    from tests.provider import ProviderProcess

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def small(tmp_path: Path, provider: ProviderProcess) -> Site:
    """Two documents of four pages, of which one page is refused; and a copy of the second."""
    site = Site(tmp_path, provider, documents=2, pages=4)
    (site.source / "twin.pdf").write_bytes((site.source / "doc-0002.pdf").read_bytes())
    provider.change(rules=(Rule(fault="bad_image", page="doc-0002 page 3"),))
    return site


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and summary of `one-ocr run` on the Ray of this session."""
    address = ray.get_runtime_context().gcs_address
    code = cli.main(["run", *arguments, "--address", address, "--json"])
    return code, json.loads(capsys.readouterr().out)


def pages_asked(site: Site) -> list[str]:
    """The pages of all calls so far."""
    return [row.page for row in site.provider.rows() if row.page]


def test_failed_pages_stay_until_they_are_asked_for(small: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A plain rerun sends nothing; --retry-failed sends the failed page alone, and its copy follows."""
    missing = small.source / "zz-late.pdf"
    arguments = small.arguments()
    arguments.insert(1, str(missing))
    code, summary = run(capsys, *arguments)
    assert (code, summary["pages"]["failed"], summary["documents"]["failed"]) == (3, 1, 1)
    asked = pages_asked(small)

    small.provider.change(rules=())
    write_identity_pdfs(small.source, [3], 1)
    (small.source / "doc-0003.pdf").rename(missing)
    code, summary = run(capsys, *arguments)
    assert (code, summary["requests"]["sent"]) == (3, 0)
    assert pages_asked(small) == asked

    code, summary = run(capsys, *arguments, "--retry-failed")
    assert (code, summary["documents"]["ok"], summary["pages"]["ok"]) == (0, 4, 9)
    assert pages_asked(small)[len(asked) :] == ["doc-0002 page 3", "doc-0003 page 1"]
    documents = {row["source_name"]: row for row in rows(Path(small.output), "documents")}
    assert documents["twin.pdf"]["markdown"] == documents["doc-0002.pdf"]["markdown"]
    assert list(verify(small.output)) == []
    row = pages_by_source(Path(small.output))["doc-0002.pdf", 3]
    assert row["status"] == "ok"
    assert row["attempts"] == asked.count("doc-0002 page 3") + 1


def test_missing_files_that_come_back_with_the_same_bytes_are_read_once(
    tmp_path: Path, provider: ProviderProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were planned in one shard; one of them has the pages there, the other becomes a copy."""
    site = Site(tmp_path, provider, documents=1, pages=2)
    missing = [str(site.source / f"late-{number}.pdf") for number in (1, 2)]
    arguments = [*missing, *site.arguments()]
    code, summary = run(capsys, *arguments)
    assert (code, summary["documents"]["failed"]) == (3, 2)

    write_identity_pdfs(site.source, [3], 2)
    data = (site.source / "doc-0003.pdf").read_bytes()
    (site.source / "doc-0003.pdf").unlink()
    for path in missing:
        Path(path).write_bytes(data)
    code, summary = run(capsys, *arguments, "--retry-failed")
    assert (code, summary["documents"]["ok"], summary["pages"]["ok"]) == (0, 3, 4)
    assert sorted(pages_asked(site)) == ["doc-0001 page 1", "doc-0001 page 2", "doc-0003 page 1", "doc-0003 page 2"]
    assert list(verify(site.output)) == []
    again, _ = run(capsys, *arguments)
    assert again == 0
    Path(missing[0]).unlink()
    code, summary = run(capsys, *arguments)
    assert (code, summary["inputs"], summary["documents"]["failed"]) == (3, {"found": 4, "committed": 4}, 1)
    assert list(verify(site.output)) == []


def test_a_file_of_settings_chooses_what_is_read(
    small: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--config gives pages, the most pages of a document and where the password is; a flag beats it."""
    (small.source / "locked.pdf").write_bytes(pdfs.encrypted_pdf("open sesame"))
    (small.source / "long.pdf").write_bytes(pdfs.text_pdf(5, "long"))
    (tmp_path / "password").write_text("open sesame\n")
    config = tmp_path / "run.toml"
    config.write_text(f'pages = "1"\nmax_pages = 4\npassword_file = "{tmp_path / "password"}"\nmax_in_flight = 1\n')
    code, _ = run(capsys, *small.arguments("--config", str(config), "--pages", "2-"))
    assert code == 3
    read = {(name, number) for name, number in pages_by_source(Path(small.output)) if name.startswith("doc")}
    assert read == {(name, number) for name in ("doc-0001.pdf", "doc-0002.pdf") for number in (2, 3, 4)}
    documents = {row["source_name"]: row for row in rows(Path(small.output), "documents")}
    assert documents["locked.pdf"]["error"] is None
    assert documents["long.pdf"]["error"]["code"] == "too_many_pages"
