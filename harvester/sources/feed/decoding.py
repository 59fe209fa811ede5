"""Bytes of a feed to text, whatever encoding it declares, rightly or wrongly."""

from __future__ import annotations

import codecs
import re

from harvester.sources.text import storable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# How “<” begins a document without such a mark (XML 1.0, appendix F.1).
_BEGINNINGS = ((b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))

_HTTP_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([\w.:+-]{1,40})""", re.IGNORECASE | re.ASCII)
_XML_ENCODING = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']\s*([\w.:+-]{1,40})""", re.IGNORECASE)

# The encodings of https://encoding.spec.whatwg.org/ by Python's names, each read as the superset that browsers use.
# No others: some of Python's codecs are compressors, some need quadratic time.
_SUPERSETS = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949",
}  # fmt: skip
_KNOWN = frozenset(
    (
        "cp866", "cp874", "cp932", "cp949", "gb18030", "big5", "big5hkscs", "euc_jp", "iso2022_jp", "koi8-r", "koi8-u",
        "mac-roman", "mac-cyrillic", *(f"cp{number}" for number in range(1250, 1259)),
        *(f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
    )
)  # fmt: skip


def decode(body: bytes, content_type: str) -> str:
    """The text of a reply; never fails, what cannot be read is replaced.

    In this order: a byte order mark; UTF-8 if the bytes are valid, since text in another encoding practically never
    looks so while wrong declarations are common; the charset of the HTTP header; that of the XML declaration; UTF-8
    with replacements if declared and mostly right; windows-1252.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    for beginning, encoding in _BEGINNINGS:
        if body.startswith(beginning):
            return body.decode(encoding, "replace")
    declared = _declared(body, content_type)
    if "iso2022_jp" not in declared:  # its bytes are valid UTF-8, meaning something else
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError:
            pass
    legacy = next((encoding for encoding in declared if encoding != "utf-8"), None)
    if legacy is None and "utf-8" in declared and _is_mostly_utf_8(body):
        legacy = "utf-8"
    return storable(body.decode(legacy or "cp1252", "replace"))


def _declared(body: bytes, content_type: str) -> list[str]:
    """The declared encodings that are known, by Python's names, the header's first."""
    in_header, in_prolog = _HTTP_CHARSET.search(content_type), _XML_ENCODING.match(body[:400])
    labels = [in_header[1] if in_header else "", in_prolog[1].decode("ascii") if in_prolog else ""]
    return [encoding for label in labels if (encoding := _known(label))]


def _known(label: str) -> str:
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):  # ValueError: a name no codec could ever have
        return ""
    name = _SUPERSETS.get(name, name)
    return name if name in _KNOWN or name == "utf-8" else ""


def _is_mostly_utf_8(body: bytes) -> bool:
    """Whether more characters beyond ASCII are readable as UTF-8 than not."""
    text = body.decode("utf-8", "replace")
    broken = text.count("\N{REPLACEMENT CHARACTER}")
    return len(re.findall(r"[^\x00-\x7f]", text)) > 2 * broken
