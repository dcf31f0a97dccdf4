"""Structured extraction: checks the user's JSON Schema, and a model's reply against it.

No message quotes the reply: it is page content, and would end up in logs and error columns.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from jsonschema import SchemaError
from jsonschema.exceptions import best_match
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


def schema_fault(schema: str) -> str | None:
    """What is wrong with the user's schema, as one sentence; None if it can be used."""
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
    """Why `text` does not satisfy `schema`, as one sentence for the model and the row; None if it does."""
    try:
        reply = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if truncated:
            return "The reply was cut off at its output cap, so it is not whole JSON."
        return f"The reply is not JSON (line {error.lineno}, column {error.colno})."
    try:
        found = best_match(_validator(schema).iter_errors(reply))
    except Unresolvable:
        return "The schema refers to something that is not in it."
    except RecursionError:  # the reply is untrusted, and the schema may refer to itself
        return "The reply is nested too deeply."
    if found is None:
        return None
    # The path and the rule come from the schema, never from the reply.
    place = "/".join(str(step) for step in found.absolute_schema_path)
    rule = orjson.dumps(found.validator_value, default=str).decode()
    return f"The reply breaks the schema's rule {place[:200]}: {rule[:200]}."


@lru_cache(maxsize=8)
def _validator(schema: str) -> Validator:
    parsed: Any = orjson.loads(schema)
    # An empty registry: a reference to another document must not cause a download.
    return validator_for(parsed, Draft202012Validator)(parsed, registry=Registry())
