"""The fingerprint of a configuration: every setting that decides what a page's row contains."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import orjson

SCHEMA_VERSION = "2"  # of the dataset's files; version 1 has no `warnings`, `route_reason`, `page_box`, `blocks`

_NAMES = {
    "schema_version": "dataset version",
    "engine": "--engine",
    "model": "--model",
    "prompt_sha256": "the prompt",
    "schema_sha256": "--schema",
    "longest_side_px": "--longest-side",
    "pages": "--pages",
    "positions": "--positions",
    "route": "--route",
    "line_models": "models for --language",
}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Engine, model, prompt, schema, image size, pages, kept places and dataset version of a run. Holds no secret."""

    engine: str
    model: str
    prompt_sha256: str | None
    schema_sha256: str | None
    longest_side_px: int
    pages: str
    positions: str = "blocks"
    route: str = "off"  # the engine alone, as in outputs from before there were routes
    schema_version: str = SCHEMA_VERSION
    line_models: str | None = None  # of the embedded engine, where they are not those that ship with it

    @property
    def config_id(self) -> str:
        """A short name of this configuration: 16 hexadecimal digits."""
        values = asdict(self)
        if self.line_models is None:
            del values["line_models"]  # outputs from before there was a choice keep their name
        return hashlib.sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def config_difference(before: Fingerprint, now: Fingerprint) -> str | None:
    """What differs between two configurations, in words; None if nothing does."""
    # The values as a user gives them: a route of one reader is that reader's name.
    then, this = (asdict(each) | ({"route": each.engine} if each.route == "off" else {}) for each in (before, now))
    parts = [
        name if key.endswith("sha256") else f"{name} {then[key]} before, {this[key]} now"
        for key, name in _NAMES.items()
        if then[key] != this[key]
    ]
    return "; ".join(parts) or None
