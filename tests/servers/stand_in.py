"""A model server that plays: it loads, answers /health and pages, and fails in the ways that its model's name says.

    python stand_in.py --model NAME --port P [--host H] [--lives FOLDER]

slow: ready after a second. paced: half a second for a page. crash: ends with a traceback while it loads. stubborn:
ignores SIGTERM. tidy: ends its engine at SIGTERM. dies-after-N, hangs-after-N: answers so many pages. full-at-N: 503 to
more at once. chokes: ends at a page that is wider than high. clings: the engine holds the port, too. Each starts an
engine, a process with a session of its own and deaf to SIGTERM. It ignores other arguments.

With FOLDER each start takes the next of its files `*.next` and has the name that stands there, the one of --model where
none is left. The file's name then ends in the process's id. `refused.PID` is written with a 503, `choked.PID` by one
that chokes. holds: answers one page, writes `answered.PID` there, and keeps the others until somebody writes `go`.
"""

import argparse
import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

from PIL import Image

ENGINE = "import signal, os, time; os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Server(ThreadingHTTPServer):
    """Knows its model, and how many pages it has begun and has under way."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], serves: str, model: str, lives: Path | None) -> None:
        super().__init__(address, Handler)
        self.serves = serves
        self.model = model
        self.lives = lives
        self.begun = self.under_way = 0
        self.counting = threading.Lock()

    def number(self, word: str) -> int:
        """The number after `word` in the model's name; one that is never reached where there is none."""
        found = re.search(rf"{word}-(\d+)", self.model)
        return int(found[1]) if found else sys.maxsize

    def leave(self, what: str) -> None:
        """Leave a file of that name for this process."""
        if self.lives:
            (self.lives / f"{what}.{os.getpid()}").touch()


class Handler(BaseHTTPRequestHandler):
    """/health, and an answer that is the same page for every request."""

    server: Server

    def do_GET(self) -> None:
        if self.server.begun > self.server.number("hangs-after"):
            time.sleep(600)
        self._answer({"data": [{"id": self.server.serves}]})

    def do_POST(self) -> None:
        server = self.server
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {os.environ.get('VLLM_API_KEY')}":
            self._answer({"error": {"message": "no key"}}, 401)
            return
        with server.counting:
            is_full = server.under_way >= server.number("full-at")
            server.begun += not is_full
            server.under_way += not is_full
        if is_full:
            server.leave("refused")
            full = "The engine is currently busy and cannot accept new requests. Please try again later."
            error = {"message": full, "type": "Service Unavailable", "code": 503}
            self._answer({"error": error}, 503)
            return
        if "chokes" in server.model and is_wide(asked):
            server.leave("choked")
            os._exit(3)
        if server.begun > server.number("dies-after"):
            os._exit(3)
        if server.begun > server.number("hangs-after"):
            time.sleep(600)
        if "paced" in server.model:
            time.sleep(0.5)
        if server.lives and "holds" in server.model and server.begun > 1:
            while not (server.lives / "go").exists():
                time.sleep(0.05)
        message = {"role": "assistant", "content": f"# Page\n\nRead by {os.getpid()}."}
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        self._answer({"model": "stand-in", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})
        with server.counting:
            server.under_way -= 1
        server.leave("answered")

    def _answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def is_wide(asked: bytes) -> bool:
    """True if the page of that request is wider than high."""
    encoded = re.search(rb'data:image/jpeg;base64,([^"]+)"', asked)
    if encoded is None:
        return False
    width, height = Image.open(BytesIO(base64.b64decode(encoded[1]))).size
    return width > height


def next_life(folder: Path, model: str) -> str:
    """The name that this process has among those of `folder`."""
    for path in sorted(folder.glob("*.next")):
        own = path.with_suffix(f".{os.getpid()}")
        try:
            path.rename(own)
        except FileNotFoundError:  # another one has it
            continue
        return own.read_text()
    (folder / f"more.{os.getpid()}").write_text(model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--lives", type=Path)
    options, _ = parser.parse_known_args()
    model = next_life(options.lives, options.model) if options.lives else options.model
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in model else lambda *_: os._exit(0))
    print("Starting to load model", model, flush=True)
    if "crash" in model:
        sys.exit("ValueError: no such model")
    engine = subprocess.Popen([sys.executable, "-c", ENGINE])
    if "tidy" in model:
        signal.signal(signal.SIGTERM, lambda *_: (engine.kill(), os._exit(0)))
    print("engine", engine.pid, flush=True)
    if "slow" in model:
        time.sleep(1)
    server = Server((options.host, options.port), options.model, model, options.lives)
    if "clings" in model:
        subprocess.Popen([sys.executable, "-c", ENGINE], pass_fds=[server.fileno()])
    server.serve_forever()


if __name__ == "__main__":
    main()
