"""`python -m tests.service.serve_scripted --port N --store DIR [--keys FILE]`: the service over a `ScriptedManager`.

Prints one line, `listening on http://...`, when it can be used. Port 0 takes a free one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn

from one_ocr_ray.model import ErrorCode
from one_ocr_ray.service.app import create_app
from one_ocr_ray.service.middleware.request_log import log_as_json
from one_ocr_ray.settings.service import load_service
from one_ocr_ray.storage.tasks.task_store import TaskStore
from tests.service.script import Script
from tests.service.scripted_manager import ScriptedManager


def main() -> None:
    options = _parser().parse_args()
    flags = {"host": "127.0.0.1", "port": options.port, "store": options.store}
    if options.keys:
        flags["api_keys_file"] = options.keys
    flags |= dict(each.split("=", 1) for each in options.set)
    settings = load_service(flags)
    store = TaskStore(settings.store)
    failures = {int(number): ErrorCode(code) for number, _, code in (each.partition("=") for each in options.fail)}
    script = Script(page_delay_s=options.page_delay, start_delay_s=options.start_delay, failures=failures)
    if options.text is not None:
        script.text = lambda _record, _page_number: options.text.read_text(encoding="utf-8")
    if options.log:
        log_as_json()
    app = create_app(ScriptedManager(store, script), store, settings)
    server = Announcing(uvicorn.Config(app, host="127.0.0.1", port=options.port, log_level="warning"))
    server.run()


class Announcing(uvicorn.Server):
    """Says where it listens as soon as it does."""

    async def startup(self, *arguments: object, **named: object) -> None:
        await super().startup(*arguments, **named)  # type: ignore[arg-type]
        for server in self.servers:
            for socket in server.sockets:
                print(f"listening on http://127.0.0.1:{socket.getsockname()[1]}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--store", required=True)
    parser.add_argument("--keys", type=Path)
    parser.add_argument("--page-delay", type=float, default=0.0, metavar="S", help="for each page")
    parser.add_argument("--start-delay", type=float, default=0.0, metavar="S", help="before a task starts")
    parser.add_argument("--fail", action="append", default=[], metavar="PAGE=CODE", help="a page that fails")
    parser.add_argument("--text", type=Path, metavar="FILE", help="Markdown of every page")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the service")
    parser.add_argument("--log", action="store_true", help="log requests as JSON on standard error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
