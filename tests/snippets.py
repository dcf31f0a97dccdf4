"""Code blocks of the documentation, and running them where a dataset `out` is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: str, language: str) -> list[str]:
    """The blocks of `language` in a page, in order."""
    return [code for name, code in BLOCK.findall((ROOT / path).read_text(encoding="utf-8")) if name == language]


def needs_ray(code: str) -> bool:
    """A block that starts a Ray of its own."""
    return "import ray" in code or "ocr.run(" in code


def run_snippet(code: str, folder: Path, **environment: str) -> str:
    """What a Python block prints, run in `folder` as its readers would."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment or None, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
