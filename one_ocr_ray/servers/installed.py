"""Asks which vLLM is installed where servers are started."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

ANSWER_S = 10.0
_ASK = "from importlib.metadata import version; print(version('vllm'))"  # importing vLLM itself takes half a minute


def installed_vllm(python: str | None) -> str | None:
    """The version that `python` has; without one, that of `vllm` on PATH. None if that cannot be told."""
    with suppress(OSError, UnicodeError, subprocess.SubprocessError):
        if python is None:
            script = Path(shutil.which("vllm") or "")
            first = script.read_text(encoding="utf-8").partition("\n")[0]
            python = first.removeprefix("#!").strip()
        asked = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, timeout=ANSWER_S, check=True)  # noqa: S603
        return asked.stdout.strip()
    return None
