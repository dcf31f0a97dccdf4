"""How many tokens the next answer will have, from those that came."""

from __future__ import annotations

from collections import deque

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
