"""Bad and hostile pages, and a child process that hangs or dies of them: the page is lost and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import ErrorCode, Failure, PageImage
from one_ocr_ray.pdf.reader import PdfChild, PdfLimits
from tests import pdfs
from tests.children import PX, failure_of, image_of, opened, picture_of, process_of
from tests.layers import text_of
from tests.processes import wait_until_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
IMPATIENT = PdfLimits(open_timeout_s=5, page_timeout_s=2)
POOR = PdfLimits(memory_bytes=400 << 20)


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    """One child process for the tests that harm nobody."""
    with PdfChild() as one:
        yield one


# ---------------------------------------------------------------- bad pages in good documents


@pytest.mark.parametrize("number", [0, -1, 4, 2**31])
def test_a_page_that_is_not_there_fails(child: PdfChild, number: int) -> None:
    """A number outside the document is a failed page like any other."""
    opened(child, pdfs.text_pdf(3))
    assert failure_of(child, number) is ErrorCode.RENDER_FAILED
    assert text_of(child, 1) == pdfs.identity("document", 1, 3)


def test_a_bad_page_fails_alone_and_costs_no_process(child: PdfChild) -> None:
    """Its neighbours are drawn by the same process, and the next document gets a new one."""
    assert opened(child, pdfs.bad_page_pdf(3, bad_page=2)).page_count == 3
    first = process_of(child)
    assert failure_of(child, 2) is ErrorCode.RENDER_FAILED
    assert isinstance(text_of(child, 2), Failure)
    assert (text_of(child, 1), text_of(child, 3)) == ("document page 1 of 3", "document page 3 of 3")
    assert process_of(child) == first
    opened(child, pdfs.text_pdf())
    assert process_of(child) != first


def test_a_lying_page_count_is_believed_and_cheap(child: PdfChild) -> None:
    """5,000 claimed pages of one are 4,999 failures from a single process."""
    assert opened(child, pdfs.lying_count_pdf(5000)).page_count == 5000
    image_of(child, 1)
    process = process_of(child)
    assert {failure_of(child, number) for number in range(2, 5001)} == {ErrorCode.RENDER_FAILED}
    assert process_of(child) == process


@pytest.mark.parametrize("data", [pdfs.cyclic_tree_pdf(), pdfs.deep_tree_pdf()], ids=["cycle", "depth"])
def test_a_strange_page_tree_ends(child: PdfChild, data: bytes) -> None:
    """A page tree that contains itself or is 3,000 deep gives every claimed page an end, good or bad."""
    for number in range(1, opened(child, data).page_count + 1):
        page = child.render(number, PX)
        assert isinstance(page, PageImage) or page.failure.code is ErrorCode.RENDER_FAILED


# ---------------------------------------------------------------- hangs, crashes, memory


def test_a_page_that_never_ends_times_out_and_the_next_is_drawn() -> None:
    """The deadline costs the page its process, and the document is opened again by itself."""
    with PdfChild(IMPATIENT) as child:
        opened(child, pdfs.endless_page_pdf(3, bad_page=2))
        first = process_of(child)
        assert failure_of(child, 2) is ErrorCode.RENDER_TIMEOUT
        wait_until_gone([first])
        assert text_of(child, 3) == pdfs.identity("endless", 3, 3)
        assert process_of(child) != first
        text = text_of(child, 2)
        assert isinstance(text, Failure)
        assert text.code is ErrorCode.RENDER_TIMEOUT


def test_nothing_of_the_child_reaches_our_streams(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither a crash nor a bad page nor a damaged document prints anything."""
    with PdfChild(POOR) as child:
        for data in (pdfs.bad_page_pdf(), pdfs.spaces_bomb_pdf()):
            opened(child, data)
            child.render(1, PX)
            child.render(2, PX)
        child.inspect(pdfs.truncated_pdf())
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_child_has_nowhere_to_print_to(child: PdfChild) -> None:
    """What pdfium prints of a document is dropped, not kept in a pipe that fills up or breaks."""
    opened(child, pdfs.text_pdf())
    streams = [Path(f"/proc/{process_of(child).pid}/fd/{number}").readlink() for number in (1, 2)]
    assert streams == [Path(os.devnull)] * 2


MEMORY = """
import resource, sys
from one_ocr_ray.pdf.reader import PdfChild, PdfLimits
from tests import pdfs
from tests.layers import text_of
from tests.peak_memory import peak_kib
bomb = pdfs.spaces_bomb_pdf()
before = peak_kib()
with PdfChild(PdfLimits(memory_bytes=400 << 20)) as child:
    print(child.inspect(bomb).page_count)
    print(child.render(1, 800).failure.code)
    print(text_of(child, 2))
print(peak_kib() - before)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only, and measured in KiB")
def test_a_bomb_dies_of_the_child_s_limit_and_not_of_ours() -> None:
    """2 GiB of spaces in 5 kB: the page crashes within 400 MiB, the next one is drawn, this side hardly grows."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, cwd=ROOT)
    pages, code, text, grown_kib, childs_kib = done.stdout.splitlines()
    assert (pages, code, text) == ("2", "render_crashed", "the page after the bomb")
    assert int(childs_kib) < 400 << 10
    assert int(grown_kib) < 30 << 10


def test_an_image_bomb_is_drawn_small() -> None:
    """30,000 x 30,000 pixels in a few kilobytes are scaled down strip by strip, within little memory."""
    with PdfChild(POOR) as child:
        opened(child, pdfs.image_bomb_pdf())
        assert picture_of(child, 1).convert("L").getextrema()[1] < 10


def test_a_child_killed_from_outside_costs_at_most_one_page() -> None:
    """The kernel may kill it at any moment: the next page is drawn by another, the next document too."""
    with PdfChild() as child:
        opened(child, pdfs.text_pdf(3))
        process_of(child).kill()
        assert failure_of(child, 1) is ErrorCode.RENDER_CRASHED
        assert text_of(child, 2) == pdfs.identity("document", 2, 3)
        process_of(child).kill()
        assert opened(child, pdfs.text_pdf(4)).page_count == 4


def test_a_child_that_takes_nothing_in_is_given_up() -> None:
    """A stopped child that never reads its input is a timeout, not a wait for ever, however large the document."""
    with PdfChild(IMPATIENT) as child:
        opened(child, pdfs.text_pdf())
        process_of(child).suspend()
        assert failure_of(child, 1) is ErrorCode.RENDER_TIMEOUT
        image_of(child, 1)
        process_of(child).suspend()
        assert opened(child, pdfs.text_pdf(2) + b"\n" * (4 << 20)).page_count == 2


INTERRUPTED = """
import signal
from one_ocr_ray.pdf.reader import PdfChild, PdfLimits
from tests import pdfs
from tests.layers import text_of

with PdfChild(PdfLimits(page_timeout_s=5)) as child:
    child.inspect(pdfs.endless_page_pdf(3, bad_page=2))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        child.render(2, 1600)
    except KeyboardInterrupt:
        print("interrupted")
    print(text_of(child, 3))
"""


def test_an_interrupted_question_leaves_no_answer_behind() -> None:
    """After an exception in the middle of a page the next answer is that of the next question."""
    # In a process of its own: native libraries that other tests load do not survive signals.
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.splitlines() == ["interrupted", pdfs.identity("endless", 3, 3)], done.stderr
