"""Names of inputs and outputs are names, not URLs; what rows and people see of them holds no secret."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.errors import UsageError
from one_ocr_ray.storage.store.uris import is_remote, local_path, shown, split_remote, uri_of_path, without_credentials

NAMES = ["report #1.pdf", "what? really.pdf", "[final] v2.pdf", "plus+sign.pdf", "100%.pdf", "a%20b.pdf", "a&b=c.pdf"]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_taken_as_it_is(name: str) -> None:
    """Nothing of it is cut off or undone, neither for reading nor for rows."""
    uri = f"s3://bucket/docs/{name}"
    assert split_remote(uri) == ("s3://bucket", f"docs/{name}")
    assert without_credentials(uri) == uri
    assert local_path(f"/docs/{name}") == f"/docs/{name}"


@pytest.mark.parametrize(
    ("uri", "bare"),
    [
        ("s3://key:secret@bucket/a/b.pdf", "s3://bucket/a/b.pdf"),
        ("s3://bucket/b.pdf?X-Amz-Signature=1#f", "s3://bucket/b.pdf"),
        ("s3://bucket/b.pdf?versionId=2&X-Amz-Credential=key", "s3://bucket/b.pdf"),
        ("https://user:pass@host/d.pdf?token=1#f", "https://host/d.pdf"),
        ("az://container/a?sv=2024&sig=abc", "az://container/a"),
        ("abfss://container@account.dfs.core.windows.net/a", "abfss://container@account.dfs.core.windows.net/a"),
        ("s3://bucket/sure? sig.pdf", "s3://bucket/sure? sig.pdf"),
        ("/home/a@b/c?d#e.pdf", "/home/a@b/c?d#e.pdf"),
    ],
)
def test_credentials_are_cut_from_uris(uri: str, bare: str) -> None:
    """User, password and signature never reach a row; the container of an Azure URI is neither."""
    assert without_credentials(uri) == bare
    assert without_credentials(bare) == bare


def test_a_path_may_not_be_a_uri_of_an_unknown_store() -> None:
    """`--output https://...` would otherwise make a folder of that name, and `s3:/bucket` with one slash, too."""
    with pytest.raises(UsageError, match=r"https://host/out is neither"):
        local_path("https://user:pass@host/out")
    with pytest.raises(UsageError, match="neither"):
        local_path("s3:/bucket/out")
    with pytest.raises(UsageError, match="file:///"):
        local_path("file://host/out")
    assert local_path("file:///a%20b/c") == local_path("FILE://localhost/a b/c") == "/a b/c"
    assert local_path("file:///a/report #1.pdf") == "/a/report #1.pdf"
    assert local_path("/a:b/../c") == "/c"


@given(st.binary(min_size=1, max_size=40).filter(lambda name: not {b"/"[0], 0} & set(name)))
def test_any_name_of_a_file_can_be_stored_and_found_again(name: bytes) -> None:
    """Also one that is no UTF-8, such as a Windows code page leaves behind."""
    path = os.path.normpath(os.fsdecode(b"/in/" + name))
    uri = uri_of_path(path)
    uri.encode()
    assert local_path(uri) == path


@given(st.text() | st.text().map("s3://[".__add__) | st.text().map("file://".__add__))
def test_no_text_is_too_odd(text: str) -> None:
    """A name, or one sentence that can be printed anywhere."""
    is_remote(text)
    assert shown(text).isprintable() or not text.isprintable()
    try:
        local_path(text)
    except UsageError as error:
        str(error).encode()
