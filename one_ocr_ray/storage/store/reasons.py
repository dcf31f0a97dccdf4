"""Says in a few words why storage refused. obstore has one class for most faults; codes in its text tell them apart.

Little else of that text is shown: it has many lines, and addresses may be signed.
"""

from __future__ import annotations

import os
import re

_SYSTEM = re.compile(r"\(os error (\d+)\)")
_STORE = re.compile(r"<Code>(\w+)</Code>")
_HTTP = re.compile(r"status code: (\d{3} [A-Za-z -]+)")
_ODD_KEY = re.compile(r'^InvalidPath \{.*?\bpath: "([^"]*)"', re.DOTALL | re.MULTILINE)
_UNANSWERED = re.compile(r"kind: (?:Connect|Timeout)\b")
# The address where a cloud machine gets the credentials of its role if the environment has none.
_METADATA_HOST = "//169.254.169.254/"
A_SENTENCE = 120


def reason_of(error: Exception) -> str:
    """A clause without a full stop, such as `No space left on device`."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    if found := _ODD_KEY.search(str(error)):
        return f'it holds the key "{found[1]}", which cannot be read; rename it'
    return _reason_in(str(error)) or type(error).__name__


def _reason_in(text: str) -> str | None:
    first_line = text.partition("\n")[0]
    if found := _SYSTEM.search(first_line):
        return os.strerror(int(found[1]))
    if _METADATA_HOST in text:
        return "no credentials are in the environment, and this machine has no role"
    if found := _STORE.search(text) or _HTTP.search(text):
        return f"the store says {found[1].strip()}"
    if _UNANSWERED.search(text):
        return "nothing answers at the store's address"
    if "://" not in first_line and len(first_line) < A_SENTENCE:
        return first_line.rpartition(": ")[2].rstrip(".")
    return None
