"""What each reader of a route has read, cost and saved, in numbers and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.known_sums import add_known, sum_known
from one_ocr_ray.policy.route.chain import LOCAL, TEXT_LAYER

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ReaderUse:
    """Pages that a reader answered. `cost_usd`: of all of its requests; None: unknown.

    `saved_usd`: what its pages have cost less than at the last reader of the route; None: unknown.
    """

    pages: int = 0
    cost_usd: float | None = 0.0
    saved_usd: float | None = 0.0
    model: str = ""

    def __add__(self, other: ReaderUse) -> ReaderUse:
        return ReaderUse(
            self.pages + other.pages,
            add_known(self.cost_usd, other.cost_usd),
            add_known(self.saved_usd, other.saved_usd),
            other.model or self.model,
        )


def has_choice(readers: Mapping[str, ReaderUse]) -> bool:
    """True if there were several readers, so that their shares are worth a line."""
    answerers = {name for name, use in readers.items() if use.pages}
    return TEXT_LAYER in answerers or len(answerers) > 1


def in_order(readers: Mapping[str, ReaderUse]) -> list[tuple[str, ReaderUse]]:
    """The text layer and the embedded engine first, as on a route. Then the models, by pages."""
    rank = {TEXT_LAYER: 0, LOCAL: 1}
    return sorted(readers.items(), key=lambda each: (rank.get(each[0], 2), -each[1].pages))


def cost_and_without(readers: Mapping[str, ReaderUse]) -> tuple[float, float] | None:
    """What the pages have cost, and would have at the last reader alone. None if unknown, or nothing was saved."""
    cost_usd = sum_known(use.cost_usd for use in readers.values())
    saved_usd = sum_known(use.saved_usd for use in readers.values())
    return None if cost_usd is None or not saved_usd else (cost_usd, cost_usd + saved_usd)


def use_line(readers: Mapping[str, ReaderUse]) -> str:
    """One line on who has read how many pages, and what that has saved."""
    words = {TEXT_LAYER: "from the text layer", LOCAL: "by OCR"}
    answerers = [(name, use) for name, use in in_order(readers) if use.pages]
    shares = [(f"{use.pages:,}", words.get(name, f"by {use.model or name}")) for name, use in answerers]
    (pages, first), *others = shares
    text = ", ".join((f"{pages} {'page' if pages == '1' else 'pages'} {first}", *map(" ".join, others)))
    money = cost_and_without(readers)
    return text if money is None else f"{text}; {_usd(money[0])} USD instead of {_usd(money[1])}"


def _usd(amount: float) -> str:
    """An amount of money with three digits that matter."""
    if 0 < amount < 0.0001:
        return f"{amount:.7f}"
    return f"{amount:,.0f}" if amount >= 1000 else f"{amount:.3g}"
