"""The child process itself: when it starts and  what it knows, and what it may say."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.pdf.process import LostError, PdfProcess, minimal_environment
from one_ocr_ray.pdf.reader import PdfChild, PdfLimits
from tests import pdfs
from tests.children import image_of, opened, process_of
from tests.processes import wait_until_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    """One child process for the tests that harm nobody."""
    with PdfChild() as one:
        yield one


def test_pages_of_a_document_share_a_process_and_so_do_documents(child: PdfChild) -> None:
    """Nothing is started anew as long as nothing fails."""
    opened(child, pdfs.text_pdf())
    image_of(child, 1)
    processes = []
    for _ in range(3):
        opened(child, pdfs.text_pdf())
        image_of(child, 1)
        processes.append(process_of(child))
    assert all(one == other for one, other in pairwise(processes))


def test_close_ends_the_process() -> None:
    """After `close` nothing is left of the child, and closing again does no harm."""
    child = PdfChild()
    opened(child, pdfs.text_pdf())
    process = process_of(child)
    child.close()
    child.close()
    assert not process.is_running()


PARENT = """
import sys, threading
from one_ocr_ray.pdf.reader import PdfChild, PdfLimits
from tests import pdfs
child = PdfChild(PdfLimits(memory_bytes=16 << 30, page_timeout_s=600))
child.inspect(pdfs.endless_page_pdf())
print(child._process._popen.pid, flush=True)
child.render(int(sys.argv[1]), 800)
print("drawn", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("page_number", [1, 2], ids=["idle", "busy"])
def test_a_killed_parent_takes_its_child_along(page_number: int) -> None:
    """When the parent is killed the child ends by itself, idle or in the middle of an endless page."""
    command = [sys.executable, "-c", PARENT, str(page_number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        if page_number == 1:
            parent.stdout.readline()
        else:
            while process.memory_info().rss < 60 << 20:  # the endless page has begun
                time.sleep(0.01)
        parent.kill()
        try:
            wait_until_gone([process])
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_the_child_knows_no_secrets(monkeypatch: pytest.MonkeyPatch, child: PdfChild) -> None:
    """Keys in our environment do not reach it, and the password does not stand in its command line."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    opened(child, pdfs.encrypted_pdf(), "open sesame")
    process = process_of(child)
    assert set(process.environ()) <= {"PATH", "PYTHONPATH", "LC_CTYPE"}
    assert "sesame" not in " ".join(process.cmdline())


def test_the_working_directory_is_no_place_to_import_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's json.py beside the PDFs is not executed."""
    (tmp_path / "json.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    with PdfChild() as child:
        opened(child, pdfs.text_pdf())


def test_our_process_does_not_load_pdfium() -> None:
    """Importing `pdf` leaves pdfium out: a crash in it cannot be ours."""
    probe = "import sys, one_ocr_ray.pdf.reader; sys.exit('pypdfium2' in sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True, cwd=ROOT)


def _with_module(folder: Path, name: str, source: str) -> dict[str, str]:
    """An environment for the child in which module `name` is `source`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))
    environment = minimal_environment()
    return environment | {"PYTHONPATH": f"{folder}{os.pathsep}{environment['PYTHONPATH']}"}


def test_a_child_that_cannot_start_is_an_error_with_its_reason(tmp_path: Path) -> None:
    """A broken installation is told as such, not as ten thousand corrupt documents."""
    environment = _with_module(tmp_path, "pypdfium2.py", "raise ImportError('no such library here')")
    with PdfChild(environment=environment) as child, pytest.raises(OneOcrError, match="no such library here"):
        child.inspect(pdfs.text_pdf())


def test_a_child_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    """A start that hangs ends in an error as well."""
    environment = _with_module(tmp_path, "pypdfium2.py", "import time; time.sleep(600)")
    with PdfChild(PdfLimits(start_timeout_s=0.3), environment) as child, pytest.raises(OneOcrError, match="started"):
        child.inspect(pdfs.text_pdf())


@pytest.mark.parametrize(
    "frame",
    [
        "struct.pack('>II', 2, 2**32 - 1) + b'{}'",
        "struct.pack('>II', 2**32 - 1, 0)",
        "struct.pack('>II', 3, 0) + b'{{}'",
    ],
    ids=["endless payload", "endless header", "no JSON"],
)
def test_a_child_that_lies_in_its_frames_is_lost(tmp_path: Path, frame: str) -> None:
    """A frame beyond all bounds, or one that is no frame the exchange instead of eating memory."""
    program = f"""
        import os, struct, time
        os.write(0, struct.pack('>II', 2, 0) + b'{{}}')
        os.read(0, 8)
        os.write(0, {frame})
        time.sleep(600)
    """
    environment = _with_module(tmp_path, "one_ocr_ray/pdf/child.py", program)
    (tmp_path / "one_ocr_ray" / "__init__.py").touch()
    process = PdfProcess.start(1 << 30, 30, environment)
    try:
        with pytest.raises(LostError) as lost:
            process.call({"do": "render"}, b"", 30)
        assert not lost.value.timed_out
        assert isinstance(lost.value.__cause__, ValueError)  # judged by its frame, not by its end
    finally:
        process.kill()
