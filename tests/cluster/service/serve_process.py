"""`one-ocr serve` as a process of its own, with a Ray of its own, for the tests of this folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import httpx
import psutil

from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 180.0
_LISTENS = re.compile(r"listens on (http://[^;]+);")
_ENDED = ("SUCCESS", "FAILURE", "REVOKED")


class Served:
    """A context manager: the service on a free port of this machine, over the store `folder`/store."""

    def __init__(self, folder: Path, **flags: Any) -> None:
        self._folder = folder
        self._flags = [part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", str(value))]

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "one_ocr_ray.cli", "serve", "--port", "0", "--store", "store", *self._flags]
        environment = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        environment.pop("RAY_ADDRESS", None)
        with (self._folder / "log").open("ab") as log:
            start = log.tell()
            self.process = subprocess.Popen(command, cwd=self._folder, stderr=log, stdout=log, env=environment)

        def has_started() -> bool:
            return bool(_LISTENS.search(self._told(start))) or self.process.poll() is not None

        try:
            until(has_started, "a service that listens", PATIENCE_S)
            found = _LISTENS.search(self._told(start))
            assert found, f"the service did not start: {self._told(start)}"
        except AssertionError:
            self.kill()
            raise
        self.http = httpx.Client(base_url=found[1], timeout=PATIENCE_S)
        return self

    def _told(self, start: int) -> str:
        """What it has written to its log since its start."""
        return (self._folder / "log").read_bytes()[start:].decode()

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.kill()

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Living processes of the service whose title has `name` in it."""
        found = [psutil.Process(self.process.pid)]
        found += found[0].children(recursive=True)
        living = []
        for each in found:
            with suppress(psutil.NoSuchProcess):  # gone meanwhile; of a zombie nobody has asked yet what became of it
                if each.is_running() and any(name in part for part in each.cmdline()):
                    living.append(each)
        return living

    def kill(self) -> None:
        """kill -9 of everything at once."""
        if self.process.poll() is None:
            victims = self.processes()
            for end in (psutil.Process.suspend, psutil.Process.kill):  # nobody may notice that another one is gone
                for victim in victims:
                    with suppress(psutil.NoSuchProcess):  # it has ended by itself
                        end(victim)
            self.process.wait()
            psutil.wait_procs(victims, timeout=PATIENCE_S)

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def upload(self, *pdfs: bytes) -> list[str]:
        """Upload in one request; the ids of the tasks."""
        files = [("files", (f"file-{n}.pdf", data, "application/pdf")) for n, data in enumerate(pdfs, 1)]
        answer = self.http.post("/upload", files=files)
        assert answer.status_code == 202, answer.text
        ids: list[str] = answer.json()["task_ids"]
        return ids

    def status(self, task_id: str) -> dict[str, Any]:
        """The task now. Answers that ask for patience are given it."""

        def answered() -> dict[str, Any] | None:
            try:
                answer = self.http.get(f"/task_status/{task_id}")
            except httpx.TransportError:
                return None
            return answer.json() if answer.status_code == 200 else None

        return until(answered, f"an answer for {task_id}", PATIENCE_S)

    def until(self, task_id: str, pages_done: int | None = None) -> dict[str, Any]:
        """The task when it has ended, or has so many pages done."""

        def reached() -> dict[str, Any] | None:
            body = self.status(task_id)
            is_far = pages_done is not None and body["progress"]["pages_done"] >= pages_done
            return body if is_far or body["state"] in _ENDED else None

        return until(reached, f"the end of {task_id}, or {pages_done} pages", PATIENCE_S)
