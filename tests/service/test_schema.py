"""The API's description against the API: every request that it allows or forbids is answered as it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.site import KEYS, Site

ROOT = Path(__file__).resolve().parents[2]


# All that each operation forbids (`coverage`) is tried once, with keys.
@pytest.mark.parametrize(
    ("keys", "phases"),
    [(False, "fuzzing,stateful"), (True, "examples,coverage,fuzzing,stateful")],
    ids=["without keys", "with keys"],
)
def test_every_answer_is_as_described(tmp_path: Path, keys: bool, phases: str) -> None:
    """Of every operation: no 5xx, no undescribed status or type, valid requests are taken and invalid ones refused,
    methods that are not there are 405, and there is no way around the key.
    """
    with Site(tmp_path, keys=keys, requests_per_second=100_000) as site:
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={ROOT / 'schemathesis.toml'}",
            "run",
            f"{site.url}/openapi.json",
            f"--header=X-Api-Key: {KEYS[0]}",
            f"--phases={phases}",
            "--max-examples=10",
            "--generation-deterministic",
            "--checks=all",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=380)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
