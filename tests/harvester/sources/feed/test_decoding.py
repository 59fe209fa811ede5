"""Bytes become the right text whatever they declare."""

from __future__ import annotations

import codecs
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.sources.feed.decoding import decode

GERMAN, RUSSIAN, JAPANESE = "Grüße für 5 €", "Привет, Ёжик", "こんにちは世界"


def declared(label: str, text: str, encoding: str) -> bytes:
    return f'<?xml version="1.0" encoding="{label}"?><rss><title>{text}</title></rss>'.encode(encoding)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (b"", "utf-32-le"),
    ],
)
def test_a_byte_order_mark_or_its_pattern_decides(mark: bytes, encoding: str) -> None:
    text = decode(mark + declared("koi8-r", RUSSIAN, encoding), "text/xml; charset=latin1")
    assert RUSSIAN in text
    assert text.startswith("<?xml")


@pytest.mark.parametrize("label", ["ISO-8859-1", "windows-1252", "koi8-r", "invalid", "utf-16", "us-ascii", "hex"])
def test_valid_utf_8_wins_over_any_declaration(label: str) -> None:
    assert GERMAN in decode(declared(label, GERMAN, "utf-8"), f"text/xml; charset={label}")


@pytest.mark.parametrize(
    ("label", "encoding", "sample"),
    [
        ("KOI8-R", "koi8-r", RUSSIAN),
        ("koi8_r", "koi8-r", RUSSIAN),
        ("windows-1251", "cp1251", RUSSIAN),
        ("CP1251", "cp1251", RUSSIAN),
        ("ISO-8859-5", "iso8859-5", RUSSIAN),
        ("iso8859-1", "cp1252", GERMAN),  # as browsers do, read as its superset
        ("ISO_8859-1", "cp1252", GERMAN),
        ("latin1", "cp1252", GERMAN),
        ("iso-8859-15", "iso8859-15", GERMAN),
        ("Shift_JIS", "cp932", JAPANESE),
        ("euc-jp", "euc_jp", JAPANESE),
        ("ISO-2022-JP", "iso2022_jp", JAPANESE),
        ("gb2312", "gb18030", JAPANESE),
        ("big5", "big5", "世界"),
    ],
)
def test_a_declared_encoding_is_known_however_it_is_spelled(label: str, encoding: str, sample: str) -> None:
    assert sample in decode(declared(label, sample, encoding), "text/xml")
    assert sample in decode(declared("none", sample, encoding), f'application/rss+xml; charset="{label}"')


def test_the_header_goes_before_the_declaration() -> None:
    assert RUSSIAN in decode(declared("koi8-r", RUSSIAN, "cp1251"), "text/xml; charset=windows-1251")


@pytest.mark.parametrize("label", ["utf-8", "invalid", "base64", "unicode_escape", "punycode", "idna", "utf-7", "\0"])
def test_without_a_usable_declaration_it_is_windows_1252(label: str) -> None:
    assert GERMAN in decode(declared(label, GERMAN, "cp1252"), f"text/xml; charset={label}")


def test_a_broken_character_does_not_cost_the_others() -> None:
    body = declared("utf-8", JAPANESE, "utf-8").replace("世".encode(), "世".encode()[:2])
    assert "こんにちは\ufffd界" in decode(body, "")
    body = declared("windows-1251", RUSSIAN, "cp1251").replace(b"</title>", b"\x98</title>")  # which it does not define
    assert f"{RUSSIAN}\ufffd</title>" in decode(body, "")


@given(st.binary(), st.text())
def test_no_bytes_make_it_fail(body: bytes, content_type: str) -> None:
    text = decode(body, content_type)
    assert not any("\ud800" <= character <= "\udfff" for character in text)


def test_a_hostile_name_of_an_encoding_costs_no_time() -> None:
    started = time.perf_counter()
    decode(b'<?xml encoding="' + b"a" * 1_000_000 + b"\xff", "text/xml; charset=" + "x" * 1_000_000)
    assert time.perf_counter() - started < 1
