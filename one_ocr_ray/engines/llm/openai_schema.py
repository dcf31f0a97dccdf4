"""Which JSON Schemas OpenAI's strict mode takes (structured-outputs guide). Others are sent as non-strict; the reply is
validated here in either case."""

from __future__ import annotations

from typing import Any

_UNSUPPORTED = frozenset(
    {"allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties"}
)


def is_strict(schema: Any) -> bool:
    """Whether `schema` lies in the strict subset: an object at the root, every field required, nothing beyond them."""
    return isinstance(schema, dict) and schema.get("type") == "object" and "anyOf" not in schema and _closed(schema)


def _closed(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(_closed(entry) for entry in schema)
    if not isinstance(schema, dict):
        return True
    if not _UNSUPPORTED.isdisjoint(schema):
        return False
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required")
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if set(properties) != set(required):
            return False
    return all(_closed(entry) for entry in schema.values())
