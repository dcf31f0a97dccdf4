"""Estimates pages, tokens, cost and time of a run from page counts.

An estimate rests on assumptions, which are named here and shown with it. Blank pages need no request and retries need
more; neither is known before the pages are read, so neither is counted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

from one_ocr_ray.model import DocumentRef, PageImage, PageRequest, TokenUsage
from one_ocr_ray.policy.cost.token_estimates import OutputEstimate
from one_ocr_ray.policy.known_sums import add_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.policy.batch.estimate import BatchEstimate
    from one_ocr_ray.policy.cost.metering import ProviderMetering
    from one_ocr_ray.policy.cost.route_shares import RouteShares
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.policy.ratelimit.messages import Limits

PAGE_ASPECT = 2**0.5  # A4
ANSWER_S = 15.0  # a full page at about 100 tokens a second, with little reasoning before it
RENDER_CPU_S = 0.02  # open, draw, compress, send; measured 0.007 to 0.02 by kind of page
LOCAL_CPU_S = 1.6  # the embedded engine on one core; 1.3 measured over a mixed collection, several times that if dense
LAYER_CPU_S = 0.15  # a page from its text layer, samples of its picture among it; 0.04 to 0.14 measured
_DAY_S = 86_400.0

# What can limit a run, in words.
BOUNDS = {
    "rpm": "the requests per minute (--rpm)",
    "tpm": "the tokens per minute (--tpm)",
    "rpd": "the requests per day (--rpd)",
    "max_in_flight": "the requests under way at once (--max-in-flight)",
    "cpu": "the CPUs",
}


@dataclass(slots=True)
class Survey:
    """Counts of the input. Files with the same bytes are read once, so the pages of copies do not count."""

    selection: PageSelection
    documents: int = 0
    copies: int = 0
    pages: int = 0
    unreadable: list[DocumentRef] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set, init=False, repr=False)

    def add(self, document: DocumentRef) -> bool:
        """Count one file; False where it has no pages of its own to read."""
        self.documents += 1
        if document.failure is not None or document.page_count is None:
            self.unreadable.append(document)
            return False
        if document.document_id in self._seen:
            self.copies += 1
            return False
        self._seen.add(document.document_id)
        self.pages += len(self.selection.of(document.page_count))
        return True


@dataclass(frozen=True, slots=True)
class PageNeed:
    """What one page takes. Tokens are None for an engine without tokens; the cost is None if the price is unknown."""

    cpu_s: float
    cost_usd: float | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    counted_tokens: int = 0  # against the tokens per minute


LOCAL_PAGE = PageNeed(cpu_s=LOCAL_CPU_S, cost_usd=0.0)
CPU_S_BY_READER = {"text-layer": LAYER_CPU_S, "local": LOCAL_CPU_S}  # beside it every page is drawn


def llm_page(metering: ProviderMetering, request: PageRequest, longest_side_px: int) -> PageNeed:
    """What one full page takes at a provider. Its output tokens are the rate limiter's first estimate."""
    image = PageImage(1, round(longest_side_px / PAGE_ASPECT), longest_side_px, b"", "", 0, 0)
    counted = metering.estimate_tokens(image, request)
    usage = TokenUsage(metering.input_tokens(image, request), OutputEstimate(request.output_tokens_cap).tokens)
    return PageNeed(RENDER_CPU_S, metering.cost_usd(usage), usage.input_tokens, usage.output_tokens, counted)


def seconds_by_bound(
    all_pages: int, need: PageNeed, limits: Limits | None, cpus: int, shares: RouteShares | None = None
) -> dict[str, float]:
    """How long `all_pages` would take under each bound alone; the run takes the longest.

    need: of a page of the dearest reader. limits: None for the embedded engine. A daily quota is waited out, from one
    midnight to the next. A page that goes on to the next reader takes the CPU of those before it too.
    """
    cpu_s, left = need.cpu_s, 1.0
    if shares is not None:
        cpu_s = 0.0
        for name in shares.names:
            cpu_s += left * (need.cpu_s if name == shares.dearest else CPU_S_BY_READER.get(name, need.cpu_s))
            left -= shares.share(name)
        cpu_s += sum(share * CPU_S_BY_READER.get(name, need.cpu_s) for name, share in shares.audited.items())
    seconds = {"cpu": all_pages * cpu_s / cpus}
    pages = all_pages if shares is None else ceil(all_pages * shares.read_by(shares.dearest))
    if limits is None or not pages:
        return seconds
    if limits.requests_per_minute:
        seconds["rpm"] = pages * 60 / limits.requests_per_minute
    if limits.tokens_per_minute:
        seconds["tpm"] = pages * need.counted_tokens * 60 / limits.tokens_per_minute
    if limits.requests_per_day:
        seconds["rpd"] = (ceil(pages / limits.requests_per_day) - 1) * _DAY_S
    if limits.max_in_flight:
        seconds["max_in_flight"] = ceil(pages / limits.max_in_flight) * ANSWER_S
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A dry run's result. `as_json` is what `one-ocr estimate --json` prints."""

    engine: str
    model: str
    survey: Survey
    page: PageNeed
    seconds_by: Mapping[str, float]
    cpus: int
    limits: Limits | None
    shares: RouteShares
    audit_usd: float | None = 0.0  # what other models cost that audit pages; None: unknown
    batch: BatchEstimate | None = None  # with --batch: nothing but the CPUs bounds the time that this machine works
    later_usd: float | None = 0.0  # a page at all models after the first, if each passed it on; None: unknown
    seconds_range: tuple[float, float] | None = None  # by the interval of the model's pages; None: as `seconds`
    own_servers: bool = False  # how much they read in an hour nobody knows
    server_hour_usd: float | None = None  # of each own server

    @property
    def bound_by(self) -> str | None:
        """The bound that limits the run: a key of `BOUNDS`. None: own servers do."""
        return None if self.own_servers else max(self.seconds_by, key=self.seconds_by.__getitem__)

    @property
    def seconds(self) -> float | None:
        return None if self.bound_by is None else self.seconds_by[self.bound_by]

    @property
    def limits_unknown(self) -> bool:
        """True if the account's limits are unknown, so that the run may take longer."""
        return self.limits is not None and not (self.limits.requests_per_minute or self.limits.tokens_per_minute)

    def of_all_pages(self, of_a_page: float | None) -> float | None:
        """`of_a_page` times the pages that the model is asked for. None if it is unknown."""
        return _times(of_a_page, self.survey.pages * self.shares.read_by(self.shares.dearest))

    @property
    def cost_range_usd(self) -> tuple[float | None, float | None]:
        """The least and the most cost by the interval of the model's pages; at most all of them go on to all others."""
        pages, name = self.survey.pages, self.shares.dearest
        low, high = (share * pages for share in self.shares.bounds(name, pages))
        audited = self.shares.audited.get(name, 0.0) * pages
        later_usd = add_known(self.audit_usd, _times(self.later_usd, high))
        return (
            add_known(_times(self.page.cost_usd, low + audited), self.audit_usd),
            add_known(_times(self.page.cost_usd, high + audited), later_usd),
        )

    def as_json(self) -> dict[str, Any]:
        survey, page = self.survey, self.page
        cost_low_usd, cost_high_usd = self.cost_range_usd
        low_s, high_s = self.seconds_range or (self.seconds, self.seconds)
        return {
            "engine": self.engine,
            "model": self.model,
            "documents": {
                "total": survey.documents,
                "readable": survey.documents - len(survey.unreadable),
                "copies": survey.copies,
                "unreadable": len(survey.unreadable),
            },
            "pages": survey.pages,
            "readers": self.shares.as_json(survey.pages),
            "audit": {name: round(share * survey.pages) for name, share in self.shares.audited.items()},
            "sample_pages": self.shares.sample_pages,
            "tokens": {
                "input": self.of_all_pages(page.input_tokens),
                "output": self.of_all_pages(page.output_tokens),
            },
            "cost_usd": add_known(self.of_all_pages(page.cost_usd), self.audit_usd),
            "cost_usd_low": cost_low_usd,
            "cost_usd_high": cost_high_usd,
            "seconds": _rounded(self.seconds),
            "seconds_low": _rounded(low_s),
            "seconds_high": _rounded(high_s),
            "bound_by": self.bound_by,
            "seconds_by": {name: round(seconds, 1) for name, seconds in self.seconds_by.items()},
            "limits_unknown": self.limits_unknown,
            "batch": self.batch.as_json() if self.batch is not None else None,
            "assumed": {
                "page": asdict(page),
                "page_aspect": round(PAGE_ASPECT, 4),
                "answer_s": None if self.limits is None else ANSWER_S,
                "cpus": self.cpus,
            },
            "unreadable": [
                {"source_uri": each.uri, "code": each.failure.code, "message": each.failure.message}
                for each in survey.unreadable
                if each.failure is not None
            ],
        }


def _times(of_a_page: float | None, pages: float) -> float | None:
    return None if of_a_page is None else of_a_page * round(pages)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
