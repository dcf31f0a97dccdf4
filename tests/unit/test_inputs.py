"""From INPUT arguments to files."""

from __future__ import annotations

import glob
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.errors import StorageError, UsageError
from one_ocr_ray.storage.inputs import find_inputs, find_present_inputs, stat_input
from one_ocr_ray.storage.store import walking
from one_ocr_ray.storage.store.uris import local_path

if TYPE_CHECKING:
    from collections.abc import Callable


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


def test_a_name_that_is_not_utf8_is_read_under_an_escaped_name(tree: Path) -> None:
    """Such as unpacking a zip from Windows leaves behind: rows can hold the name, and it leads back to the file."""
    try:
        (Path(os.fsdecode(os.fsencode(tree) + "/报告.pdf".encode("gbk")))).write_bytes(b"%PDF-1")
    except OSError:
        pytest.skip("this file system allows no such name")
    found = next(file for file in find_inputs([str(tree)]) if file.uri.startswith("file://"))
    assert (found.name, found.size_bytes) == ("%B1%A8%B8%E6.pdf", 6)
    assert stat_input(found.uri) == found
    assert list(find_inputs([found.uri])) == [found]
    assert Path(local_path(found.uri)).read_bytes() == b"%PDF-1"


def test_what_is_named_and_gives_nothing_is_told(tree: Path) -> None:
    """A name that may be a file's is a missing file; a folder or a pattern may be empty, and one sentence says so."""
    (tree / "empty").mkdir()
    said: list[str] = []
    missing = [f"{tree}/missing [1].pdf", f"{tree}/what? really.pdf", "https://host/d.pdf", "a\0b.pdf", "x" * 5000]
    found = list(find_inputs([f"{tree}/empty", *missing, f"{tree}/*.PDFX", f"{tree}/b.pdf"], said.append))
    assert [file.version is None for file in found] == [True] * 5 + [False]
    assert found[0].uri == f"{tree}/missing [1].pdf"
    assert found[2].fault is not None
    assert "neither a path nor" in found[2].fault
    assert said == [f"No PDFs and no images in {tree}/empty, {tree}/*.PDFX."]


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("{tree}/nope.pdf", r"There is no file or folder .*/nope\.pdf\."),
        ("{tree}/sub/*.txt", r"No PDFs and no images in .*/sub/\*\.txt\."),
        ("s3://[b/x.pdf", "not a storage URI"),
        ("https://user:secret@host/d.pdf?sig=1", "https://host/d.pdf is neither"),
        ("a\0b", "no name of a file"),
        ("\x1b[31mred", r"There is no file or folder .*\\x1b\[31mred"),
    ],
)
def test_no_input_at_all_is_one_sentence(tree: Path, argument: str, sentence: str) -> None:
    """It names what was given, without a secret and without what a terminal would act on."""
    with pytest.raises(UsageError, match=sentence) as caught:
        find_present_inputs([argument.format(tree=tree)])
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "encode",
    [
        lambda names: "\r\n".join(names).encode("utf-16"),
        lambda names: b"\xfe\xff" + "\n".join(names).encode("utf-16-be"),
        lambda names: "\0".join(names).encode() + b"\0",
        lambda names: b"\xef\xbb\xbf" + "\n".join(names).encode(),
    ],
    ids=["PowerShell", "big endian", "find -print0", "with a mark"],
)
def test_a_list_comes_from_any_shell(tree: Path, encode: Callable[[list[str]], bytes]) -> None:
    """UTF-8, UTF-16, or names that end in NUL."""
    listing = tree / "list.txt"
    listing.write_bytes(encode([f"{tree}/b.pdf", f"{tree}/sub/deep/[x] 标题.pdf"]))
    assert names(tree, f"@{listing}") == ["b.pdf", "sub/deep/[x] 标题.pdf"]


def test_a_list_in_another_encoding_names_the_files_it_was_made_from(tree: Path) -> None:
    """Its bytes are the names' bytes; UTF-16 that is cut off is one sentence."""
    (Path(os.fsdecode(os.fsencode(tree) + b"/caf\xe9.pdf"))).write_bytes(b"%PDF-")
    (tree / "list.txt").write_bytes(os.fsencode(tree) + b"/caf\xe9.pdf\n")
    assert [file.name for file in find_inputs([f"@{tree}/list.txt"]) if file.version] == ["caf%E9.pdf"]
    (tree / "list.txt").write_bytes(b"\xff\xfea")
    with pytest.raises(UsageError, match=r"list\.txt cannot be read"):
        list(find_inputs([f"@{tree}/list.txt"]))


@pytest.mark.parametrize("pattern", ["", "/*", "/*/*", "/**/*.pdf", "/**"])
def test_a_folder_that_cannot_be_listed_is_a_failure_of_its_own(tmp_path: Path, pattern: str) -> None:
    """The files around it are read. Here its path is longer than the system allows, which stops root as well."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.pdf").write_bytes(b"%PDF-")
    at = os.open(tmp_path / "a", os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=at)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    found = list(find_inputs([f"{tmp_path}{pattern}"]))
    if pattern not in ("/*", "/*/*"):
        (locked,) = [file for file in found if file.version is None]
        assert locked.uri.endswith("n/")
        assert locked.fault == "The folder cannot be listed: File name too long."
        assert stat_input(locked.uri).fault == locked.fault
    assert [file.name for file in found if file.version] == ([] if pattern == "/*" else ["b.pdf"])


def test_linked_folders_are_followed_once(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever leads to a folder that was met gives nothing new, so no loop has an end to wait for."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "d.pdf").write_bytes(b"%PDF-")
    (elsewhere / "back").symlink_to(tree)
    (tree / "again").symlink_to(tree / "sub")
    (tree / "there").symlink_to(elsewhere)
    (tree / "there too").symlink_to(elsewhere)
    (tree / "self").symlink_to("self")
    everything = ["a.PDF", "b.pdf", "sub/c.pdf", "sub/deep/[x] 标题.pdf", "there/d.pdf"]
    assert names(tree, str(tree)) == everything
    assert names(tree, f"{tree}/**/*.[pP]*") == sorted(everything)


def test_a_pattern_does_what_the_shell_does(tree: Path) -> None:
    """The standard library's own is the measure: `**`, wildcards for folders, leading dots."""
    for name in (".hidden.pdf", ".git/e.pdf", "sub/.f.pdf"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"%PDF-")
    for pattern in (
        "*",
        "*.pdf",
        "*/*.pdf",
        "**/*.pdf",
        "**",
        "sub/**/*.pdf",
        "[a-c].*",
        ".*",
        ".*/*",
        "**/d*/*",
        "x/*",
    ):
        matches = glob.glob(f"{tree}/{pattern}", recursive=True)  # noqa: PTH207 - which is what it is measured by
        expected = [each for each in matches if Path(each).is_file()]
        assert [each.path for each in walking.glob(f"{tree}/{pattern}")] == sorted(expected), pattern


@given(
    st.text(max_size=30).filter(lambda text: not text.startswith(("/", "~")) and ".." not in text)
    | st.text("/.*?[]@~# \0é\ud800s3:", max_size=30).map("/no such folder/".__add__)
    | st.text(max_size=9).map("s3://[".__add__)
    | st.text(max_size=9).map("file://".__add__)
)
def test_no_argument_is_a_traceback(argument: str) -> None:
    """It gives files with names that can be stored, or one sentence that can be printed."""
    try:
        for file in islice(find_inputs([argument]), 100):
            file.uri.encode()
            stat_input(file.uri)
    except (UsageError, StorageError) as error:
        str(error).encode()


def test_images_beside_pdfs_are_documents_too(tmp_path: Path) -> None:
    """By their ending in any case, in a folder; a named file is read whatever its ending."""
    wanted = ["a.PNG", "b.jpg", "c.jpeg", "d.tif", "e.TIFF", "f.webp", "g.bmp", "h.gif", "i.jp2", "j.heic", "k.pdf"]
    for name in [*wanted, "l.svg", "m.txt", "n", "o.png.md"]:
        (tmp_path / name).write_bytes(b"?")
    assert names(tmp_path, str(tmp_path)) == wanted
    assert names(tmp_path, f"{tmp_path}/l.svg", f"{tmp_path}/n") == ["l.svg", "n"]
