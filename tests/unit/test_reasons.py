"""Why storage refuses is said in words that a user can act on, with the true errors of obstore."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import obstore
import pytest
from obstore.store import LocalStore, from_url

from one_ocr_ray.storage.store.reasons import reason_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_system_error_is_named_as_the_system_names_it(tmp_path: Path) -> None:
    """obstore has no errno; its text has."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(obstore.exceptions.BaseError) as caught:
        obstore.put(LocalStore(tmp_path), "file/below", b"")
    assert reason_of(caught.value) == "Not a directory"
    assert reason_of(OSError(28, "x")) == "No space left on device"


def test_a_full_disk_is_called_full(tmp_path: Path) -> None:
    """The fault that users meet most."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nobody may mount a disk here")
    try:
        with pytest.raises(obstore.exceptions.BaseError) as caught:
            obstore.put(LocalStore(tmp_path), "a", bytes(100_000))
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert reason_of(caught.value) == "No space left on device"


def test_a_store_that_nobody_answers_for() -> None:
    """A wrong address, or a server that is down."""
    store = from_url(
        "s3://bucket", endpoint="http://127.0.0.1:9", access_key_id="a", secret_access_key="hidden",
        client_options={"allow_http": True}, retry_config={"max_retries": 0},
    )  # fmt: skip
    with pytest.raises(obstore.exceptions.BaseError) as caught:
        list(obstore.list(store))
    assert reason_of(caught.value) == "nothing answers at the store's address"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("status code: 404 Not Found: <Error><Code>NoSuchBucket</Code></Error>", "the store says NoSuchBucket"),
        ("Server returned non-2xx status code: 507 Insufficient Storage: x", "the store says 507 Insufficient Storage"),
        (
            "Error performing PUT http://169.254.169.254/latest/api/token - status code: 403 Forbidden: no",
            "no credentials are in the environment, and this machine has no role",
        ),
        ("Generic MicrosoftAzure error: Account must be specified\n\nDebug", "Account must be specified"),
        ("GET https://host/x?sig=hidden: broken", "Exception"),
    ],
)
def test_what_a_store_says(text: str, reason: str) -> None:
    """Its own code before that of HTTP; of a text without one a short sentence, but no address."""
    assert reason_of(Exception(text)) == reason


def test_a_key_that_ends_a_listing_is_named(tmp_path: Path) -> None:
    """Of a store where it cannot be passed over: whoever owns the bucket can rename it."""
    (tmp_path / "a\tb.pdf").touch()
    with pytest.raises(obstore.exceptions.BaseError) as caught:
        list(obstore.list(LocalStore(tmp_path)))
    assert reason_of(caught.value) == 'it holds the key "/a\\tb.pdf", which cannot be read; rename it'
