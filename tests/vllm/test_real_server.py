"""Whole runs with `--engine vllm` and a real vLLM: read, survive a killed server, leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.provider import write_identity_pdfs
from tests.waiting import until

pytestmark = pytest.mark.timeout(1200)

FOLDER = Path(os.environ["ONE_OCR_VLLM_FOLDER"])  # of install.sh
PAGE = "# Tiny page\n\nIt was read by a real server."
SMALL = (
    "--dtype float32 --enforce-eager --kv-cache-memory-bytes 134217728 --max-model-len 2048 --max-num-seqs 8 "
    "--no-enable-prefix-caching"
)
STARTS_S = 400.0


def run(folder: Path, documents: int, pages: int) -> subprocess.Popen[str]:
    """A run of the command line on new PDFs."""
    (folder / "in").mkdir()
    write_identity_pdfs(folder / "in", range(documents), pages=pages)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    command = [
        str(Path(sys.executable).with_name("one-ocr")), "run", str(folder / "in"), "--output", str(folder / "out"),
        "--engine", "vllm", "--model", str(FOLDER / "tiny"), "--gpus-per-replica", "0", "--replicas", "1",
        "--server-python", str(FOLDER / "venv/bin/python"), "--server-args", SMALL, "--output-tokens", "64",
    ]  # fmt: skip
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def servers() -> list[psutil.Process]:
    """The processes of vLLM and of its guard."""
    names = (str(FOLDER / "tiny"), "VLLM::")
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if "one-ocr" not in (line := " ".join(each.info["cmdline"] or ())) and any(name in line for name in names)
    ]


def rows(folder: Path) -> list[dict[str, object]]:
    """All rows of pages."""
    return [row for file in (folder / "out/pages").glob("*.parquet") for row in pq.read_table(file).to_pylist()]


def test_pages_are_read_and_nothing_is_left(tmp_path: Path) -> None:
    """Each page is what the model always answers."""
    said, _ = run(tmp_path, documents=2, pages=5).communicate(timeout=STARTS_S)
    assert "1 of 1 servers ready" in said
    assert [row["markdown"] for row in rows(tmp_path)] == [PAGE] * 10
    until(lambda: not servers(), "the end of all servers", 30)


def test_an_engine_that_is_killed_costs_no_page(tmp_path: Path) -> None:
    """The server is started again at its address, and the pages under way are asked again."""
    reading = run(tmp_path, documents=10, pages=12)
    engine: list[psutil.Process] = []

    def reads() -> bool:
        engine[:] = [each for each in servers() if "EngineCore" in " ".join(each.cmdline())]
        return bool(engine) and any(path.is_file() for path in (tmp_path / "out/_work").rglob("*"))

    until(reads, "a page", STARTS_S)
    engine[0].kill()
    said, _ = reading.communicate(timeout=2 * STARTS_S)
    assert "it is started again" in said
    assert [row["markdown"] for row in rows(tmp_path)] == [PAGE] * 120
    until(lambda: not servers(), "the end of all servers", 30)


def test_a_killed_driver_takes_its_servers_along(tmp_path: Path) -> None:
    """Within the time that they have to shut down."""
    reading = run(tmp_path, documents=1, pages=2)
    until(lambda: any("EngineCore" in " ".join(each.cmdline()) for each in servers()), "an engine", STARTS_S)
    os.kill(reading.pid, signal.SIGKILL)
    reading.wait()
    until(lambda: not servers(), "the end of all servers", 30)
