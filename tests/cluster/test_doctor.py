"""`one-ocr doctor` on the session's Ray, which is as careless as a test's may be: no token, open to the network."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.cli import main
from tests import pdfs
from tests.ports import closed_port
from tests.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("ray_cluster")

Verdicts = dict[str, tuple[str, str]]


class ForgetfulStore(BaseHTTPRequestHandler):
    """Enough of S3 to write and read one object, for a store that does not know If-None-Match."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes] = {}  # noqa: RUF012 - one store for all requests

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_GET(self) -> None:
        self._answer(200, self.objects[self.path])

    def do_POST(self) -> None:
        self._answer(200, b"<DeleteResult></DeleteResult>")

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Tue, 03 Mar 2026 12:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def forgetful_store(environment: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a bucket there, with the environment that leads to it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), ForgetfulStore) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        environment.setenv("AWS_ALLOW_HTTP", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            environment.setenv(name, "none")
        try:
            yield "s3://bucket/results"
        finally:
            server.shutdown()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "one.pdf"
    file.write_bytes(pdfs.text_pdf(1))
    return file


def examined(capsys: pytest.CaptureFixture[str], *arguments: object) -> Verdicts:
    """What the doctor says, by check; its exit code agrees."""
    code = main(["doctor", *(str(each) for each in arguments), "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert code == any(each["status"] == "fail" for each in checks)
    return {each["name"]: (each["status"], each["sentence"]) for each in checks}


def test_what_is_well_is_said_to_be_well(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything but this session's two faults, 1 and 2 of ten; nothing stays behind in the output."""
    with Provider(keys=()) as provider:
        flags = ["--engine", "openai", "--base-url", provider.openai_url, "--output", tmp_path / "out"]
        told = examined(capsys, source, *flags)
    assert told["authentication"][0] == "fail"
    assert "RAY_AUTH_MODE=token" in told["authentication"][1]
    if sys.platform == "linux":
        assert told["ports"][0] == "fail"
        assert "GCS (" in told["ports"][1]
    for name in ("runtime_env", "ray", "versions", "key", "engine", "fonts", "input", "output"):
        assert told[name][0] == "ok", told[name]
    assert not (tmp_path / "out").exists()


def test_a_key_in_the_runtime_env_is_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 3 of ten: named, not shown."""
    config = {"runtime_env": {"env_vars": {"GEMINI_API_KEY": "canary"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(config))
    told = examined(capsys)
    assert told["runtime_env"][0] == "fail"
    assert "GEMINI_API_KEY" in told["runtime_env"][1]
    assert "canary" not in str(told)


def test_a_missing_key_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Fault 4: no node has one, so the provider is not asked."""
    told = examined(capsys, "--engine", "openai")
    assert told["key"][0] == "fail"
    assert "OPENAI_API_KEY" in told["key"][1]
    assert told["engine"][0] == "skip"


@pytest.mark.parametrize(
    ("scenario", "words"),
    [({}, "key"), ({"keys": (), "models": ("another",)}, "model"), (None, "reached")],
    ids=["wrong key", "unknown model", "no server"],
)
def test_what_the_engine_says_no_to_is_found(
    scenario: dict[str, object] | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Faults 5 to 7: a key that is refused, a model that does not exist, a server that is not there."""
    if scenario is None:
        with closed_port() as port:
            told = examined(capsys, "--engine", "openai", "--base-url", f"http://127.0.0.1:{port}/v1")
    else:
        with Provider(**scenario) as provider:
            told = examined(capsys, "--engine", "openai", "--base-url", provider.openai_url)
    assert told["engine"][0] == "fail"
    assert words in told["engine"][1]


def test_an_output_that_cannot_be_written_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fault 8: a file stands where a folder should be."""
    (tmp_path / "file").write_bytes(b"")
    assert examined(capsys, "--output", tmp_path / "file" / "out")["output"][0] == "fail"


def test_a_store_without_put_if_absent_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 9: two runs would overwrite each other's pages."""
    with forgetful_store(monkeypatch) as uri:
        told = examined(capsys, "--output", uri)
    assert told["output"][0] == "fail"
    assert "put-if-absent" in told["output"][1]


def test_a_missing_input_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fault 10: as a run would say it."""
    told = examined(capsys, tmp_path / "gone.pdf")
    assert told["input"][0] == "fail"
    assert "gone.pdf" in told["input"][1]


def test_a_cluster_that_is_not_there_is_found() -> None:
    """Within seconds, by a process that has joined no Ray yet; what else can be checked is."""
    with closed_port() as port:
        command = [sys.executable, "-m", "one_ocr_ray.cli", "doctor", "--address", f"127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "fail  ray             Nothing answers at 127.0.0.1:" in done.stdout
    assert "ok    engine" in done.stdout
