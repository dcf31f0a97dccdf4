"""Model servers that fail in every way, beside a run that reads with them, and a driver that is killed.

python -m benchmarks.model_servers [--pages 1200] [--servers 4]

The servers are the stand-in of the tests. One crashes while it loads, one hangs, one dies in the middle and leaves its
port taken, one refuses what is more than four at once. With fewer pages the run ends before the hang is noticed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from tests.provider import write_identity_pdfs
from tests.servers import stand_in

ROOT = Path(__file__).resolve().parent.parent
LIVES = (
    "tidy slow crash",
    "slow paced hangs-after-20",
    "slow paced dies-after-15 clings",
    "slow paced stubborn full-at-4",
)
DEATHS = 3  # of those that crash, hang and die
PAGES_EACH = 10
BOUND_S = 30.0  # until the last process of a killed run is gone


def main() -> int:
    """Read, kill, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, default=1200)
    parser.add_argument("--servers", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "in"
        source.mkdir()
        write_identity_pdfs(source, range(options.pages // PAGES_EACH), PAGES_EACH)
        is_well = read(source, Path(work) / "read", options.servers)
        return 0 if killed(source, Path(work) / "killed", options.servers) and is_well else 1


def start(source: Path, folder: Path, servers: int) -> subprocess.Popen[str]:
    """A run whose servers live the lives in `folder`."""
    folder.mkdir()
    for number, life in enumerate(LIVES):
        (folder / f"{number}.next").write_text(life)
    server = [sys.executable, stand_in.__file__, "--model", "{model}", "--host", "{host}", "--port", "{port}"]
    command = [
        sys.executable, "jobs/ocr.py", str(source), "--output", str(folder / "out"), "--engine", "vllm",
        "--model", "tidy paced", "--gpus-per-replica", "0", "--replicas", str(servers), "--json",
        "--server-command", shlex.join([*server, "--lives", str(folder)]),
    ]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def processes(folder: Path) -> list[psutil.Process]:
    """The servers of `folder`, their guards and their engines."""
    guards = [
        each for each in psutil.process_iter(["cmdline"])
        if str(folder) in (line := each.info["cmdline"] or ()) and any("guard.py" in word for word in line)
    ]  # fmt: skip
    return [*guards, *(below for guard in guards for below in guard.children(recursive=True))]


def started(folder: Path) -> int:
    """How many servers have begun."""
    return sum(
        path.suffix[1:].isdigit() and path.stem not in {"answered", "refused", "choked"} for path in folder.iterdir()
    )


def read(source: Path, folder: Path, servers: int) -> bool:
    """A run to its end; every page once, and no process left."""
    began_s = time.monotonic()
    process = start(source, folder, servers)
    out, said = process.communicate()
    took_s = time.monotonic() - began_s
    files = (folder / "out/pages").glob("*.parquet")
    rows = [row for file in files for row in pq.read_table(file, columns=COLUMNS).to_pylist()]
    pages = Counter((row["source_name"], row["page_number"]) for row in rows)
    statuses = Counter(row["status"] for row in rows)
    left, began = len(processes(folder)), started(folder)
    requests = json.loads(out)["requests"]
    print(f"| read | {len(pages)} pages, most often {max(pages.values())} times; {dict(statuses)} | {took_s:.0f} s |")
    print(f"| | servers started {began}, ended {began - left}; requests {requests} | |")
    deaths, refused = said.count("model server ended"), len(list(folder.glob("refused.*")))
    print(f"| | {deaths} deaths were told, {refused} servers have refused with a 503 | |")
    wanted = len(list(source.iterdir())) * PAGES_EACH
    is_whole = statuses == {"ok": wanted} and max(pages.values()) == 1 and len(pages) == wanted
    return is_whole and not left and deaths >= DEATHS and refused > 0


COLUMNS = ["source_name", "page_number", "status"]


def killed(source: Path, folder: Path, servers: int) -> bool:
    """SIGKILL to the driver in the middle: how long until nothing is left."""
    process = start(source, folder, servers)
    while not list(folder.glob("answered.*")):
        time.sleep(0.1)
    before = processes(folder)
    process.kill()
    killed_s = time.monotonic()
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in before) or processes(folder):
        if time.monotonic() - killed_s > 2 * BOUND_S:
            break
        time.sleep(0.1)
    took_s = time.monotonic() - killed_s
    process.communicate()
    print(f"| kill -9 of the driver | {len(before)} processes of servers, all gone | {took_s:.1f} s |")
    return took_s <= BOUND_S


if __name__ == "__main__":
    sys.exit(main())
