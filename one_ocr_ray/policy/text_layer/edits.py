"""How a text that was read differs from the one that was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def least_edits(written: str, read: str) -> Iterator[tuple[str, int]]:
    """The least edits from `written` to `read`: what, and at which place of `written`."""
    rows = [list(range(len(read) + 1))]
    for number, character in enumerate(written, 1):
        above = rows[-1]
        row = [number]
        for column, other in enumerate(read, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (character != other)))
        rows.append(row)
    at, column = len(written), len(read)
    while at or column:
        here = rows[at][column]
        if at and column and here == rows[at - 1][column - 1] + (written[at - 1] != read[column - 1]):
            at, column = at - 1, column - 1
            if written[at] != read[column]:
                yield "replace", at
        elif at and here == rows[at - 1][column] + 1:
            at -= 1
            yield "delete", at
        else:
            column -= 1
            yield "insert", at
