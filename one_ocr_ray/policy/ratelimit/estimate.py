"""How many tokens the next request will take, from those that were answered."""

from __future__ import annotations

from collections import deque
from statistics import median

_START_TOKENS = 1000
_ANSWERS_NEEDED = 8
_ANSWERS_KEPT = 64


class OutputEstimate:
    """The third quartile of the last answers; 1,000 until there are some; never above `cap_tokens`."""

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


class InputScale:
    """What inputs really take over what the formula says: the median of the last answers; 1 until there is one.

    The formulas are those of the providers' own models; a model of one's own may count an image quite otherwise.
    """

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=_ANSWERS_KEPT)
        self.factor = 1.0

    def observe(self, formula_tokens: int, input_tokens: int) -> None:
        """Learn from a request that the formula put at `formula_tokens` and the provider at `input_tokens`."""
        self._ratios.append(input_tokens / max(1, formula_tokens))
        self.factor = median(self._ratios)
