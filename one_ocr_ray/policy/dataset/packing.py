"""Packs blocks to bytes and back. A page of 500 words with places takes 10 KB, and 150 KB as objects.

The bytes are compressed JSON with the fields of the dataset's column `blocks`, so a row is written without unpacking.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import orjson

from one_ocr_ray.blocks import (
    Block,
    BlockKind,
    BlockLine,
    BlockSource,
    BlockWord,
    Box,
    Cell,
    PackedBlocks,
    Positions,
    TableGrid,
)
from one_ocr_ray.policy.layout.places import without_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEVEL = 1  # of compression: the fastest; what stands in the dataset is compressed anew
_DIGITS = 4  # of what comes back from the dataset's 32-bit numbers: places have two, confidences four


def pack(blocks: Sequence[Block] | None, positions: Positions) -> PackedBlocks | None:
    """`blocks` with what `positions` asks for; None where nothing is known or wanted."""
    if blocks is None or positions is Positions.NONE:
        return None
    if positions is Positions.BLOCKS:
        blocks = without_lines(blocks)
    return pack_rows(orjson.loads(orjson.dumps(blocks)))


def unpack(packed: PackedBlocks, *, with_lines: bool = True) -> tuple[Block, ...]:
    """The blocks that `pack` was given, without lines and words unless wanted."""
    blocks: list[Block] = []
    for values in orjson.loads(zlib.decompress(packed.data)):
        table, lines = values["table"], values["lines"] if with_lines else None
        cells = [Cell(**{**cell, "box": _box(cell["box"])}) for cell in table["cells"]] if table else ()
        known = {
            "kind": BlockKind(values["kind"]),
            "source": BlockSource(values["source"]),
            "box": _box(values["box"]),
            "table": table and TableGrid(**{**table, "cells": tuple(cells)}),
            "lines": None if lines is None else tuple(map(_line, lines)),
        }
        blocks.append(Block(**{**values, **known}))
    return tuple(blocks)


def as_json(packed: PackedBlocks) -> orjson.Fragment:
    """The blocks as they stand in a row that is written as JSON."""
    return orjson.Fragment(zlib.decompress(packed.data))


def pack_rows(values: Sequence[dict[str, Any]]) -> PackedBlocks:
    """The blocks of a row that was read from the dataset or from a journal. Equal blocks are equal bytes."""
    return PackedBlocks(zlib.compress(orjson.dumps(_rounded(values), option=orjson.OPT_SORT_KEYS), _LEVEL))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _box(values: dict[str, float] | None) -> Box | None:
    return Box(**values) if values is not None else None


def _line(values: dict[str, Any]) -> BlockLine:
    words = tuple(BlockWord(**{**word, "box": Box(**word["box"])}) for word in values["words"])
    return BlockLine(**{**values, "box": Box(**values["box"]), "words": words})
