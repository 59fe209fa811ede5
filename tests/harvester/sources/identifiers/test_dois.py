"""All forms of a DOI are one."""

from __future__ import annotations

import pytest

from harvester.sources.identifiers import doi


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1145/3395363.3397376", "10.1145/3395363.3397376"),
        ("10.1109/ICSTW55395.2022.00035", "10.1109/icstw55395.2022.00035"),
        ("doi:10.1000/ABC", "10.1000/abc"),
        ("DOI: 10.1000/abc.", "10.1000/abc"),
        ("info:doi/10.1000/abc", "10.1000/abc"),
        ("doi.org/10.1000/abc", "10.1000/abc"),
        ("https://doi.org/10.1000/abc", "10.1000/abc"),
        ("http://dx.doi.org/10.1000/ABC?utm_source=x", "10.1000/abc"),
        (
            "https://doi.org/10.1002/(SICI)1097(1998)49:8%3C693::AID%3E3.0.CO;2-O",
            "10.1002/(sici)1097(1998)49:8<693::aid>3.0.co;2-o",
        ),
        ("https://doi.org/10.1016/S0140-6736(99)12345-6", "10.1016/s0140-6736(99)12345-6"),
        ("(10.1016/S0140-6736(99)12345)", None),
        ("10.1016/S0140-6736(99)12345)", "10.1016/s0140-6736(99)12345"),
        ("https://dl.acm.org/doi/10.1145/3395363.3397376", "10.1145/3395363.3397376"),
        ("https://onlinelibrary.wiley.com/doi/full/10.1002/abc.123", "10.1002/abc.123"),
        ("10.1000.10/123", "10.1000.10/123"),
    ],
)
def test_a_doi_has_one_form(text: str, expected: str | None) -> None:
    assert doi(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "11.1000/abc",
        "10.10/abc",
        "10.1000/",
        "10.1000/a b",
        "https://example.org/10.1000/abc",
        "https://doi.org/",
        "10.1000/" + "a" * 500,
        "10.1000/a/../b",
        "10.1000/\ud800",
    ],
)
def test_what_is_no_doi_gives_none(text: str) -> None:
    assert doi(text) is None
