"""Confidence intervals of shares: how far what a sample shows may be off."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Z_95 = 1.96  # of the normal distribution: 95 of 100 such intervals hold the true share


def wilson(share: float, number: float) -> tuple[float, float]:
    """The 95 % confidence interval of `share` among `number` independent draws (Wilson, 1927)."""
    spread = Z_95**2 / number
    middle = (share + spread / 2) / (1 + spread)
    half = Z_95 * sqrt(share * (1 - share) / number + spread / (4 * number)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def clustered(parts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The 95 % interval of the share of hits in clusters (their hits and sizes).

    Hits come in clusters, as wrong words come in bad pages, so a cluster says less than its size. The variance between
    clusters tells how many independent draws they are worth (Kish's effective size); without any they are worth their
    number.
    """
    hits, size, number = sum(hits for hits, _ in parts), sum(size for _, size in parts), len(parts)
    if not size:
        return 0.0, 1.0
    share = hits / size
    residues = sum((own - share * of) ** 2 for own, of in parts)
    if number < 2 or not residues or not 0 < share < 1:
        return wilson(share, number)
    variance = residues / (number - 1) * number / size**2
    return wilson(share, min(size, max(1.0, share * (1 - share) / variance)))
