"""Output, journal, plan and lease on S3, as on a folder; with the standard environment, and over a bad connection."""

from __future__ import annotations

from dataclasses import replace

import pytest

from one_ocr_ray.errors import OutputInUseError, StorageError
from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild, PdfOptions
from one_ocr_ray.reading.inspection import CHANGED, Opener
from one_ocr_ray.storage.dataset.verify import verify
from one_ocr_ray.storage.inputs import find_inputs, read_input, stat_input
from one_ocr_ray.storage.lease import held_lease
from one_ocr_ray.storage.store.objects import Objects
from tests import pdfs
from tests.faults.s3 import flaky
from tests.faults.small_run import SmallRun
from tests.values import document

PAPERS = [document(1), document(2, page_count=9), document(1, uri="/pdfs/twin.pdf")]


def test_an_object_is_created_once(root: str) -> None:
    """Conditional put, reading, listing, deleting many."""
    objects = Objects(root)
    assert objects.put_new("a/x.bin", b"first", staged="ignored")
    assert not objects.put_new("a/x.bin", b"second")
    assert objects.get("a/x.bin") == b"first"
    objects.put("a/b/y.bin", b"later")
    assert sorted(info.path for info in objects.list("a")) == ["a/b/y.bin", "a/x.bin"]
    assert objects.folders("a") == {"b"}
    assert list(objects.get_many(["a/x.bin", "nope", "a/b/y.bin"])) == [b"first", None, b"later"]
    objects.delete_all("a")
    assert list(objects.list("")) == []
    objects.delete_all("a")


def test_an_object_is_fetched_once_for_many_slices(root: str) -> None:
    """While it is open it need not even be there; its bytes, and not its etag, say that it is the one of the plan."""
    options, uri = PdfOptions(200, 100, 1 << 20, None), f"{root}/in/a.pdf"
    objects, data = Objects(f"{root}/in"), pdfs.text_pdf(2, "one")
    objects.put("a.pdf", data)
    objects.put("b.pdf", pdfs.text_pdf(1, "other"))
    with PdfChild() as child:
        opener = Opener(child)
        document, other = (opener.inspect(stat_input(f"{root}/in/{name}.pdf"), options) for name in "ab")
        assert opener.open(replace(document, version="another"), options) is None
        objects.delete("a.pdf")
        assert opener.open(document, options) is None
        assert isinstance(child.render(2, 200), PageImage)
        assert opener.open(other, options) is None
        assert opener.open(document, options) == CHANGED
        objects.put("a.pdf", pdfs.text_pdf(2, "changed"))
        assert opener.open(document, options) == CHANGED
        objects.put("a.pdf", data)
        assert opener.open(document, options) is None
    assert document.uri == uri


def test_a_whole_run_and_a_retry(root: str) -> None:
    """The dataset keeps the contract there as on a folder, and nothing of the work is left."""
    bad = {(document(2).document_id, 5)}
    SmallRun(root, PAPERS, "first", is_bad=bad.__contains__).run()
    assert list(verify(root)) == []
    SmallRun(root, PAPERS, "second").run(retry_failed=True)
    assert list(verify(root)) == []
    assert not list(Objects(root).list("_work"))


def test_a_bad_connection_is_not_noticed(root: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each third answer is a 503, after half of which the store has done what was asked: one dataset all the same."""
    with flaky(port) as worse:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{worse}")
        SmallRun(root, PAPERS, "first").run()
        assert list(verify(root)) == []
        with held_lease(Objects(root), "a", lambda _: None, lambda: None):
            pass


def test_one_driver_at_a_time(root: str, port: int) -> None:
    """A lease on S3 refuses the second driver as one on a folder does."""
    with (
        held_lease(Objects(root), "a", lambda _: None, lambda: None),
        pytest.raises(OutputInUseError),
        held_lease(Objects(root), "b", lambda _: None, lambda: None),
    ):
        pass


def test_inputs_are_found_and_read(root: str) -> None:
    """A prefix stands for the PDFs under it; a glob for those it matches; the bytes come whole."""
    objects = Objects(root)
    for name in ("b.pdf", "a.PDF", "deep/c.pdf", "notes.txt"):
        objects.put(f"in/{name}", name.encode())
    uris = [file.uri for file in find_inputs([f"{root}/in"])]
    assert sorted(uri.removeprefix(f"{root}/in/") for uri in uris) == ["a.PDF", "b.pdf", "deep/c.pdf"]
    assert [file.uri for file in find_inputs([f"{root}/in/b*.pdf"])] == [f"{root}/in/b.pdf"]
    assert read_input(f"{root}/in/b.pdf") == b"b.pdf"


def test_a_bucket_that_is_not_there_is_one_sentence(root: str) -> None:
    """It says what cannot be done, without a key or a traceback."""
    with pytest.raises(StorageError, match="cannot be written to") as caught:
        Objects("s3://no-such-bucket/x").put("a", b"")
    assert "testing" not in str(caught.value)
