"""Inputs in a bucket: keys of any name, objects without an ending, and what is not there."""

from __future__ import annotations

import http.client
import zipfile
from typing import TYPE_CHECKING
from urllib.parse import quote

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from one_ocr_ray.errors import StorageError
from one_ocr_ray.model import Failure
from one_ocr_ray.reading.inspection import source_of
from one_ocr_ray.storage.inputs import find_inputs, find_present_inputs, read_input, stat_input
from one_ocr_ray.storage.store.keys import fault_of_key
from one_ocr_ray.storage.store.objects import Objects
from tests import archives
from tests.faults.s3 import BUCKET

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["a.pdf", "report #1.pdf", "what? really.pdf", "[final] v2.pdf", "plus+sign.pdf", "100%.pdf", "a%20b.pdf"]


def put(port: int, root: str, name: str) -> None:
    """Create an object whatever its key is: its bytes are its name."""
    key = f"{root.removeprefix(f's3://{BUCKET}/')}/{name}"
    server = http.client.HTTPConnection("127.0.0.1", port)
    server.request("PUT", f"/{BUCKET}/{quote(key)}", name.encode())
    assert server.getresponse().status == 200
    server.close()


def test_keys_are_read_whatever_is_in_them(root: str, port: int, tmp_path: Path) -> None:
    """As arguments, in a list and in a listing; a missing one among them is a missing file."""
    for name in NAMES:
        put(port, root, name)
    uris = sorted(f"{root}/{name}" for name in NAMES)
    assert [file.uri for file in find_inputs([root])] == uris
    assert [file.uri for file in find_inputs(uris) if file.version] == uris
    (tmp_path / "list").write_text("\n".join([*uris, f"{root}/missing [1].pdf", f"{root}/nothing? here.pdf"]))
    listed = list(find_inputs([f"@{tmp_path}/list"]))
    assert [file.uri for file in listed if file.version] == uris
    assert [file.uri for file in listed if not file.version] == [f"{root}/missing [1].pdf", f"{root}/nothing? here.pdf"]
    for uri in uris:
        assert (read_input(uri) or b"").decode() == uri.removeprefix(f"{root}/")
        assert stat_input(uri).version
    assert [file.uri for file in find_inputs([f"{root}/re*#?.pdf"])] == [f"{root}/report #1.pdf"]


def test_a_named_object_is_read_whatever_its_ending(root: str, port: int) -> None:
    """What is no object is a prefix; the mark that some tools leave for a folder is not taken for the folder's name."""
    for name in ("docs/0a1b2c3d", "docs/b.pdf", "docs/0a1b2c3d.txt"):
        put(port, root, name)
    assert [file.uri for file in find_inputs([f"{root}/docs/0a1b2c3d"])] == [f"{root}/docs/0a1b2c3d"]
    Objects(root).put("docs", b"")
    for folder in ("docs", "docs/"):
        assert [file.uri for file in find_inputs([f"{root}/{folder}"])] == [f"{root}/docs/b.pdf"]


def test_the_members_of_an_archive_in_a_bucket_are_documents(root: str) -> None:
    """Found and read by their URIs; one that has gone with its archive is a missing file."""
    files = {"a b.pdf": b"%PDF-1", "x/c#.png": b"other bytes", "notes.txt": bytes(1 << 20)}
    Objects(root).put("zips/in.zip", archives.packed(files, zipfile.ZIP_STORED))
    found = list(find_inputs([f"{root}/zips"]))
    assert [file.uri for file in found] == [f"{root}/zips/in.zip#a%20b.pdf", f"{root}/zips/in.zip#x/c%23.png"]
    assert [source_of(file.uri) for file in found] == [b"%PDF-1", b"other bytes"]
    assert [stat_input(file.uri) for file in found] == list(find_inputs([file.uri for file in found])) == found
    Objects(root).delete("zips/in.zip")
    assert stat_input(found[0].uri).version is None
    assert isinstance(source_of(found[0].uri), Failure)


def test_what_gives_nothing_is_told(root: str, port: int) -> None:
    """A prefix without PDFs in one sentence; what is not there at all is a missing file."""
    put(port, root, "texts/a.txt")
    said: list[str] = []
    found = list(find_inputs([f"{root}/texts", f"{root}/nope", f"{root}/*.pdf", f"{root}/none/"], said.append))
    assert [(file.uri, file.version) for file in found] == [(f"{root}/nope", None)]
    assert said == [f"No PDFs and no images in {root}/texts, {root}/*.pdf, {root}/none/."]


ODD = ["in//b.pdf", "in/t\tab.pdf", "in/./b.pdf", "in/x/../c.pdf", "in//d//e.pdf"]


def test_an_odd_key_costs_itself_alone(root: str, port: int) -> None:
    """obstore's listing ends at such a key; here each is a failure with its name, and all others are read."""
    good = ["in/a.pdf", "in/x/y.pdf", "in/z.pdf"]
    for name in [*good, *ODD, "in//no.txt"]:
        put(port, root, name)
    found = list(find_inputs([f"{root}/in"]))
    assert sorted(file.uri for file in found if file.version) == [f"{root}/{name}" for name in good]
    assert sorted(file.uri for file in found if not file.version) == sorted(f"{root}/{name}" for name in ODD)
    assert all("Rename it" in (file.fault or "") for file in found if not file.version)
    assert [file.uri for file in find_inputs([f"{root}/in"])] == [file.uri for file in found]
    assert [file.fault for file in find_inputs([f"{root}/{ODD[0]}"])] == [found[0].fault or found[-1].fault]


def test_a_long_listing_goes_on_behind_an_odd_key(root: str, port: int) -> None:
    """Names that came before it in other pages of the store's answer do not come again."""
    for number in range(1001):
        put(port, root, f"in/{number:04d}.pdf")
    put(port, root, "in/0700//odd.pdf")
    put(port, root, "in/1000//odd.pdf")
    uris = [file.uri.removeprefix(f"{root}/in/") for file in find_inputs([f"{root}/in"])]
    assert len(uris) == len(set(uris)) == 1003
    assert [uri for uri in uris if "odd" in uri] == ["0700//odd.pdf", "1000//odd.pdf"]


@given(st.text("ab./%#?[ \t\x7fé", max_size=12) | st.text(max_size=1100))
def test_no_other_keys_are_refused_by_obstore(key: str) -> None:
    """What passes our check reaches the store; a key that would be taken for another one does not pass."""
    if fault_of_key(key) is None and key:
        with pytest.raises(FileNotFoundError):
            obstore.head(MemoryStore(), key)


def test_no_key_is_a_traceback(root: str) -> None:
    """Whatever stands in a list."""
    for uri in [
        f"{root}/\0",
        f"{root}/\x1b[2J",
        f"{root}/" + "k" * 1100,
        f"{root}/\udcff.pdf",
        "s3://",
        "s3:///a",
    ]:
        (found,) = find_inputs([uri])
        assert found.version is None
        found.uri.encode()
    with pytest.raises(StorageError, match=r"s3://b\\tc/d cannot be listed"):
        list(find_inputs(["s3://b\tc/d"]))


def test_credentials_in_a_uri_never_show(root: str, port: int) -> None:
    """Not where it is a pattern either."""
    put(port, root, "a.pdf")
    secret = root.replace("s3://", "s3://key:secret@")
    for argument in (secret, f"{secret}/*.pdf", f"{secret}/a.pdf", f"{root}/a.pdf?X-Amz-Signature=secret"):
        assert [file.uri for file in find_inputs([argument])] == [f"{root}/a.pdf"]
    with pytest.raises(StorageError, match="cannot be") as caught:
        find_present_inputs(["s3://key:secret@no-such-bucket/x/"])
    assert "secret" not in str(caught.value)
