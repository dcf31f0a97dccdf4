"""`one-ocr serve` from outside: over HTTP, through kills of its parts and of all of it, to its end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from one_ocr_ray.policy.tasks.task import TaskRecord
from one_ocr_ray.service.middleware.proxy_limit import UNSIZED_BYTES
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.manager_lease import refuse_held_store
from one_ocr_ray.storage.tasks.task_store import TaskStore
from tests.cluster.service.serve_process import PATIENCE_S, Served
from tests.provider import ProviderProcess, Rule, identity_pdf
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Files of tasks that are torn, of a later release, or not what they are called.
BAD = {
    "record.json": b"",
    "state.json": b'{"format": "one-ocr-ray task 9"}',
    "output/_run/config.json": b"",
    "output/pages/000000.parquet": b"PAR1",
}


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    """Page 7 and 8 of each document stall at first, so that there is always something under way."""
    stall = Rule(fault="stall", page="* page [78]", times_per_page=1, seconds=600)
    with ProviderProcess(keys=(), rules=[stall]) as process:
        yield process


def answers(provider: ProviderProcess, document: int) -> Counter[int]:
    """How often each page of a document was answered."""
    names = [row.page.split(" page ") for row in provider.rows() if row.answered and row.page]
    return Counter(int(page) for name, page in names if name == f"doc-{document:04d}")


@pytest.mark.timeout(600)
def test_a_service_through_its_whole_life(provider: ProviderProcess, tmp_path: Path) -> None:
    """Uploads are read; a second service on the store is refused; kills of proxy, replica, and of everything at once
    lose nothing; each bad file in its store costs its task; SIGTERM leaves nothing, and the store to the next one.
    """
    flags = {"engine": "openai", "base_url": provider.openai_url, "rpm": 60_000}
    with Served(tmp_path, **flags) as service:
        first = service.upload(identity_pdf(1, 2), identity_pdf(2, 3))
        assert [service.until(task_id)["outcome"] for task_id in first] == ["complete"] * 2
        assert service.http.get(f"/v1/tasks/{first[0]}/result?format=txt").text.count("doc-0001 page") == 2
        _is_limited(service)
        _keeps_its_store(service, tmp_path)

        (task_id,) = service.upload(identity_pdf(10, 8))
        before = service.until(task_id, pages_done=6)
        for name in ("ServeReplica", "ProxyActor"):
            (victim,) = service.processes(name)
            victim.kill()
            assert service.status(task_id)["rev"] >= before["rev"]
        assert service.upload(identity_pdf(3, 1)), "uploads come in again"

        kept = {task_id: 10, service.upload(identity_pdf(11, 8))[0]: 11}
        revs = {task_id: service.until(task_id, pages_done=6)["rev"] for task_id in kept}
        service.kill()

    bad = _bad_tasks(TaskStore(str(tmp_path / "store")))
    with Served(tmp_path, **flags) as service:
        for task_id, document in kept.items():
            ended = service.until(task_id)
            assert (ended["state"], ended["outcome"], ended["progress"]["pages_done"]) == ("SUCCESS", "complete", 8)
            assert ended["rev"] > revs[task_id]
            assert all(answers(provider, document)[page] == 1 for page in range(1, 7)), "a finished page was paid again"
        assert {each["task_id"] for each in service.http.get("/v1/tasks").json()["items"]} >= {*first, *kept}
        _lives_with_bad_files(service, bad)
        everything = service.processes()
        assert service.stop() == 0
        _, left = psutil.wait_procs(everything, timeout=PATIENCE_S)
        assert left == []
        told: list[str] = []
        refuse_held_store(str(tmp_path / "store"), told.append)  # as the next one looks whether it may start
        assert told == []


def _keeps_its_store(service: Served, folder: Path) -> None:
    """A second service ends with 2 and a sentence that says who is at work and what to do; the first one goes on."""
    command = [sys.executable, "-m", "one_ocr_ray.cli", "serve", "--port", "0", "--store", "store"]
    second = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert second.returncode == 2, second.stderr
    assert "Another service (process " in second.stderr
    assert "Stop that one, or give another --store." in second.stderr
    assert service.http.get("/readyz").status_code == 200


def _bad_tasks(store: TaskStore) -> dict[str, str]:
    """Put one task with each bad file into the store; their ids by the files. Beside them stands a foreign file."""
    ids = {name: f"t_{letter * 22}" for letter, name in zip("ABCD", BAD, strict=True)}
    for name, task_id in ids.items():
        store.save_record(TaskRecord(task_id, "b_1", "", "a.pdf", 4, "sha256:0", datetime.now(UTC)))
        Objects(f"{store.root}/tasks/{task_id}").put(name, BAD[name])
    Objects(store.root).put("book/.DS_Store", b"")
    return ids


def _lives_with_bad_files(service: Served, ids: dict[str, str]) -> None:
    """It is up with one set of workers, each bad file costs its task, and an upload is read."""
    (good,) = service.upload(identity_pdf(4, 2))
    assert service.until(good)["outcome"] == "complete"
    assert len(service.processes("ray::TaskWorker")) == 1
    for name, task_id in ids.items():
        if name != "output/pages/000000.parquet":
            told = service.status(task_id)
            assert told["state"] == "FAILURE", name
            assert "set aside" in told["error"]["message"], name
    retry = service.http.post(f"/v1/tasks/{ids['state.json']}/retry", json={"pages": "failed"})
    assert retry.status_code == 409
    for task_id in ids.values():
        assert service.http.delete(f"/v1/tasks/{task_id}").status_code == 204


def _is_limited(service: Served) -> None:
    """A body without a length is cut in the proxy, which does not keep it."""
    (proxy,) = service.processes("ProxyActor")
    before_bytes = proxy.memory_info().rss
    sent = Counter[str]()

    def endless() -> Iterator[bytes]:
        for _ in range(300):
            sent["mib"] += 1
            yield b"x" * (1 << 20)

    form = {"content-type": "multipart/form-data; boundary=b"}
    try:
        answer = service.http.post("/upload", content=endless(), headers=form)
        assert answer.status_code in {400, 413}
    except httpx.TransportError:
        pass  # it was cut before it had listened
    assert sent["mib"] < 300
    assert proxy.memory_info().rss - before_bytes < UNSIZED_BYTES + (64 << 20)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--host", "0.0.0.0"], "keys"),
        (["--port", "0", "--api-keys-file", "nope"], "keys"),
        (["--port", "0", "--spool", "/dev/null/spool"], "cannot be kept in /dev/null/spool"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_starts(flags: list[str], sentence: str, tmp_path: Path) -> None:
    """Exit 2 and a sentence: another address without keys, a file of keys that is missing, an impossible spool."""
    command = [sys.executable, "-m", "one_ocr_ray.cli", "serve", *flags]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_said_at_once(tmp_path: Path, provider: ProviderProcess) -> None:
    """Exit 2 and a sentence that names the flag."""
    port = provider.url.rpartition(":")[2]
    command = [sys.executable, "-m", "one_ocr_ray.cli", "serve", "--port", port]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, "--port" in ended.stderr) == (2, True)


def test_it_can_be_interrupted_while_it_starts(tmp_path: Path) -> None:
    """It answers `/healthz` before Ray is there. Ctrl-C at any moment ends it, and nothing is left."""
    command = [sys.executable, "-m", "one_ocr_ray.cli", "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    (health,) = re.findall(r"http://\S+/healthz", process.stderr.readline())
    assert httpx.get(health, timeout=PATIENCE_S).json() == {"status": "ok"}
    everything = _children_when(process, at_least=4)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in {0, 4}, told
    assert "Traceback" not in told
    _, left = psutil.wait_procs(everything, timeout=PATIENCE_S)
    assert left == []


def _children_when(process: subprocess.Popen[str], at_least: int) -> list[psutil.Process]:
    def enough() -> list[psutil.Process]:
        children = psutil.Process(process.pid).children(recursive=True)
        return children if len(children) >= at_least else []

    try:
        return until(enough, "its processes")
    except AssertionError:
        process.kill()
        raise
