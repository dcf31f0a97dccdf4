"""The commands on a finished dataset: export, verify, eval. Each imports its heavy modules when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.errors import EXIT_OK, EXIT_SOME_FAILED
from one_ocr_ray.policy.dataset.export import ExportFormat

if TYPE_CHECKING:
    import argparse

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it


def add_to(commands: _Commands) -> None:
    """Add these commands to the parser of `one-ocr`."""
    export = commands.add_parser(
        "export", allow_abbrev=False, help="write files from a dataset",
        description="Write files from the dataset at OUTPUT: of documents, tables or figures, or one of JSON lines.",
    )  # fmt: skip
    export.add_argument("--to", metavar="DIR", required=True, help="folder for the files")
    formats = [each.value for each in ExportFormat]
    export.add_argument("--format", choices=formats, default="md", help="%(choices)s (default: md)")
    export.add_argument("--allow-signed", action="store_true", help="pdf: write signed files, whose signatures break")
    secret = export.add_mutually_exclusive_group()
    secret.add_argument("--password", metavar="TEXT", help="pdf: password of encrypted PDFs")
    secret.add_argument("--password-file", metavar="F", help="pdf: file that holds the password")
    verify = commands.add_parser(
        "verify", allow_abbrev=False, help="check a dataset",
        description="Check the dataset at OUTPUT against the contract: exit 0 when it keeps it, 1 with what is wrong.",
    )  # fmt: skip
    evaluate = commands.add_parser(
        "eval", allow_abbrev=False, help="compare a dataset with a truth",
        description="Character and word errors, order, tables and headings of the dataset at OUTPUT against a truth.",
    )  # fmt: skip
    evaluate.add_argument("--truth", metavar="DIR_OR_OUTPUT", required=True, help="folder of texts, or another dataset")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    evaluate.add_argument("--html", metavar="F", help="write a page with the worst pages side by side")
    for command, handler in ((export, _export), (verify, _verify), (evaluate, _eval)):
        command.set_defaults(command=handler)
        command.add_argument("output", metavar="OUTPUT", help="folder or URI of the dataset, as given to run")


def _export(options: argparse.Namespace) -> int:
    from one_ocr_ray.cli import console  # noqa: PLC0415
    from one_ocr_ray.environment import read_secret  # noqa: PLC0415
    from one_ocr_ray.python.datasets import export  # noqa: PLC0415

    password = read_secret(Path(options.password_file)) if options.password_file else options.password
    report = export(
        options.output, options.to, options.format, allow_signed=options.allow_signed, password=password,
        say=lambda line: print(line, file=sys.stderr),  # noqa: T201
    )  # fmt: skip
    console.print_export(report, options.to, sys.stderr)
    return EXIT_SOME_FAILED if report.refused else EXIT_OK


def _verify(options: argparse.Namespace) -> int:
    from one_ocr_ray.cli import console  # noqa: PLC0415
    from one_ocr_ray.python.datasets import verify  # noqa: PLC0415

    return 1 if console.print_findings(verify(options.output), sys.stdout) else EXIT_OK


def _eval(options: argparse.Namespace) -> int:
    from one_ocr_ray.cli import console  # noqa: PLC0415
    from one_ocr_ray.python.datasets import evaluate  # noqa: PLC0415
    from one_ocr_ray.storage.dataset.evaluate import write_html  # noqa: PLC0415

    report = evaluate(options.output, options.truth)
    if options.html:
        write_html(report, Path(options.html))
    console.print_evaluation(report, as_json=options.json, out=sys.stdout)
    return EXIT_OK
