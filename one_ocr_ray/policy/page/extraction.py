"""Structured extraction: checks the user's JSON Schema, and a model's reply against it.

No message quotes the reply: it is page content, and would end up in logs and error columns.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import orjson
from jsonschema import SchemaError
from jsonschema.exceptions import best_match
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.protocols import Validator

SCHEMA_BYTES, SCHEMA_DEPTH = 32 << 10, 32  # of a stranger's schema
CHECK_STEPS = 300_000  # rules applied to one reply: half a second, and a hundred times what a full page needs


class _TooManyStepsError(Exception):
    """A check of a schema whose references multiply would never end."""


_UNCHECKED: dict[type[Exception], str] = {
    Unresolvable: "The schema refers to something that is not in it.",
    RecursionError: "The reply is nested too deeply.",  # it is untrusted, and the schema may refer to itself
    _TooManyStepsError: "The schema takes too long to check.",
}


def schema_fault(schema: str) -> str | None:
    """What is wrong with the user's schema, as one sentence. None if it can be used."""
    try:
        parsed = orjson.loads(schema)
    except orjson.JSONDecodeError as error:
        return f"The schema is not JSON (line {error.lineno}, column {error.colno})."
    if not isinstance(parsed, dict):
        return "The schema must be a JSON object."
    try:
        validator_for(parsed, Draft202012Validator).check_schema(parsed)
    except SchemaError as error:
        return f"The schema is not a JSON Schema, at {error.json_path}."
    return None


def foreign_schema_fault(schema: dict[str, Any], text: str) -> str | None:
    """Why a schema that a stranger sends must not be used, as one sentence. `text` is the same as JSON.

    A pattern can keep Python's `re` busy without end, on a reply that its author can influence.
    """
    if len(text.encode()) > SCHEMA_BYTES:
        return f"The schema is longer than {SCHEMA_BYTES:,} bytes."
    parts: list[tuple[Any, int]] = [(schema, 1)]
    while parts:
        part, depth = parts.pop()
        if depth > SCHEMA_DEPTH:
            return f"The schema is nested deeper than {SCHEMA_DEPTH} levels."
        if isinstance(part, dict):
            if "patternProperties" in part or isinstance(part.get("pattern"), str):
                return "The schema must not have pattern or patternProperties: say in a description what is meant."
            parts += ((each, depth + 1) for each in part.values())
        elif isinstance(part, list):
            parts += ((each, depth + 1) for each in part)
    return None


def without_lone_surrogates(reply: str) -> str:
    """Replace escaped lone surrogates in a JSON reply by characters, which `without_controls` removes.

    Models write half an emoji as an escape, which no strict parser accepts.
    """
    if "\\ud" not in reply.lower():
        return reply
    with suppress(ValueError, RecursionError):
        return json.dumps(json.loads(reply), ensure_ascii=False)
    return reply


def schema_violation(text: str, schema: str, *, truncated: bool = False) -> str | None:
    """Why `text` does not satisfy `schema`, as one sentence for the model and the row. None if it does."""
    try:
        reply = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if truncated:
            return "The reply was cut off at its output cap, so it is not whole JSON."
        return f"The reply is not JSON (line {error.lineno}, column {error.colno})."
    try:
        with _STEPS.limited():
            found = best_match(_validator(schema).iter_errors(reply))
    except (Unresolvable, RecursionError, _TooManyStepsError, re.error, TypeError, ValueError) as error:
        # The last three: an invalid pattern, a reference to something that is not a schema.
        sentences = (sentence for kind, sentence in _UNCHECKED.items() if isinstance(error, kind))
        return next(sentences, "The schema cannot be applied to the reply.")
    if found is None:
        return None
    # The path and the rule come from the schema, never from the reply.
    place = "/".join(str(step) for step in found.absolute_schema_path)
    rule = orjson.dumps(found.validator_value, default=str).decode()
    return f"The reply breaks the schema's rule {place[:200]}: {rule[:200]}."


class _Steps:
    """Counts the rules that a check applies. Checks run one after the other."""

    def __init__(self) -> None:
        self._left = 0

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Raise _TooManyStepsError in a check that takes more than `CHECK_STEPS`."""
        self._left = CHECK_STEPS
        yield

    def counted(self, rule: Any) -> Any:
        """A rule of a JSON Schema that counts its use."""

        def apply(*arguments: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise _TooManyStepsError
            return rule(*arguments)

        return apply


_STEPS = _Steps()


@lru_cache(maxsize=8)
def _validator(schema: str) -> Validator:
    parsed: Any = orjson.loads(schema)
    dialect: Any = validator_for(parsed, Draft202012Validator)
    counting = extend(  # type: ignore[no-untyped-call]
        dialect, {name: _STEPS.counted(rule) for name, rule in dialect.VALIDATORS.items()}
    )
    # An empty registry: a reference to another document must not cause a download.
    return cast("Validator", counting(parsed, registry=Registry()))
