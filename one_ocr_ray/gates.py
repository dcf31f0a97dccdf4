"""Where the gates of a route stand, and how a user's section `gates` makes them. Values only; no decisions.

Each is measured; docs/routing.md says what it does, and on which pages it was measured.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Gates:
    """The thresholds. Shares are of the characters that are shown, unless noted."""

    # A text layer, without a look at the picture
    least_characters: _Count = 10
    accidental_characters: _Count = 3  # so many that are no text, or have no ink, are an accident
    hidden_picture_share: _Share = 0.5  # of the page, under or over hidden text
    without_ink_share: _Share = 0.3
    bad_character_share: _Share = 0.02
    # Samples of a text layer that are read from the picture
    sampled_characters: _Count = 12  # that must have been read for `error_share` and `inserted_share`
    error_share: _Share = 0.03
    inserted_share: _Share = 0.05
    poor_picture_share: _Share = 0.4  # for each point that the samples' score lacks, the two before rise by so much
    bad_font_error_share: _Share = 0.3  # right fonts stay below 0.05, wrong ones are above 0.6
    bad_font_errors: _Count = 2
    bad_font_share: _Share = 0.02
    checked_share: _Share = 0.5
    unmapped_share: _Share = 0.05
    unread_script_share: _Share = 0.5  # of the letters
    # Text that a layer lacks
    picture_share: _Share = 0.05  # of the page: more is looked into for text
    loose_ink_share: _Share = 0.3
    missing_share: _Share = 0.07  # of the length of the lines that are found
    # What goes on though it was read
    math_share: _Share = 0.02
    ocr_score: _Share = 0.8
    handwriting_score: _Share = 0.88

    @property
    def changed(self) -> dict[str, float]:
        """What a user has set otherwise than it was measured."""
        measured = asdict(MEASURED)
        return {name: value for name, value in asdict(self).items() if value != measured[name]}


MEASURED = Gates()
