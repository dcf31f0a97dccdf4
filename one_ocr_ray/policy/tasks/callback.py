"""Callbacks at a task's end: allowed URLs and addresses, the signature, the tries."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from yarl import URL  # the parser of the client that connects: two parsers could disagree about the host

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

SIGNATURE = "X-One-OCR-Signature"
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 3600.0
GIVEN_UP_AFTER = timedelta(days=1)  # since the end of the task, and after a first attempt

# Not for the public, though `ipaddress` of some Python releases takes them for global.
_NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20", "fec0::/10")))


def callback_fault(url: str, hosts: Collection[str]) -> str | None:
    """Why `url` cannot be called at a task's end, as one sentence. None if it can. `hosts`: the operator's."""
    if not hosts:
        return "This service sends no callbacks: its operator names the hosts by --callback-hosts."
    try:
        parsed = URL(url)
    except ValueError:
        return "The value of callback_url is not a URL."
    if parsed.scheme not in {"http", "https"} or not parsed.raw_host or parsed.raw_user or parsed.raw_password:
        return "The callback_url must begin with http:// or https://, and hold neither user nor password."
    host = parsed.raw_host.lower()
    if {host, f"{host}:{parsed.port}", f"[{host}]:{parsed.port}"}.isdisjoint(map(str.lower, hosts)):
        return "The host of callback_url is not among those that the operator allows by --callback-hosts."
    return None


def is_address(host: str) -> bool:
    """True for what a client would connect to without asking DNS, in any notation."""
    return ":" in host or not any(letter.isalpha() for letter in host)


def is_public(address: str) -> bool:
    """True for an address of the public internet, where a request reaches nothing internal."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.scope_id is not None or ip.sixtofour is not None or ip.teredo is not None:
            return False
    odd = ip.is_multicast or ip.is_reserved or any(ip in network for network in _NOT_PUBLIC)
    return ip.is_global and not odd


def signature_of(body: bytes, secret: bytes) -> str:
    """The value of the header `SIGNATURE` for `body`."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


def wait_s(failures: int, chance: float) -> float:
    """Seconds until the next attempt after `failures`. `chance`, 0 to 1, keeps many from coming at once."""
    return min(FIRST_WAIT_S * 2.0 ** min(failures - 1, 30), LONGEST_WAIT_S) * (0.5 + chance / 2)


def is_given_up(finished_at: datetime | None, now: datetime) -> bool:
    """True if a callback that fails now is not tried again."""
    return finished_at is None or now - finished_at > GIVEN_UP_AFTER
