"""Local folders of processes that are killed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from one_ocr_ray.storage.scratch import ScratchFolder

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from one_ocr_ray.storage.scratch import ScratchFolder
folder = ScratchFolder("one-", Path(sys.argv[1]))
(folder.path / "open.jsonl").write_bytes(b"{}")
print(folder.path.name, flush=True)
sys.stdin.read()
"""


def test_a_killed_process_leaves_no_folder_for_long(tmp_path: Path) -> None:
    """The next process removes it; those of living processes, and of other names, stay."""
    (tmp_path / "other-1").mkdir()
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        held = holder.stdout.readline().strip()
        first = ScratchFolder("one-", tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"other-1", held, first.path.name}
        holder.kill()
    second = ScratchFolder("one-", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"other-1", first.path.name, second.path.name}
    first.remove()
    second.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["other-1"]
