"""Which URLs and addresses a callback may go to, its signature, and when it is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from one_ocr_ray.policy.tasks.callback import (
    LONGEST_WAIT_S,
    callback_fault,
    is_address,
    is_given_up,
    is_public,
    signature_of,
    wait_s,
)
from tests.values import NOON

OTHERS = """
127.0.0.1 127.9.9.9 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 0.1.2.3 192.0.0.8
192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 233.252.0.1 240.0.0.1 255.255.255.255
:: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001:db8::1 2001:0:1::1
2002:7f00:1:: 3fff::1 fc00::1 fd12::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 localhost 2130706433 0x7f.1 127.1
"""
HOSTS = ("hooks.example", "other.example:8443", "[2001:db8::1]:80")


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "1.1.1.1"])
def test_public_addresses(address: str) -> None:
    """Addresses of the internet are public, in both families."""
    assert is_public(address)


@pytest.mark.parametrize("address", OTHERS.split())
def test_other_addresses(address: str) -> None:
    """Private, loopback, link-local, shared, reserved, tunnelled and odd addresses are not public."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example/a?b=c", "http://HOOKS.example:99/", "https://other.example:8443", "http://[2001:db8::1]/"],
)
def test_allowed_urls(url: str) -> None:
    """The host counts, or host and port where the operator names both."""
    assert callback_fault(url, HOSTS) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/",
        "https://hooks.example.evil/",
        "https://hooks.example./",
        "https://evil/hooks.example",
        "https://hooks.example@evil/",
        "https://evil#@hooks.example/",
        "https://evil\\@hooks.example/",
        "https://user:word@hooks.example/",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "https:///path",
        "https://hooks.example:99999/",
        "hooks.example",
        "",
    ],
)
def test_refused_urls(url: str) -> None:
    """Another host in any disguise, another scheme, a user or a password: one sentence."""
    fault = callback_fault(url, HOSTS)
    assert fault is not None
    assert fault.endswith(".")
    assert "\n" not in fault


def test_no_hosts_no_callbacks() -> None:
    """Without the operator's list there are no callbacks."""
    assert "--callback-hosts" in (callback_fault("https://hooks.example/", ()) or "")


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("2130706433", True), ("a.b", False)]
)
def test_addresses_are_known(host: str, expected: bool) -> None:
    """What a client connects to without asking DNS is told from names."""
    assert is_address(host) is expected


def test_signature() -> None:
    """HMAC-SHA256 of the body in hex, as RFC 4231 has it (test case 2)."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signature_of(b"what do ya want for nothing?", b"Jefe") == f"sha256={expected}"


def test_waits_grow_and_end() -> None:
    """Attempts come soon, then hourly, and end after a day."""
    waits = [wait_s(failures, 1.0) for failures in range(1, 200)]
    assert waits[0] < 1 < waits[9]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_S
    assert wait_s(3, 0.0) == wait_s(3, 1.0) / 2
    assert not is_given_up(NOON, NOON + timedelta(hours=23))
    assert is_given_up(NOON, NOON + timedelta(hours=25))
