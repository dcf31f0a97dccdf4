"""`python -m tests.provider`: the provider as a process. Prints `{"url", "port", "pid"}` when it listens."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from tests.provider.running import HOST, new_event_loop, serve
from tests.provider.scenario import Scenario


def main() -> None:
    """Serve until SIGTERM, SIGINT or, if so asked, the end of standard input."""
    parser = argparse.ArgumentParser(prog="python -m tests.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--config", type=Path, help="JSON file with fields of the scenario")
    parser.add_argument("--ledger", type=Path, help="JSON lines are appended here, one per ended request")
    parser.add_argument("--stop-with-stdin", action="store_true", help="end when standard input does")
    arguments = parser.parse_args()
    scenario = Scenario.model_validate_json(arguments.config.read_bytes() if arguments.config else b"{}")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(scenario, arguments.ledger, arguments.port, stop_with_stdin=arguments.stop_with_stdin))


async def _serve(scenario: Scenario, ledger: Path | None, port: int, *, stop_with_stdin: bool) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    end_of_stdin = asyncio.create_task(_stop_at_end_of_stdin(stop)) if stop_with_stdin else None
    await serve(scenario, ledger, port, _announce, stop)
    if end_of_stdin is not None:
        end_of_stdin.cancel()


async def _stop_at_end_of_stdin(stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stop.set()


def _announce(port: int) -> None:
    print(json.dumps({"url": f"http://{HOST}:{port}", "port": port, "pid": os.getpid()}), flush=True)


if __name__ == "__main__":
    main()
