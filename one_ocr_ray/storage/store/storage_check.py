"""Checks that a store does what a run needs, with one small object. A fault is a sentence."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.policy.input_names import split_member
from one_ocr_ray.storage.inputs import stat_input
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.store.uris import is_remote, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def probe_object(root: str) -> Iterator[tuple[str, str | None]]:
    """An object under `root` during the block: its path, and any fault in writing."""
    path = f"_run/doctor-{token_hex(8)}"
    new_folder = not is_remote(root) and not Path(root).exists()
    try:
        objects = Objects(root)
        fault = _fault_of_writing(objects, path)
    except OneOcrError as error:
        yield path, str(error)
        return
    try:
        yield path, fault
    finally:
        with suppress(OneOcrError, OSError):  # deletion was checked already; others may use a new folder by now
            objects.delete(path)
            if new_folder:
                Path(root).rmdir()


def _fault_of_writing(objects: Objects, path: str) -> str | None:
    """Check that the store refuses the second writer of a name. Two runs would overwrite each other's pages."""
    if not objects.put_new(path, b"first"):
        return "The store says that a new object is there already."
    if objects.put_new(path, b"second") or objects.get(path) != b"first":
        return "The store overwrites what is there (no put-if-absent). Use one that knows If-None-Match."
    objects.delete(path)  # as a run does with its journals
    objects.put_new(path, b"mark")
    return None


def fault_of_sharing(root: str, path: str) -> str | None:
    """Why this machine does not see the object at `path`. Creates nothing."""
    try:
        seen = Objects(root).head(path) is not None if is_remote(root) else Path(root, path).exists()
    except OneOcrError as error:
        return str(error)
    return None if seen else f"{root} is another folder there. Use a shared folder or an object store."


def fault_of_reading(uri: str) -> str | None:
    """Why the input file at `uri` cannot be read on this machine."""
    try:
        if stat_input(uri).version is None:
            return f"{uri} is not there. Use a shared folder or an object store."
        archive = split_member(uri)
        if not is_remote(uri):
            with Path(local_path(archive[0] if archive else uri)).open("rb") as file:
                file.read(1)
    except OneOcrError as error:
        return str(error)
    except OSError as error:
        return f"{uri} cannot be read: {error.strerror}."
    return None
