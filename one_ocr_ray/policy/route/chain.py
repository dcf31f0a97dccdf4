"""A route: an ordered list of readers, and where a page goes next. Decisions only.

A page goes on when the judge of its reader says so, to the next reader that can do better at what was wrong: one that
knows no formulas is passed over by a page that goes on for its formulas. Without such a reader the answer stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.routing import Escalation, Route, RouteReason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

TEXT_LAYER, LOCAL, AUTO = "text-layer", "local", "auto"

# What the embedded engine does no better than the text layer, or than itself.
NOT_FOR_LOCAL = frozenset(
    {RouteReason.FORMULAS, RouteReason.TABLE, RouteReason.HANDWRITING, RouteReason.SCRIPT_NOT_READ}
)

# Where a page came to a reader for one of these, the one before has answered it, and need not be asked again.
JUDGED = frozenset(RouteReason) - {RouteReason.FAILED_OVER, RouteReason.NO_INK, RouteReason.REUSED}


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a page is on its route. `no_better_at`: of each reader the reasons for which a page does not go to it."""

    no_better_at: tuple[frozenset[RouteReason], ...]
    at: int = 0

    def after(self, reason: RouteReason | None, answered: Collection[int] = ()) -> Walk | None:
        """The walk at the next reader for a page that goes on for `reason`. None: there is none.

        `answered`: readers that are not asked again.
        """
        later = (number for number in range(self.at + 1, len(self.no_better_at)) if number not in answered)
        following = next((number for number in later if reason not in self.no_better_at[number]), None)
        return None if following is None else replace(self, at=following)


def parse_route(text: str | None, engine: str, escalate: str | None = None, others: Collection[str] = ()) -> Route:
    """The route that users write. Raises ValueError, one sentence for them, for what is no route of `engine`.

    `text` None: the default, which is the text layer before the embedded engine, and a model alone. `others`: more
    readers that it may name.
    """
    names = _names(text, engine, others)
    kinds = [kind.strip() for kind in (escalate or "").split(",") if kind.strip()]
    known = [each.value for each in Escalation]
    for kind in kinds:
        if kind not in known:
            raise ValueError(f"{kind!r} is no kind of page to escalate; known are {', '.join(known)}")
    if kinds and len(names) < 2:
        raise ValueError("to escalate pages it needs a reader that they can go on to")
    return Route(names, frozenset(map(Escalation, kinds)))


def _names(text: str | None, engine: str, others: Collection[str]) -> tuple[str, ...]:
    if text is None:
        return (TEXT_LAYER, LOCAL) if engine == LOCAL else (engine,)
    if text.strip() == AUTO:
        return (TEXT_LAYER, LOCAL) if engine == LOCAL else (TEXT_LAYER, LOCAL, engine)
    names = tuple(name.strip() for name in text.split(","))
    known = dict.fromkeys((TEXT_LAYER, LOCAL, engine, *others))
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is no reader of this run; known are {', '.join(known)} and auto")
    if len(set(names)) < len(names):
        raise ValueError("each reader can stand in it once")
    if TEXT_LAYER in names[1:]:
        raise ValueError("text-layer can only come first: it costs least, and tells by itself when it is wrong")
    if engine not in names and engine != LOCAL:
        raise ValueError(f"it leaves {engine} out: name it, or choose --engine local")
    return names


def needs_embedded_engine(route: Route) -> bool:
    """True if this cluster reads pictures: as a reader, for samples, audits or places."""
    return models_of(route) != route.names or route.audit is not None or route.ocr_places


def models_of(route: Route) -> tuple[str, ...]:
    """The readers of the route that are models."""
    return tuple(name for name in route.names if name not in {TEXT_LAYER, LOCAL})


def route_text(route: Route, engine: str, models: Mapping[str, str] | None = None) -> str:
    """A route as the configuration of an output keeps it. `off` where there is nothing to choose.

    `models`: of readers that `engine` and its model do not say all about.
    """
    if route.names == (engine,):
        return "off"
    names = (f"{name}={models[name]}" if models and name in models else name for name in route.names)
    moved = [f"{name} {value:g}" for name, value in route.gates.changed.items()]
    more = ", ".join([*sorted(route.escalate), *moved])
    return ",".join(names) + (f" ({more})" if more else "")
