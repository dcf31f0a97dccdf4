"""docs/development.md is true: what it names is there, and a page's way is as short as it says."""

from __future__ import annotations

import ast
import re
from itertools import pairwise

import pytest

from tests.snippets import ROOT

PAGE = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
SECTIONS = dict(part.partition("\n")[::2] for part in PAGE.split("\n## ")[1:])
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "one_ocr_ray").rglob("*.py")}
ROWS = [row.split("|") for row in SECTIONS["Every bound that a page passes"].splitlines() if row.count("|") > 3]
PLACES = [found for row in ROWS[2:] for found in re.findall(r"`(\w+)\.([\w.]+)`", row[3])]
# These find the next one by its name.
DYNAMIC = {"cli.main", "submission.submit", "RemoteTaskManager.call", "TaskManagerActor.call"}


def names_in(function: str) -> set[str]:
    """What the function of that name, of a class or a module where it is given, speaks of."""
    owner, _, name = function.rpartition(".")
    names: set[str] = set()
    for path, text in SOURCES.items():
        if f"def {name}(" in text and (not owner or f"class {owner}" in text or owner in {path.stem, path.parent.name}):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                    inner = list(ast.walk(node))
                    names |= {each.attr for each in inner if isinstance(each, ast.Attribute)} | {name}
                    names |= {each.id for each in inner if isinstance(each, ast.Name)}
    return names


@pytest.mark.parametrize(("module", "name"), PLACES)
def test_a_bound_stands_where_the_page_says(module: str, name: str) -> None:
    """In a module of that name, as a constant, a class with its field, or a function."""
    texts = [text for path, text in SOURCES.items() if path.stem == module]
    parts = [rf"^\s*(?:class |def |async def )?{part}\b\s*[=:(]" for part in name.split(".")]
    assert any(all(re.search(part, text, re.MULTILINE) for part in parts) for text in texts)


@pytest.mark.parametrize(
    ("section", "most"), [("A page of a run, function by function", 13), ("A page of an upload", 15)]
)
def test_the_way_of_a_page_is_short_and_leaves_no_function_out(section: str, most: int) -> None:
    """Each function on it calls the next one, or starts it as a task."""
    functions = re.findall(r"^ *(?:=> )?([\w.]+)", SECTIONS[section].split("```")[1], re.MULTILINE)
    assert functions[-1] == "read_page"
    assert len(functions) <= most
    for function, following in pairwise(functions):
        assert names_in(function), f"there is no {function}"
        assert function in DYNAMIC or following.rpartition(".")[2] in names_in(function), f"{function}: {following}"


def test_each_folder_of_the_package_says_what_may_live_there() -> None:
    """In one sentence at its head, and those beside the package on the page."""
    silent = [path for path, text in SOURCES.items() if path.name == "__init__.py" and not text.startswith('"""')]
    assert silent == []
    beside = re.findall(r"^\| `([\w.]+)/`", SECTIONS["Folders"], re.MULTILINE)
    assert beside
    assert [name for name in beside if not (ROOT / name).is_dir()] == []
