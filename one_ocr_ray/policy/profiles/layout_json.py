"""Reads answers that are a JSON list of `{"bbox": [x1, y1, x2, y2], "category": .., "text": ..}`.

Sources: the prompts of dots.ocr and Infinity-Parser2, which name the categories.
"""

from __future__ import annotations

from json import JSONDecoder
from typing import TYPE_CHECKING, Any

from one_ocr_ray.policy.profiles.pieces import MOST_PIECES, NamedPiece, kind_of, shares

if TYPE_CHECKING:
    from collections.abc import Iterator


def pieces(text: str, grid: tuple[float, float]) -> list[NamedPiece] | None:
    """The objects of the list in its order. Those of a list that was cut off up to there. None: it is no such list."""
    found: list[NamedPiece] = []
    for each in _objects(text):
        category, content, box = str(each.get("category", "")).lower(), each.get("text"), each.get("bbox")
        found.append(
            NamedPiece(
                kind_of(category),
                content if isinstance(content, str) else "",
                shares(box, *grid) if isinstance(box, list) else None,
                level=1 if category == "title" else 2,
            )
        )
    return found if found or text.strip() in ("[]", "{}") else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects with a box. They are decoded one by one, so that a cut answer gives the whole ones."""
    decoder, at = JSONDecoder(), text.find("{")
    for _ in range(MOST_PIECES):
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except RecursionError:
            return
        except ValueError:
            end, value = at + 1, None  # an object around the list, which was cut off
            if '"bbox"' not in text[end : text.find("{", end)]:
                at = text.find("{", end)
                continue
            return
        listed = (
            [value] if "bbox" in value else [each for part in value.values() if isinstance(part, list) for each in part]
        )
        yield from (each for each in listed if isinstance(each, dict))
        at = text.find("{", end)
