"""File names as clients send them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from python_multipart.multipart import parse_options_header

from one_ocr_ray.service.names import client_filename, content_disposition, display_name

REPORT = "报告.pdf"
PERCENT = b"%E6%8A%A5%E5%91%8A.pdf"
WORD = b"=?utf-8?B?5oql5ZGKLnBkZg==?="


def name_in(parameters: bytes) -> str:
    """The name in the Content-Disposition of a part with these parameters."""
    disposition = b"form-data; name=files; " + parameters
    return client_filename(disposition, parse_options_header(disposition)[1].get(b"filename"))


@pytest.mark.parametrize(
    "parameters",
    [
        'filename="报告.pdf"'.encode(),
        b"filename*=utf-8''" + PERCENT,
        b"filename*=UTF-8'zh'" + PERCENT,
        b'filename="' + WORD + b"\"; filename*=utf-8''" + PERCENT,
        b'filename="' + WORD + b'"',
        b"filename=" + WORD,
        b'filename="=?utf-8?Q?=E6=8A=A5=E5=91=8A.pdf?="',
        b'filename="=?utf-8?B?5oql?= =?utf-8?B?5ZGKLnBkZg==?="',
        b"filename=\"=?GBK?B?saiy4C5wZGY=?=\"; filename*=utf-8''" + PERCENT,
        b'filename="' + PERCENT + b'"',
        b'filename="' + PERCENT + b"\"; filename*=utf-8''" + PERCENT,
        b"filename=\"report.pdf\"; filename*=gbk''%B1%A8%B8%E6.pdf",
    ],
)
def test_every_client_s_way_to_write_a_name(parameters: bytes) -> None:
    """curl and browsers, RFC 5987, .NET, Java, aiohttp."""
    assert name_in(parameters) == REPORT


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (b'filename="100%.pdf"', "100%.pdf"),
        (b'filename="100%25.pdf"', "100%25.pdf"),
        (b'filename="50%E6.pdf"', "50%E6.pdf"),
        (b'filename="=?utf-8?B?!?="', "=?utf-8?B?!?="),
        (b'filename="=?idna?B?YQ==?="', "=?idna?B?YQ==?="),
        (b"filename=\"a; filename*=utf-8''b.pdf\"", "a; filename*=utf-8''b.pdf"),
        (b"filename=\"a.pdf\"; filename*=zip''b.pdf", "a.pdf"),
        (b"filename=\"a.pdf\"; filename*=utf-8''%FF.pdf", "a.pdf"),
        (b'filename=""', ""),
        (b"x=y", ""),
    ],
)
def test_what_is_in_no_such_form_stays(parameters: bytes, name: str) -> None:
    """A name may hold a percent sign; what cannot be decoded is shown as it came."""
    assert name_in(parameters) == name


@given(st.text(max_size=60))
def test_a_name_in_the_extended_form_is_the_name_itself(name: str) -> None:
    """As the service writes it in its own downloads."""
    name = name.encode("utf-8", "replace").decode()
    assert name_in(b"filename*=UTF-8''" + quote(name, safe="").encode()) == name


@given(st.binary(max_size=200))
def test_whatever_a_client_sends_is_cleaned(junk: bytes) -> None:
    """It is printable, names no path, and is never empty."""
    shown = display_name(name_in(junk))
    assert shown.isprintable()
    assert 0 < len(shown) <= 200
    assert not set(shown) & set("/\\")


@given(st.text(max_size=60))
@example("report #1; filename=x.pdf")
@example('what? "really".pdf')
@example("plus+sign & 100%25.pdf")
def test_a_download_bears_the_name_of_the_upload(name: str) -> None:
    """In one header line of ASCII, whatever the name holds; a client gets back what the task list shows."""
    shown = display_name(name)
    header = content_disposition(shown)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert client_filename(header.encode(), None) == shown


def test_a_hostile_name_in_any_form_is_cleaned() -> None:
    """Encoding hides neither separators nor characters that turn the text around."""
    for hidden in (
        b"filename*=utf-8''..%2F..%2Fetc%2Fpass%E2%80%AEfdp.pdf",
        b'filename="=?utf-8?B?Li4vLi4v4oCuYS5wZGY=?="',
    ):
        assert not set(display_name(name_in(hidden))) & set("/\\\u202e")
