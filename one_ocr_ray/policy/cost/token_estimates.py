"""Estimates of the tokens of the next request, learned from answered ones."""

from __future__ import annotations

from collections import deque
from statistics import median

_START_TOKENS = 1000
_ANSWERS_NEEDED = 8
_ANSWERS_KEPT = 64


class OutputEstimate:
    """The third quartile of the last answers, 1,000 until there are some, at most `cap_tokens`."""

    def __init__(self, cap_tokens: int) -> None:
        self._cap_tokens = cap_tokens
        self._answers: deque[int] = deque(maxlen=_ANSWERS_KEPT)
        self.tokens = min(_START_TOKENS, cap_tokens)

    def observe(self, output_tokens: int) -> None:
        """Learn from an answer of `output_tokens`."""
        self._answers.append(output_tokens)
        if len(self._answers) >= _ANSWERS_NEEDED:
            quartile = sorted(self._answers)[3 * len(self._answers) // 4]
            self.tokens = min(quartile, self._cap_tokens)


# Four Latin characters or about one CJK character are a token.
CHARS_PER_TOKEN = 4
_FIRST_WIDE = "\u2e80"


def text_tokens(text: str) -> int:
    """About how many tokens `text` is."""
    wide = sum(char >= _FIRST_WIDE for char in text)
    return wide + (len(text) - wide) // CHARS_PER_TOKEN


class TokenScale:
    """The median ratio of real tokens to a formula's over the last answers. It is 1 until there is one.

    The formulas hold for the providers' own models; a self-hosted model may count images quite differently. A model
    that reasons takes more tokens for an answer than its text has.
    """

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=_ANSWERS_KEPT)
        self.factor = 1.0

    def observe(self, formula_tokens: int, real_tokens: int) -> None:
        """Learn from a request of `formula_tokens` by the formula and `real_tokens` by the provider."""
        self._ratios.append(real_tokens / max(1, formula_tokens))
        self.factor = median(self._ratios)
