"""A file system without hard links, as exFAT, SMB and buckets that are mounted: the kernel itself refuses here.

A process forbids itself the call with a filter of the kernel's, which answers as those file systems do.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the numbers of system calls are others there"
)

EPERM, EINVAL = 1, 22
LINK, LINKAT, RENAMEAT2 = 86, 265, 316
PROGRAM = """
import ctypes, struct, sys

def refuse(calls):
    load, equal, give = 0x20, 0x15, 0x06
    steps = [struct.pack("HBBI", load, 0, 0, 0)]
    for number, error in calls.items():
        steps += [struct.pack("HBBI", equal, 0, 1, number), struct.pack("HBBI", give, 0, 0, 0x00050000 | error)]
    steps.append(struct.pack("HBBI", give, 0, 0, 0x7FFF0000))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program) == 0, "this kernel filters no calls"

refuse(%r)
from one_ocr_ray.errors import UsageError
from one_ocr_ray.storage.store.objects import Objects
objects = Objects(sys.argv[1])
try:
    print(objects.put_new("a/b", b"first"), objects.put_new("a/b", b"second"), objects.get("a/b"))
    objects.put("a/b", b"third")
    print(objects.get("a/b"), [info.path for info in objects.list()])
except UsageError as error:
    print(error)
"""


def said(refused: dict[int, int], folder: Path) -> str:
    """What a process says that writes where the kernel refuses some calls."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % refused, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_rename_that_replaces_nothing_does_as_well(tmp_path: Path) -> None:
    """exFAT, FAT and SMB on Linux have it: of two writers the second is told so."""
    told = said({LINK: EPERM, LINKAT: EPERM}, tmp_path)
    assert told == "True False b'first'\nb'third' ['a/b']\n"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_without_both_the_user_is_told_what_to_do(tmp_path: Path) -> None:
    """As on gcsfuse, s3fs and exFAT through FUSE: exit code 2, before anything is paid."""
    told = said({LINK: EPERM, LINKAT: EPERM, RENAMEAT2: EINVAL}, tmp_path)
    assert told.startswith(f"The file system of {tmp_path}/a has no hard links")
    assert "s3://, gs://, az://" in told
    assert list((tmp_path / "a").iterdir()) == []
