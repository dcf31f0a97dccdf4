"""What the provider plays: a value that fits in one JSON object, and the dice that follow from its seed."""

from __future__ import annotations

import math
import random
from collections import Counter
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tests.provider.batch_play import BatchPlay
from tests.provider.quotas import Quota

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

DEFAULT_KEY = "test-key-0123456789"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identify(StrEnum):
    """How a page image is named: by its marker (else its digest), by its digest alone, not at all (the cheapest)."""

    MARKER = "marker"
    DIGEST = "digest"
    OFF = "off"


class Hint(StrEnum):
    """How a 429 says when to come back. Gemini has no such headers: the first three are one there."""

    RETRY_AFTER = "retry_after"  # header in whole seconds, and the text; Gemini: RetryInfo, and the text
    RETRY_AFTER_MS = "retry_after_ms"
    HTTP_DATE = "http_date"
    TEXT = "text"
    NONE = "none"


class TokenCharge(StrEnum):
    """What a request costs the token quotas."""

    USAGE = "usage"  # input and output, as the reply will report them
    INPUT = "input"  # Gemini: input tokens only
    RESERVE = "reserve"  # OpenAI: the larger of the output cap and the estimate


class Latency(_Part):
    """Seconds from the last byte of the request to the first of the reply."""

    shape: Literal["fixed", "uniform", "long_tail"] = "fixed"
    seconds: float = 0.0  # fixed: all; uniform: the least; long tail: the median
    to_s: float = 0.0  # uniform: the most; long tail: the cap (0 = none)
    sigma: float = 0.8  # long tail: of the log-normal; at 0.8 p99 is 6.4 times the median

    def draw(self, dice: random.Random) -> float:
        if self.shape == "uniform":
            return dice.uniform(self.seconds, self.to_s)
        if self.shape == "long_tail":
            drawn = self.seconds * math.exp(dice.gauss(0.0, self.sigma))
            return min(drawn, self.to_s) if self.to_s else drawn
        return self.seconds


class Tokens(_Part):
    """What replies report as used; `spread` 0.5 draws the output evenly from half to one and a half times."""

    input: int = 1700
    output: int = 800
    spread: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    def draw_output(self, dice: random.Random) -> int:
        return round(self.output * (1.0 + dice.uniform(-self.spread, self.spread)))


class Rule(_Part):
    """When one fault strikes. Every condition given must hold; the first rule in the list that strikes wins.

    Requests past keys and quotas are counted from when the rules were set. Probabilities below 1 are slices of one draw
    a request, so rules of 0.3 and 0.1 make exactly those shares.
    """

    fault: str
    probability: float = 1.0
    after: int = 0  # spares the first so many requests
    until: int | None = None  # spares those after this one
    page: str | None = None  # glob over identities, "doc-0007 page *"; None = every request, with a page or without
    times_per_page: int | None = None  # strikes each page at most so often
    seconds: float | None = None  # of the hint in a throttle, of the wait in a stall; None = the fault's own


class Scenario(_Part):
    """Everything there is to set. A change replaces the fields it names and leaves the rest."""

    seed: int = 0
    keys: tuple[str, ...] = (DEFAULT_KEY,)  # empty: any key and none at all, as a server of one's own
    models: tuple[str, ...] = ()  # empty: every name is a model
    unlisted: tuple[str, ...] = ()  # models that answer though no list has them
    identify: Identify = Identify.MARKER
    latency: Latency = Latency()
    tokens: Tokens = Tokens()
    text_chars: int = 600  # least length of an answer's Markdown
    quotas: tuple[Quota, ...] = ()
    failed_requests_count: bool = True
    token_charge: TokenCharge = TokenCharge.USAGE
    hint: Hint = Hint.RETRY_AFTER
    rate_headers: bool = False
    capacity: int | None = None  # requests worked on at once, the rest queue
    queue: int | None = None  # longest queue before capacity; beyond it 503; None = without end
    passes: int | None = None  # requests that get their reply; the next ones wait until this is set anew; None = all
    held: str | None = None  # glob over identities: the requests for these pages wait until this is set anew
    rules: tuple[Rule, ...] = ()
    batches: BatchPlay = BatchPlay()


class Script:
    """The rules at play: counts requests, rolls the dice, remembers which page was struck how often."""

    def __init__(self, rules: tuple[Rule, ...], seed: int) -> None:
        self._rules = rules
        self._dice = random.Random(f"rules {seed}")
        self._requests = 0
        self._struck: Counter[tuple[int, str | None]] = Counter()

    def strike(self, page: str | None, playable: Collection[str]) -> Rule | None:
        """The rule that strikes the next request, among those whose fault is `playable` in its dialect."""
        self._requests += 1
        draw, below = self._dice.random(), 0.0
        for index, rule in self._matching(page, playable):
            below += rule.probability
            if draw < below:
                self._struck[index, page] += 1
                return rule
        return None

    def _matching(self, page: str | None, playable: Collection[str]) -> Iterator[tuple[int, Rule]]:
        for index, rule in enumerate(self._rules):
            wanted = (
                rule.fault in playable
                and rule.after < self._requests
                and (rule.until is None or self._requests <= rule.until)
                and (rule.page is None or (page is not None and fnmatchcase(page, rule.page)))
                and (rule.times_per_page is None or self._struck[index, page] < rule.times_per_page)
            )
            if wanted:
                yield index, rule
