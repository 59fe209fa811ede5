"""XML from outside is parsed only if it is harmless."""

from __future__ import annotations

import pytest

from harvester.errors import FetchError, FetchFailure
from harvester.sources import xml_guard
from harvester.sources.xml_guard import MAX_ATTRIBUTES, MAX_DEPTH, IllFormedXmlError, as_json, parse_xml


def test_a_document_is_parsed() -> None:
    assert parse_xml(b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>").text == "é"


def test_text_is_not_decoded_again() -> None:
    assert parse_xml("<?xml version='1.0' encoding='iso-8859-1'?><a>é</a>").text == "é"


@pytest.mark.parametrize(
    "dtd",
    [
        "<!DOCTYPE a>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'http://169.254.169.254/'>]>",
        "<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]>",
    ],
)
def test_a_dtd_is_refused(dtd: str) -> None:
    with pytest.raises(FetchError, match="document type definition") as caught:
        parse_xml(f"{dtd}<a>&x;</a>")
    assert caught.value.reason == FetchFailure.MALFORMED
    assert not isinstance(caught.value, IllFormedXmlError)


def test_depth_is_capped() -> None:
    assert parse_xml("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH) is not None
    with pytest.raises(FetchError, match="64 deep"):
        parse_xml("<a>" * 100_000)


def test_the_number_of_elements_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_guard, "MAX_ELEMENTS", 100)
    with pytest.raises(FetchError, match="more than 100 elements"):
        parse_xml("<a>" + "<b/>" * 100 + "</a>")
    with pytest.raises(FetchError, match="more than 100 elements"):
        parse_xml("<a>" + "<b c='1' d='2'/>" * 34 + "</a>")


@pytest.mark.parametrize("quote", ["'", '"'])
def test_the_number_of_attributes_of_an_element_is_capped(quote: str) -> None:
    def tag(count: int) -> str:
        return "<a>1 &lt; 2<b" + "".join(f" c{n} = {quote}>{quote}" for n in range(count)) + "/></a>"

    assert len(parse_xml(tag(MAX_ATTRIBUTES))[0].attrib) == MAX_ATTRIBUTES
    for document in (tag(MAX_ATTRIBUTES + 1), tag(MAX_ATTRIBUTES + 1).encode()):
        with pytest.raises(FetchError, match="more than 1,000 attributes") as caught:
            parse_xml(document)
        assert caught.value.reason == FetchFailure.TOO_LARGE


def test_text_in_many_pieces_stays_whole() -> None:
    root = parse_xml("<a>" + "x\n&amp;" * 5_000 + "<b>y\n</b>z\n" + "</a>")
    assert (root.text, root[0].text, root[0].tail) == ("x\n&" * 5_000, "y\n", "z\n")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "text",
        "<a>",
        "<a></b>",
        "<a>&nbsp;</a>",
        "<a x='1' x='2'/>",
        "<a/><b/>",
        b"<?xml version='1.0' encoding='no'?><a/>",
        b"<?xml version='1.0' encoding='shift_jis'?><a/>",
        b"\xff\xfe",
    ],
)
def test_ill_formed_xml_is_told_apart(document: bytes | str) -> None:
    with pytest.raises(IllFormedXmlError, match="well-formed"):
        parse_xml(document)


def test_an_element_becomes_json() -> None:
    root = parse_xml('<a k="v">t\0<b>1</b><b x="2">3</b><c/></a>'.replace("\0", ""))
    assert as_json(root, str) == {"@k": "v", "#text": "t", "b": ["1", {"@x": "2", "#text": "3"}], "c": ""}
