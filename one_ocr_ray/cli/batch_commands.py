"""The commands on provider batches of an output: `one-ocr batch status` and `one-ocr batch cancel`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.errors import EXIT_OK, StoppedError, UsageError

if TYPE_CHECKING:
    import argparse

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.reading.batch.cancelling import Cancelled
    from one_ocr_ray.storage.batches import Account
    from one_ocr_ray.storage.store.objects import Objects

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

ENDED = (
    "{batches} cancelled ({pages:,} pages); what had been answered is stored and paid. "
    "Run the same `one-ocr run` command again: it takes those answers and reads the other pages."
)
LEFT = (
    "No batch of this output is with the provider. Rows of {pages:,} page{s} are still to be made: run the same "
    "`one-ocr run` command again; it takes what has been answered and reads the rest."
)


def add_to(commands: _Commands) -> None:
    """Add `batch` to the parser of `one-ocr`."""
    batch = commands.add_parser(
        "batch", allow_abbrev=False, help="show or cancel the provider batches of an output",
        description="What an earlier `one-ocr run --batch` has left with the provider.",
    )  # fmt: skip
    actions = batch.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, handler, text in (
        ("status", _status, "Show the batches of OUTPUT as the last run has left them. Asks nobody, needs no key."),
        ("cancel", _cancel, "Cancel the batches of OUTPUT, store what they have answered, and delete their files."),
    ):
        short = text[0].lower() + text.partition(".")[0][1:]
        action = actions.add_parser(name, allow_abbrev=False, help=short, description=text)
        action.set_defaults(command=handler)
        action.add_argument("output", metavar="OUTPUT", help="folder or URI of the dataset, as given to run")
        action.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        action.add_argument("--config", metavar="F", type=Path, help="the file of settings that was given to run")
        if handler is _cancel:
            what = "a batch that the provider does not know is lost: its pages count as spent and are asked for again"
            action.add_argument("--give-up", action="store_true", help=what)


def _account(output: Objects) -> Account | None:
    from one_ocr_ray.storage.batches import BatchState  # noqa: PLC0415

    return BatchState(output).account()


def _status(options: argparse.Namespace) -> int:
    import orjson  # noqa: PLC0415

    from one_ocr_ray.reading.batch.status import status_of  # noqa: PLC0415
    from one_ocr_ray.storage.run_dir import open_dataset  # noqa: PLC0415

    output, _ = open_dataset(options.output)
    account = _account(output)
    status = status_of(output, account) if account is not None else {"parcels": {}, "deadline": None}
    if options.json:
        print(orjson.dumps(status).decode())  # noqa: T201 - the command line speaks here
        return EXIT_OK
    for state, counts in status["parcels"].items():
        batches = "batch" if counts["parcels"] == 1 else "batches"
        print(f"{state:<10} {counts['parcels']:>6} {batches:<7} {counts['pages']:>9} pages")  # noqa: T201
    if not status["parcels"]:
        print("No batch of this output is open.")  # noqa: T201
    elif status["deadline"]:
        print(f"Run the same `one-ocr run` command again before {status['deadline']}.")  # noqa: T201
    return EXIT_OK


def _cancel(options: argparse.Namespace) -> int:
    from one_ocr_ray.clock import SystemClock  # noqa: PLC0415
    from one_ocr_ray.engines.llm.batch.client import BatchClient  # noqa: PLC0415
    from one_ocr_ray.reading.batch.cancelling import cancel_batches  # noqa: PLC0415
    from one_ocr_ray.storage.lease import held_lease  # noqa: PLC0415
    from one_ocr_ray.storage.run_dir import open_dataset  # noqa: PLC0415

    output, _ = open_dataset(options.output)
    account = _account(output)
    if account is None:
        print("No batch of this output is open.", file=sys.stderr)  # noqa: T201
        return EXIT_OK
    client = BatchClient(_engine_of(account, options.config))

    async def cancel() -> Cancelled:
        try:
            clock, gives_up = SystemClock(), options.give_up
            return await cancel_batches(output, client, account, clock=clock, say=_say, gives_up=gives_up)
        finally:
            await client.close()

    with held_lease(output, f"cancel-{token_hex(3)}", _say, lambda: None):
        ended = asyncio.run(cancel())
    if ended.parcels:
        batches = "One batch is" if ended.parcels == 1 else f"{ended.parcels:,} batches are"
        raise StoppedError(ENDED.format(batches=batches, pages=ended.pages))
    if ended.left:
        raise StoppedError(LEFT.format(pages=ended.left, s="s" * (ended.left != 1)))
    print("No batch of this output is with the provider.", file=sys.stderr)  # noqa: T201
    return EXIT_OK


def _engine_of(account: Account, config: Path | None) -> EngineOptions:
    """The engine with the key of this machine. Raises UsageError when the account is another one."""
    from dataclasses import replace  # noqa: PLC0415

    from one_ocr_ray.environment import provider_key  # noqa: PLC0415
    from one_ocr_ray.settings.run import load  # noqa: PLC0415
    from one_ocr_ray.setup.job import engine_options_of  # noqa: PLC0415
    from one_ocr_ray.storage.batches import key_digest  # noqa: PLC0415

    flags = {"engine": account.engine, "model": account.model, "base_url": account.base_url}
    llm = engine_options_of(load(flags, config))
    if llm is None:
        raise UsageError("The engine of this output has no batches.")
    key = provider_key(llm.name, llm.key_variable)
    if key_digest(account.base_url, key) != account.key_digest:
        raise UsageError("The batches of this output were made with another key. Set that one and try again.")
    return replace(llm, api_key=key)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201
