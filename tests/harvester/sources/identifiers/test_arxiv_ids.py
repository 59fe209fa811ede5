"""All forms of an arXiv id are one."""

from __future__ import annotations

import pytest

from harvester.sources.identifiers import arxiv_id, arxiv_version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2104.12255", "2104.12255"),
        ("2104.12255v3", "2104.12255"),
        (" arXiv:2104.12255v1 ", "2104.12255"),
        ("arXiv: 2104.12255", "2104.12255"),
        ("oai:arXiv.org:2104.12255v1", "2104.12255"),
        ("10.48550/arXiv.2104.12255", "2104.12255"),
        ("0704.0001", "0704.0001"),
        ("1412.9999", "1412.9999"),
        ("1501.00001", "1501.00001"),
        ("quant-ph/0201082v1", "quant-ph/0201082"),
        ("QUANT-PH/0201082", "quant-ph/0201082"),
        ("math.GT/0309136", "math/0309136"),
        ("http://arxiv.org/abs/2104.12255v1", "2104.12255"),
        ("https://www.arxiv.org/pdf/2104.12255v2.pdf", "2104.12255"),
        ("https://export.arxiv.org/abs/astro-ph/0601001v1", "astro-ph/0601001"),
        ("https://arxiv.org/html/2104.12255v1/", "2104.12255"),
        ("https://ar5iv.labs.arxiv.org/html/2104.12255", "2104.12255"),
        ("https://arxiv.org/abs/2104.12255?context=cs#comments", "2104.12255"),
        ("https://doi.org/10.48550/arXiv.2104.12255", "2104.12255"),
    ],
)
def test_an_id_is_found_in_all_its_forms(text: str, expected: str) -> None:
    assert arxiv_id(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "0000.0000",  # no such month
        "2113.00001",  # nor this
        "0703.1234",  # before the new form began
        "0808.05394",  # five digits came in 2015
        "1501.0001",  # and four ended
        "nowhere/0201082",
        "quant-ph/0213082",
        "2104.12255v0",
        "see 2104.12255",
        "https://example.org/abs/2104.12255",
        "https://arxiv.org/list/cs.LG/recent",
        "https://arxiv.org/",
        "https://doi.org/10.1000/2104.12255",
        "https://[broken/abs/2104.12255",
        "9" * 100_000,
    ],
)
def test_what_is_no_arxiv_id_gives_none(text: str) -> None:
    assert arxiv_id(text) is None
    assert arxiv_version(text) is None


def test_the_version_is_read_where_there_is_one() -> None:
    assert arxiv_version("https://arxiv.org/abs/2104.12255v12") == 12
    assert arxiv_version("hep-th/9901001v2") == 2
    assert arxiv_version("2104.12255") is None
