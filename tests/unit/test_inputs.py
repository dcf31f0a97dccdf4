"""From INPUT arguments to files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from one_ocr_ray.errors import UsageError
from one_ocr_ray.storage.inputs import find_inputs


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with PDFs in it and below it, and other things beside them."""
    for name in ("b.pdf", "a.PDF", "notes.txt", "sub/c.pdf", "sub/deep/[x] 标题.pdf"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%PDF-")
    return tmp_path


def names(root: Path, *arguments: str) -> list[str]:
    """The found files, relative to `root`."""
    return [str(Path(file.uri).relative_to(root)) for file in find_inputs(arguments)]


def test_a_folder_is_searched_sorted_and_recursively(tree: Path) -> None:
    """Only PDFs, by their ending in any case, in an order that does not depend on the file system."""
    assert names(tree, str(tree)) == ["a.PDF", "b.pdf", "sub/c.pdf", "sub/deep/[x] 标题.pdf"]


def test_a_glob_finds_files_and_a_literal_name_with_brackets_is_itself(tree: Path) -> None:
    """A path that exists is never read as a pattern."""
    assert names(tree, f"{tree}/**/*.pdf") == ["b.pdf", "sub/c.pdf", "sub/deep/[x] 标题.pdf"]
    assert names(tree, f"{tree}/sub/deep/[x] 标题.pdf") == ["sub/deep/[x] 标题.pdf"]
    assert names(tree, f"{tree}/nothing-*.pdf") == []


def test_the_same_file_named_twice_comes_once(tree: Path) -> None:
    """In the place of its first mention."""
    assert names(tree, f"{tree}/sub/c.pdf", str(tree), f"{tree}/b.pdf")[:2] == ["sub/c.pdf", "a.PDF"]
    assert len(names(tree, str(tree), str(tree))) == 4


def test_a_missing_file_comes_without_version(tree: Path) -> None:
    """It is for the run to report; size and version of the others are known without opening them."""
    missing, there = find_inputs([f"{tree}/nope.pdf", f"{tree}/b.pdf"])
    assert (missing.version, missing.size_bytes) == (None, 0)
    assert there.size_bytes == 5
    assert there.version is not None
    assert there.name == "b.pdf"


def test_a_list_names_one_input_a_line(tree: Path) -> None:
    """Comments and empty lines are passed over; folders work too."""
    listing = tree / "list.txt"
    listing.write_text(f"# mine\n{tree}/b.pdf\n\n{tree}/sub\n")
    assert names(tree, f"@{listing}") == ["b.pdf", "sub/c.pdf", "sub/deep/[x] 标题.pdf"]


def test_a_line_of_a_list_may_begin_with_any_sign_but_a_hash(tree: Path) -> None:
    """No line is dropped in silence: what is no file comes as a missing one. Editors may write a byte order mark."""
    listing = tree / "list.txt"
    listing.write_bytes(b"\xef\xbb\xbf" + f"{tree}/b.pdf\r\n@{tree}/other.txt\r\nhttps://host/d.pdf\r\n".encode())
    found = list(find_inputs([f"@{listing}"]))
    assert [(Path(file.uri).name, file.version is None) for file in found] == [
        ("b.pdf", False),
        ("other.txt", True),
        ("d.pdf", True),
    ]
    assert found[2].uri == "https://host/d.pdf"


def test_a_file_uri_is_a_local_path(tree: Path) -> None:
    """With its escapes undone."""
    assert names(tree, (tree / "sub" / "deep" / "[x] 标题.pdf").as_uri()) == ["sub/deep/[x] 标题.pdf"]


def test_a_missing_list_is_a_usage_error(tree: Path) -> None:
    """The user is told which list."""
    with pytest.raises(UsageError, match=r"nope\.txt"):
        list(find_inputs([f"@{tree}/nope.txt"]))


def test_relative_paths_become_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows must name their source wherever they are read later."""
    monkeypatch.chdir(tree)
    assert [file.uri for file in find_inputs(["b.pdf"])] == [str(tree / "b.pdf")]


def test_a_name_that_is_not_utf8_comes_as_missing(tree: Path) -> None:
    """No dataset can hold it: the run reports it, with a name that can be written, and reads the others."""
    try:
        (Path(os.fsdecode(os.fsencode(tree) + b"/z-\xff.pdf"))).write_bytes(b"%PDF-")
    except OSError:
        pytest.skip("this file system allows no such name")
    found = list(find_inputs([str(tree)]))
    assert [file.name for file in found if file.version is None] == ["z-\\udcff.pdf"]
    assert len(found) == 5
