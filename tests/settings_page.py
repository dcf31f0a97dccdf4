"""`docs/settings.md`, made from the command line's own help: `python -m tests.settings_page` writes it anew."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from one_ocr_ray import cli
from tests.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "settings.md"
HEAD = """\
# Every option

Made from `--help`; `python -m tests.settings_page` writes this page anew. Each setting of `run` and `serve` is also an
environment variable, `ONE_OCR_` and its name in capitals (`--max-cost`: `ONE_OCR_MAX_COST`), and a key of the file of
`--config` (`max_cost`). A flag wins over the environment, and the environment over the file.
"""
LIKE_RUN = ("estimate", "doctor")  # their options are those of run


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, those under another command too, with all of its options."""
    names = _under(cli._parser(""))
    wanted = {name: _under(cli._parser(name))[name] for name in names}
    return wanted | {
        f"{name} {other}": parser for name, group in wanted.items() for other, parser in _under(group).items()
    }


def _under(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def flags(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options of a command, without --help."""
    return [action for action in parser._actions if action.option_strings and "--help" not in action.option_strings]


def page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    parsers = commands()
    of_run = {action.dest for action in flags(parsers["run"])}
    for name, parser in parsers.items():
        rows = [action for action in flags(parser) if name != "serve" or action.dest not in of_run]
        if name in LIKE_RUN or not rows:
            continue
        yield f"## one-ocr {name}\n"
        if name == "serve":
            there = {action.dest for action in flags(parser)}
            lacks = (f"`{each.option_strings[-1]}`" for each in flags(parsers["run"]) if each.dest not in there)
            yield f"Beside these, the options of `run` but {', '.join(lacks)}.\n"
        yield "| option | meaning |\n|---|---|"
        formatter = parser._get_formatter()
        for action in rows:
            shown = f"{action.option_strings[-1]} {action.metavar or ''}".strip().replace("|", "\\|")
            text = formatter._expand_help(action).replace("|", "\\|")
            yield f"| `{shown}` | {text} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
