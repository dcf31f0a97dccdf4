"""The texts of the web pages: catalogs of languages, and the choice among them."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("en", "zh")
_FOLDER = Path(__file__).parent / "text"
_WANTED = re.compile(r"\s*([A-Za-z]{1,8}|\*)(?:-[\w-]{0,64})?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*")
_FOR_SCRIPTS = ("js.", "state.", "code.", "page.", "viewer.")


@dataclass(frozen=True, slots=True)
class Catalog:
    """The texts of one language."""

    language: str
    sentences: dict[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text of `key`, with `values` filled in."""
        return self.sentences[key].format_map(values)

    def failure(self, code: str, otherwise: str) -> str:
        """The meaning of an error code; `otherwise` where the catalog does not have it."""
        return self.sentences.get(f"code.{code}", otherwise)

    def duration(self, seconds: float) -> str:
        """A duration, as exact as people need it."""
        if seconds < 90:
            return self("js.seconds", n=max(1, round(seconds)))
        return (
            self("js.minutes", n=round(seconds / 60)) if seconds < 5400 else self("js.hours", n=f"{seconds / 3600:.2g}")
        )

    def for_scripts(self) -> str:
        """The texts that the scripts of a page need, as JSON."""
        return json.dumps({key: text for key, text in self.sentences.items() if key.startswith(_FOR_SCRIPTS)})


@functools.cache
def catalog(language: str) -> Catalog:
    """The catalog of one of `LANGUAGES`."""
    return Catalog(language, json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8")))


def language_of(accept_language: str) -> str:
    """The language of `LANGUAGES` that the header prefers; English where it names none."""
    rated: list[tuple[float, int, str]] = []
    for part in accept_language.split(",")[:32]:
        found = _WANTED.fullmatch(part)
        if found and found[1].lower() in LANGUAGES and float(found[2] or 1) > 0:
            rated.append((-float(found[2] or 1), len(rated), found[1].lower()))
    return min(rated)[2] if rated else LANGUAGES[0]
