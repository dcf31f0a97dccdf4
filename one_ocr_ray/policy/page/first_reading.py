"""Decides which lines only the small recogniser reads, and which the large one reads again.

Measured on 2,555 lines of 48 pages, print in English, French, German and Chinese, scans among it. The small recogniser
takes a fifth of the CPU of the large one. On print in Latin letters it is sure of three quarters of the lines, and
reads 0.1 % of their characters differently. It knows a third of the large one's characters, and takes the rest for
others with high confidence: those of traditional Chinese and Japanese for simplified ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.layout.text import is_cjk

if TYPE_CHECKING:
    from collections.abc import Set

SURE_MEAN = 0.975  # of a line's characters; 0.98 leaves half of these differences, and half as many lines again unsure
SURE_LEAST = 0.5  # of each of them
LEGIBLE = 0.9  # mean of a line whose letters are believed
# What the small recogniser says with much confidence for something else: a zero for an o, raised digits and boxes for
# marks, and letters with a cedilla for Romanian ones with a comma below. It does not know these.
DOUBTFUL = re.compile("[A-Za-z]0|0[A-Za-z]|[⁰¹²³⁴-⁹■□şţŞŢ]")
ENOUGH_PX = 4000  # of lines, of the height that they are read in: half of a small page
PAYS = 0.25  # of the length of the lines: the small recogniser costs that much more where it is not sure
ENOUGH_CJK = 60  # characters: a line and a half; of traditional Chinese or Japanese, some are unknown to it


def is_sure(text: str, mean: float, least: float) -> bool:
    """True if the small recogniser has hardly erred. `mean` and `least` are the scores 0-1 of its characters."""
    return mean >= SURE_MEAN and least >= SURE_LEAST and bool(text) and not DOUBTFUL.search(text)


@dataclass(slots=True)
class FirstReadings:
    """How far the small recogniser got on a page; it knows the characters `known`."""

    known: Set[str]
    asked_px: int = 0  # the length of the lines that it was shown
    sure_px: int = 0
    read_cjk: int = 0  # characters of Chinese and Japanese that the large one has read
    is_over: bool = False  # the page has characters that it does not know

    @property
    def pays(self) -> bool:
        """False once most lines have to be read again, or unknown letters were seen."""
        enough = self.asked_px < ENOUGH_PX or self.sure_px >= PAYS * self.asked_px
        return enough and not self.is_over

    def takes(self, text: str) -> bool:
        """True if the small recogniser knows all letters of the page that were seen."""
        return self.read_cjk >= ENOUGH_CJK or not any(map(is_cjk, text))

    def count(self, line_px: int, *, sure: bool) -> None:
        """Count a line of this length."""
        self.asked_px += line_px
        self.sure_px += line_px * sure

    def learn(self, text: str) -> None:
        """Learn from what the large recogniser has read."""
        self.read_cjk += sum(map(is_cjk, text))
        self.is_over |= any(character.isalpha() and character not in self.known for character in text)
