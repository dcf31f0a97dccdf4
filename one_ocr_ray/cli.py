"""`one-ocr`: arguments to settings, errors to exit codes. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from one_ocr_ray import __version__
from one_ocr_ray.errors import EXIT_OK, OneOcrError, StoppedError
from one_ocr_ray.model import ExportFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CODES = """\
exit codes:
  0  every page ok
  1  internal error
  2  usage or configuration: missing key, bad flag, output in use or made with another configuration
  3  finished, some pages or documents failed
  4  stopped and resumable: budget, quota, billing, authentication, interrupted; run the same command again
"""

RUN = """\
Read PDFs into a Parquet dataset: OUTPUT/pages/*.parquet, one row a page, and OUTPUT/documents/*.parquet, one row a
document. The same command on the same output resumes: finished pages are neither read nor paid again. New input files
are added. Every setting is also an environment variable ONE_OCR_<SETTING> and a key of the --config file; a flag wins
over the environment, the environment over the file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code. A user's mistake is one sentence on stderr, never a traceback."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, until a run listens for both itself
    try:
        code: int = options.command(options)
    except OneOcrError as error:
        print(f"one-ocr: {error}", file=sys.stderr)  # noqa: T201 - the command line speaks here
        return error.exit_code
    except KeyboardInterrupt:
        print("one-ocr: interrupted. The same command resumes.", file=sys.stderr)  # noqa: T201
        return StoppedError.exit_code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("one-ocr", description="PDF pages to Markdown in Parquet, on Ray.")
    parser.add_argument("--version", action="version", version=f"one-ocr {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_export(commands)
    _add_verify(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from one_ocr_ray.settings import Settings  # noqa: PLC0415 - pydantic takes longer than the rest of --help

    command = commands.add_parser(
        "run",
        help="read PDFs into a Parquet dataset",
        usage="one-ocr run INPUT... --output URI [options]",
        description=RUN,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=_run)
    command.add_argument("inputs", nargs="*", metavar="INPUT", help=Settings.model_fields["inputs"].description)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, setting in Settings.model_fields.items():
        extra = setting.json_schema_extra
        if not isinstance(extra, dict):
            continue
        title = str(extra["group"])
        group = groups.setdefault(title, command.add_argument_group(title) if title not in groups else groups[title])
        shown = f"{setting.description}" + (f" (default: {setting.default})" if setting.default else "")
        flag = f"--{name.replace('_', '-')}"
        if extra["metavar"] is None:
            group.add_argument(flag, dest=name, action="store_true", default=None, help=shown)
        else:
            group.add_argument(flag, dest=name, metavar=str(extra["metavar"]), help=shown)
    command.add_argument("--config", metavar="F", type=Path, help="YAML or TOML file of the same settings")
    command.add_argument("--json", action="store_true", help="print one JSON summary on stdout at the end")


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "export", help="write files from a dataset",
        description="Write one file per document, or one file of JSON lines, from the dataset at OUTPUT.",
    )  # fmt: skip
    command.set_defaults(command=_export)
    command.add_argument("output", metavar="OUTPUT", help="folder or URI of the dataset, as given to run")
    command.add_argument("--to", metavar="DIR", type=Path, required=True, help="folder for the files")
    formats = [each.value for each in ExportFormat]
    command.add_argument("--format", choices=formats, default="md", help="%(choices)s (default: md)")


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "verify", help="check a dataset",
        description="Check the dataset at OUTPUT against the contract: exit 0 when it keeps it, 1 with what is wrong.",
    )  # fmt: skip
    command.set_defaults(command=_verify)
    command.add_argument("output", metavar="OUTPUT", help="folder or URI of the dataset, as given to run")


def _run(options: argparse.Namespace) -> int:
    from one_ocr_ray import console, settings  # noqa: PLC0415

    given: dict[str, Any] = {
        name: value
        for name in settings.Settings.model_fields
        if (value := getattr(options, name, None)) not in (None, [])
    }
    chosen = settings.load(given, options.config)
    settings.prepare_environment_for_ray(chosen)
    from one_ocr_ray.cluster.run import run  # noqa: PLC0415 - Ray reads its environment when it is imported

    with console.progress(sys.stderr) as show:
        summary = run(chosen, show, say=console.sayer(sys.stderr))
    console.print_summary(summary, as_json=options.json, out=sys.stdout, err=sys.stderr)
    return summary.exit_code


def _export(options: argparse.Namespace) -> int:
    from one_ocr_ray import console  # noqa: PLC0415
    from one_ocr_ray.storage.export import export  # noqa: PLC0415

    report = export(options.output, options.to, ExportFormat(options.format))
    console.print_export(report, options.to, sys.stderr)
    return EXIT_OK


def _verify(options: argparse.Namespace) -> int:
    from one_ocr_ray import console  # noqa: PLC0415
    from one_ocr_ray.storage.verify import verify  # noqa: PLC0415

    return 1 if console.print_findings(verify(options.output), sys.stdout) else EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
