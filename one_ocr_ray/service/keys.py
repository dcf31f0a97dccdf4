"""API keys, and the sessions made from them. Keys are held as SHA-256 only.

A session is `owner.expiry.token.signature`. Its own key signs it: every replica can check it, nobody can sign for
another key, and removing a key from the file ends its sessions. The token makes each session of a key unique.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

ANONYMOUS = ""  # the owner of everything where the service has no keys
MIN_KEY_LENGTH = 16


@dataclass(frozen=True, slots=True)
class _Key:
    digest: bytes = field(repr=False)
    owner: str

    def sign(self, text: str) -> str:
        secret = hashlib.sha256(b"one-ocr session " + self.digest).digest()
        return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


class ApiKeys:
    """The keys of the service; false when it has none."""

    def __init__(self, keys: list[str]) -> None:
        digests = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._keys = [_Key(digest, hashlib.sha256(b"one-ocr owner " + digest).hexdigest()[:32]) for digest in digests]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def owner_of(self, key: str) -> str | None:
        """The owner of `key`; None for an unknown key. Takes the same time for both."""
        given = hashlib.sha256(key.encode()).digest()
        found = None
        for each in self._keys:
            if hmac.compare_digest(each.digest, given):
                found = each.owner
        return found

    def session(self, owner: str, expires_at: float) -> str:
        """A new session of `owner` that ends at `expires_at`, in seconds of the epoch."""
        text = f"{owner}.{int(expires_at)}.{token_hex(8)}"
        key = next(key for key in self._keys if key.owner == owner)
        return f"{text}.{key.sign(text)}"

    def owner_of_session(self, session: str, now: float) -> str | None:
        """The owner of `session`. None when it is forged or over, or its key was removed."""
        text, _, signature = session.rpartition(".")
        owner = text.partition(".")[0]
        for key in self._keys:
            if key.owner == owner and hmac.compare_digest(key.sign(text).encode(), signature.encode()):
                return owner if now < expiry_of(session) else None
        return None


def expiry_of(session: str) -> int:
    """When a valid session ends, in seconds of the epoch."""
    return int(session.split(".")[1])


def load_keys(path: Path | None) -> ApiKeys:
    """Read the keys in the file at `path`, one a line; # begins a comment. None: no keys.

    Raises UsageError for a file that cannot be read, has no key, or has a key that is easily guessed.
    """
    if path is None:
        return ApiKeys([])
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The file of API keys {path} cannot be read.") from error
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise UsageError(f"There is no API key in {path}: write one a line.")
    if min(map(len, keys)) < MIN_KEY_LENGTH:
        raise UsageError(f"A key in {path} is shorter than {MIN_KEY_LENGTH} characters; make longer ones.")
    return ApiKeys(list(dict.fromkeys(keys)))
