"""The documentation agrees with the command line, with itself, and with the version."""

from __future__ import annotations

import re

import pytest

from one_ocr_ray.version import __version__
from tests.settings_page import PAGE, commands, flags, page
from tests.snippets import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
# Of other programs: ray, kubectl, pip, mypy, vLLM, SGLang, and the scripts in benchmarks/.
OTHERS = """
--dashboard-host --head --metadata-json --metrics-export-port --num-cpus --working-dir --generate --name --force
--namespace --time --from-literal --wheel --strict --seconds --max-model-len --model-path --load-format --check --seed
--no-deps --enforce-eager --max-num-queued-reqs
"""
KNOWN = {flag for parser in commands().values() for action in flags(parser) for flag in action.option_strings}


def test_the_page_of_options_is_that_of_the_help() -> None:
    """So every option of --help stands in the documentation; `python -m tests.settings_page` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_no_command_takes_the_start_of_a_flag() -> None:
    """An unknown flag is an error, and a later release may have two flags that begin alike."""
    assert [name for name, parser in commands().items() if parser.allow_abbrev] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_flags_that_are_named_exist(path: object) -> None:
    """In running text as in commands; those of other programs are listed here."""
    named = set(FLAG.findall(path.read_text(encoding="utf-8")))  # type: ignore[attr-defined]
    assert named <= KNOWN | set(OTHERS.split()) | {"--help"}


def test_every_page_is_found_from_the_readme() -> None:
    """A page without a link to it is not read."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in PAGES if path.parent.name == "docs" and f"docs/{path.name}" not in readme] == []


def test_the_version_is_the_same_everywhere() -> None:
    """In the newest released section of the changelog, and in the names of images."""
    sections = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert next(name for name in sections if name != "Unreleased") == __version__
    files = [ROOT / "docs" / "cluster.md", *(path for path in (ROOT / "deploy").rglob("*") if path.is_file())]
    images = [re.findall(r"one-ocr-ray:(\d[\w.]*)", path.read_text(encoding="utf-8")) for path in files]
    assert {image for each in images for image in each} == {__version__}
