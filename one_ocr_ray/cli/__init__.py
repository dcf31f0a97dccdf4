"""The command line: `one-ocr` turns arguments into settings and errors into exit codes.

Each command imports its own heavy modules.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from one_ocr_ray.cli import batch_commands, dataset_commands
from one_ocr_ray.errors import EXIT_OK, OneOcrError, StoppedError
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.dataset.summary import RunSummary
    from one_ocr_ray.settings.run import Settings


EXIT_CODES = """\
exit codes:
  0  every page ok
  1  internal error, or the output lacks rows that were planned
  2  usage or configuration: missing key, bad flag, output in use or made with another configuration
  3  finished, some pages or documents failed
  4  stopped and resumable: budget, quota, billing, authentication, interrupted; run the same command again
"""

RUN = """\
Read PDFs and images into a Parquet dataset: OUTPUT/pages/*.parquet has one row per page, OUTPUT/documents/*.parquet
one row per document. The same command on the same output resumes: finished pages are neither read nor paid again. New
input files are added. Every setting is also an environment variable ONE_OCR_<SETTING> and a key of the --config file. A
flag wins over the environment, and the environment over the file."""

ESTIMATE = """\
Show what a run would take: documents, pages, tokens, cost and time at the given limits. Opens every input file, sends
nothing, and takes the options of run. Pages that an output holds already are counted, too."""

DOCTOR = """\
Check what a run with these options needs, one line each: Ray, its authentication and open ports, versions, key, engine,
input and output, from every node. Reads no page and costs nothing. Exit code 1 means that something is wrong."""

SERVE = """\
Serve uploads over HTTP, with a web page: POST /upload, GET /task_status/ID and more (see /docs). Starts its own Ray or
joins the cluster at --address. Ctrl-C ends it; unfinished uploads continue when it starts again with the same --store.
Every setting is also an environment variable ONE_OCR_<SETTING> and a key of the --config file."""

# Settings of runs that the service does not have.
_RUN_ONLY = frozenset(
    {"inputs", "output", "retry_failed", "shard_pages", "audit", "reuse"}
    | {"batch", "batch_wait", "batch_rest", "batch_tokens", "batch_strict"}
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A user's mistake is one sentence on stderr, never a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(arguments[0] if arguments else "").parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C, until a run handles both itself
    try:
        from one_ocr_ray import environment  # noqa: PLC0415 - not for --help

        if environment.variables("ONE_OCR_"):
            from one_ocr_ray.settings.service import unknown_variables  # noqa: PLC0415 - slower than other commands

            if warning := unknown_variables():
                print(f"one-ocr: {warning}", file=sys.stderr, flush=True)  # noqa: T201 - the command line speaks here
        code: int = options.command(options)
        sys.stdout.flush()
    except OneOcrError as error:
        print(f"one-ocr: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("one-ocr: interrupted. The same command resumes.", file=sys.stderr)  # noqa: T201
        return StoppedError.exit_code
    except BrokenPipeError:  # the reader closed the pipe, as `| head` does: nothing may be flushed there any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser(wanted: str) -> argparse.ArgumentParser:
    """All commands. Only the `wanted` one gets its settings' flags, which take longer to declare than the rest."""
    parser = argparse.ArgumentParser("one-ocr", description="Pages of PDFs and images to Markdown in Parquet, on Ray.")
    parser.add_argument("--version", action="version", version=f"one-ocr {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, handler, summary, usage, description in (
        ("run", _run, "read PDFs and images into a Parquet dataset", "INPUT... --output URI [options]", RUN),
        ("estimate", _estimate, "pages, tokens, cost and time of a run, without sending anything",
         "INPUT... [options of run]", ESTIMATE),
        ("doctor", _doctor, "check cluster, key, engine and storage before a run",
         "[INPUT...] [options of run]", DOCTOR),
        ("serve", _serve, "uploads and results over HTTP, with a web page",
         "[--host H] [--port P] [--store URI] [options]", SERVE),
    ):  # fmt: skip
        command = commands.add_parser(
            name,
            help=summary,
            usage=f"one-ocr {name} {usage}",
            description=description,
            epilog=EXIT_CODES if name == "run" else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.set_defaults(command=handler)
        if name == wanted == "serve":
            from one_ocr_ray.settings.service import ServiceSettings  # noqa: PLC0415 - for its command only

            _add_flags(command, ServiceSettings, _RUN_ONLY)
        elif name == wanted:
            from one_ocr_ray.settings.run import Settings  # noqa: PLC0415 - only for the commands that need it

            command.add_argument("inputs", nargs="*", metavar="INPUT", help=Settings.model_fields["inputs"].description)
            _add_flags(command, Settings, frozenset())
            command.add_argument("--json", action="store_true", help="print one JSON object on stdout at the end")
    dataset_commands.add_to(commands)
    batch_commands.add_to(commands)
    return parser


def _add_flags(command: argparse.ArgumentParser, kind: type[Settings], without: frozenset[str]) -> None:
    """Add --config and a flag for each setting of `kind`."""
    from one_ocr_ray.settings.engines import LlmSettings  # noqa: PLC0415 - not for --help
    from one_ocr_ray.settings.servers import ServerSettings  # noqa: PLC0415

    inherited = (*LlmSettings.model_fields, *ServerSettings.model_fields)
    groups: dict[str, argparse._ArgumentGroup] = {}
    # What is inherited comes last, so that the help begins with input and output.
    for name, setting in sorted(
        kind.model_fields.items(), key=lambda field: inherited.index(field[0]) if field[0] in inherited else -1
    ):
        extra = setting.json_schema_extra
        if not isinstance(extra, dict) or name in without:
            continue
        title = str(extra["group"])
        group = groups.setdefault(title, command.add_argument_group(title) if title not in groups else groups[title])
        shown = f"{setting.description}" + (f" (default: {setting.default})" if setting.default else "")
        flag = f"--{name.replace('_', '-')}"
        if extra["metavar"] is None:
            group.add_argument(flag, dest=name, action="store_true", default=None, help=shown.replace("%", "%%"))
        else:
            action = "append" if extra.get("repeats") else "store"
            group.add_argument(
                flag, dest=name, metavar=str(extra["metavar"]), help=shown.replace("%", "%%"), action=action
            )
    command.add_argument("--config", metavar="F", type=Path, help="YAML or TOML file of the same settings")


def _settings(options: argparse.Namespace) -> Settings:
    from one_ocr_ray.settings.run import Settings, load  # noqa: PLC0415

    return load(_given(options, Settings), options.config)


def _given(options: argparse.Namespace, kind: type[Settings]) -> dict[str, Any]:
    return {name: value for name in kind.model_fields if (value := getattr(options, name, None)) not in (None, [])}


def _run(options: argparse.Namespace) -> int:
    from one_ocr_ray.cli import console  # noqa: PLC0415
    from one_ocr_ray.python.run import runner  # noqa: PLC0415

    gc.disable()
    run = runner(_settings(options))
    gc.freeze()  # imported objects stay: searching them for garbage, now and at the end, takes 0.2 s
    gc.enable()

    out = sys.stdout

    def show_stopped(summary: RunSummary) -> None:
        if options.json:  # without it the error's sentence is enough
            console.print_json(summary, out)

    with console.progress(sys.stderr) as show, redirect_stdout(sys.stderr):  # Ray prints warnings of its own
        summary = run(show, say=console.line_printer(sys.stderr), on_stop=show_stopped)
    console.print_summary(summary, as_json=options.json, out=sys.stdout, err=sys.stderr)
    return summary.exit_code


def _serve(options: argparse.Namespace) -> int:
    from one_ocr_ray import environment  # noqa: PLC0415
    from one_ocr_ray.cli import console  # noqa: PLC0415
    from one_ocr_ray.service.starting import starting_port, url_of  # noqa: PLC0415
    from one_ocr_ray.settings.run import (  # noqa: PLC0415
        LOCAL_RAY,
        key_variables,
        prepare_environment_for_ray,
        ray_address,
    )
    from one_ocr_ray.settings.service import ServiceSettings, load_service  # noqa: PLC0415

    chosen = load_service(_given(options, ServiceSettings), options.config)
    environment.refuse_keys_in(environment.submitted_runtime_env(), key_variables(chosen))
    prepare_environment_for_ray(chosen)
    say = console.timed_line_printer(sys.stderr)
    # On a cluster it is the proxy of the head node that has the port.
    with starting_port(chosen) if ray_address(chosen) == LOCAL_RAY else nullcontext() as starting:
        if starting is not None:
            chosen = chosen.model_copy(update={"port": starting.port})
            say(f"{url_of(chosen)}/healthz answers.")
        say("Loading Ray Serve.")
        from one_ocr_ray.cluster.service.serving import serve_until_interrupted  # noqa: PLC0415

        serve_until_interrupted(chosen, say, starting)
    return EXIT_OK


def _estimate(options: argparse.Namespace) -> int:
    from one_ocr_ray.cli import console  # noqa: PLC0415
    from one_ocr_ray.python.estimate import estimate_run  # noqa: PLC0415

    found = estimate_run(_settings(options), say=console.line_printer(sys.stderr))
    console.print_estimate(found, as_json=options.json, out=sys.stdout)
    return EXIT_OK


def _doctor(options: argparse.Namespace) -> int:
    from one_ocr_ray.cli import console  # noqa: PLC0415
    from one_ocr_ray.settings.run import prepare_environment_for_ray  # noqa: PLC0415

    chosen = _settings(options)
    prepare_environment_for_ray(chosen)
    from one_ocr_ray.cluster.batch.doctor import run_checks  # noqa: PLC0415

    with redirect_stdout(sys.stderr):  # Ray prints warnings of its own
        checks = run_checks(chosen)
    return 1 if console.print_checks(checks, as_json=options.json, out=sys.stdout) else EXIT_OK
