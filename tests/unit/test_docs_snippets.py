"""Every Python block of the documentation, run as written; and the commands and links that stand in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.blocks import Block, BlockKind, Box, Positions
from one_ocr_ray.cli import main
from one_ocr_ray.model import ErrorCode, Failure
from one_ocr_ray.policy.dataset.packing import pack
from tests import datasets
from tests.snippets import ROOT, blocks, needs_ray, run_snippet
from tests.values import TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted(str(path.relative_to(ROOT)) for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
# What needs a Ray is run by tests/cluster/test_docs_ray_data.py.
SNIPPETS = [(path, code) for path in PAGES for code in blocks(path, "python") if not needs_ray(code)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset `out`: good and failed pages, an extraction, a document that cannot be opened."""
    root = tmp_path_factory.mktemp("docs")
    paper, bill, locked = document(1), document(2), document(3, page_count=None, failure=LOCKED)
    title = Block(1, BlockKind.HEADING, "text of page 1", Box(72, 72, 200, 90), level=1)
    pages = [page(paper, 1, blocks=pack([title], Positions.BLOCKS)), page(paper, 2, failure=TIMED_OUT)]
    pages += [page(paper, 3, markdown="last")]
    pages += [page(bill, number, markdown="", data='{"total": 12.5}') for number in (1, 2, 3)]
    datasets.write(root / "out", [paper, bill, locked], pages)
    (root / "samples").symlink_to(ROOT / "samples")
    return root


LOCKED = Failure(ErrorCode.PDF_ENCRYPTED, "Locked.")


@pytest.mark.parametrize("number", range(len(SNIPPETS)), ids=[path for path, _ in SNIPPETS])
def test_a_snippet_runs_as_written(folder: Path, number: int) -> None:
    """In a process of its own, in a folder with a dataset `out`."""
    code = SNIPPETS[number][1]
    run_snippet(code, folder, HF_HOME=str(folder / "hf"), HF_HUB_OFFLINE="1", PATH="")


def test_pages_are_cut_at_their_ends(folder: Path) -> None:
    """The snippet that cuts documents gives each page its own text, an empty one where the page failed."""
    (code,) = [code for _, code in SNIPPETS if "starts = [0" in code]
    assert "00001.pdf [14, 0, 4]" in run_snippet(code, folder, PATH="")


@pytest.mark.parametrize("path", PAGES)
def test_commands_and_flags_that_are_shown_exist(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each `one-ocr COMMAND` of a shell block, and each of its flags, is in that command's help."""
    for block in blocks(path, "sh"):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            if shown := re.match(r"(?:.*&& )?(?:one-ocr (\w+)|.*(jobs/ocr\.py))(.*)", line.partition(" #")[0]):
                with pytest.raises(SystemExit):
                    main([shown[1] or "run", "--help"])
                helped = capsys.readouterr().out
                for flag in re.findall(r"(?<!\S)--[a-z][\w-]*", shown[3]):
                    assert flag in helped, f"{flag} of: {line}"


@pytest.mark.parametrize("path", PAGES)
def test_links_between_pages_lead_somewhere(path: str) -> None:
    """Relative links of the documentation name files that are there, and headings that they have."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / path).read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        file = (ROOT / path).parent / name if name else ROOT / path
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}, target
