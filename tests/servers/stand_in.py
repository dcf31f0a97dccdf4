"""A model server that plays: it loads, answers /health and pages, and fails in the way that its model's name says.

    python stand_in.py --model NAME --port P [--host H]

slow: ready after a second. crash-while-loading: ends with a traceback. stubborn: ignores SIGTERM. tidy: ends its engine
at SIGTERM. Each starts an engine, a process with a session of its own and deaf to SIGTERM. It ignores other arguments.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENGINE = "import signal, os, time; os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Handler(BaseHTTPRequestHandler):
    """/health, and an answer that is the same page for every request."""

    def do_GET(self) -> None:
        self._answer({"data": [{"id": self.server.model}]})  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {os.environ.get('VLLM_API_KEY')}":
            self._answer({"error": {"message": "no key"}}, 401)
            return
        message = {"role": "assistant", "content": f"# Page\n\nRead by {os.getpid()}."}
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        self._answer({"model": "stand-in", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    def _answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options, _ = parser.parse_known_args()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in options.model else lambda *_: os._exit(0))
    print("Starting to load model", options.model, flush=True)
    if "crash" in options.model:
        sys.exit("ValueError: no such model")
    engine = subprocess.Popen([sys.executable, "-c", ENGINE])
    if "tidy" in options.model:
        signal.signal(signal.SIGTERM, lambda *_: (engine.kill(), os._exit(0)))
    print("engine", engine.pid, flush=True)
    if "slow" in options.model:
        time.sleep(1)
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    server.model = options.model  # type: ignore[attr-defined]
    if "dies" in options.model:
        threading.Timer(1.0, lambda: os._exit(3)).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
