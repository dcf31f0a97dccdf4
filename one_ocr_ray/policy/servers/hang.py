"""When the engine of a model server hangs though its HTTP side still answers. Pure: `now_s` is passed in."""

from __future__ import annotations

from dataclasses import dataclass

# A request may take as long (`--timeout`). On a CPU the first step of a page takes minutes, too.
HANGS_S = 300.0


@dataclass(frozen=True, slots=True)
class EngineProgress:
    """Tokens that the engine has processed, and since when it adds none despite work."""

    tokens: float = -1.0
    since_s: float = 0.0

    def seen(self, running: int, tokens: float, now_s: float) -> EngineProgress:
        """The progress after a look, at which the engine works on `running` requests."""
        return self if running and tokens == self.tokens else EngineProgress(tokens, now_s)

    def hangs(self, now_s: float) -> bool:
        """True if the engine has done nothing for so long that it never will."""
        return now_s - self.since_s > HANGS_S
