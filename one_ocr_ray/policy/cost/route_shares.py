"""Estimates each reader's share of pages and audit from a sample of judged pages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from one_ocr_ray.policy.intervals import wilson
from one_ocr_ray.policy.route.audit import second_reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class RouteShares:
    """The readers of a route in order, with the sampled pages that each would answer. The sample may be empty.

    `audited`: what each reads besides as a second reader, as a share of all pages. `model`: the first model among them.
    """

    names: tuple[str, ...]
    sampled: Mapping[str, float] = field(default_factory=dict)
    audited: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None

    @property
    def dearest(self) -> str:
        """The model, which may be paid; without one the last reader, which takes most time."""
        return self.model or self.names[-1]

    def with_audit(self, share: float | None, route: Sequence[str]) -> RouteShares:
        """The same, with `share` of the pages audited by the next readers of `route`."""
        audited: dict[str, float] = {}
        for name in self.names:
            if share and (second := second_reader(route, name)) is not None:
                audited[second] = audited.get(second, 0.0) + share * self.share(name)
        return replace(self, audited=audited)

    def read_by(self, name: str) -> float:
        """The share of all pages that `name` reads, as first or second reader."""
        return self.share(name) + self.audited.get(name, 0.0)

    @property
    def sample_pages(self) -> int:
        return round(sum(self.sampled.values()))

    def share(self, name: str) -> float:
        """The share 0-1 of pages that `name` answers. Without a sample all are the model's, or the last reader's."""
        if not self.sample_pages:
            return float(name == self.dearest)
        return self.sampled.get(name, 0) / self.sample_pages

    def bounds(self, name: str, pages: int) -> tuple[float, float]:
        """The lowest and highest share of `name`, out of `pages`; both are the share where every page was judged."""
        share = self.share(name)
        return (share, share) if self.sample_pages >= pages > 0 else self.interval(name)

    def with_share(self, share: float) -> RouteShares:
        """The same, if the dearest reader answered `share` of the pages and the others what is left, as they do now."""
        others = {name: self.share(name) for name in self.names if name != self.dearest}
        left = sum(others.values()) or None
        first = next(iter(others), None)
        rest = {name: (own / left if left else float(name == first)) * (1 - share) for name, own in others.items()}
        return replace(self, sampled={**rest, self.dearest: share})

    def interval(self, name: str) -> tuple[float, float]:
        """The 95 % confidence interval of the share (Wilson, 1927). (0, 1) without a sample of a longer route."""
        n = self.sample_pages
        if not n:
            return (0.0, 1.0) if len(self.names) > 1 else (1.0, 1.0)
        return wilson(self.share(name), n)

    def as_json(self, pages: int) -> dict[str, Any]:
        """The expected pages of each reader, out of `pages`, with their 95 % interval."""
        told: dict[str, Any] = {}
        for name in self.names:
            share = self.share(name)
            low, high = self.bounds(name, pages)
            told[name] = {
                "pages": round(share * pages), "pages_low": round(low * pages), "pages_high": round(high * pages),
            }  # fmt: skip
        return told
