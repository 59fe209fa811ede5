"""All addresses of a page have one canonical form."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harvester.sources.identifiers import arxiv_id, arxiv_version, canonical_url, doi


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://Example.ORG/Path", "https://example.org/Path"),
        ("http://example.org:80/a", "http://example.org/a"),
        ("https://example.org:443/a", "https://example.org/a"),
        ("https://example.org:8443/a", "https://example.org:8443/a"),
        ("https://example.org", "https://example.org/"),
        ("https://example.org./", "https://example.org/"),
        ("https://example.org/a/", "https://example.org/a"),
        ("https://example.org/a/../b/./c", "https://example.org/b/c"),
        ("https://example.org/%7euser/%2fx", "https://example.org/~user/%2Fx"),
        ("https://example.org/ä b", "https://example.org/%C3%A4%20b"),
        ("https://user:secret@example.org/a", "https://example.org/a"),
        ("https://[2001:DB8::1]:8080/a", "https://[2001:db8::1]:8080/a"),
        (" https://example.org/a ", "https://example.org/a"),
    ],
)
def test_scheme_host_port_and_path_are_normalised(url: str, expected: str) -> None:
    assert canonical_url(url) == expected


def test_tracking_parameters_go_and_the_others_stay_in_order() -> None:
    url = "https://example.org/a?utm_source=x&b=2&UTM_Medium=y&a=1&fbclid=z&gclid=z&mc_cid=z&wt_mc=rss&=&flag"
    assert canonical_url(url) == "https://example.org/a?b=2&a=1&=&flag"
    assert canonical_url("https://example.org/a?utm_campaign=x") == "https://example.org/a"
    assert canonical_url("https://example.org/a?q=a%20b+c&r=%41") == "https://example.org/a?q=a%20b+c&r=A"


def test_a_fragment_goes_unless_it_names_a_page() -> None:
    assert canonical_url("https://example.org/a#section") == "https://example.org/a"
    assert canonical_url("https://example.org/#!/inbox") == "https://example.org/#!/inbox"
    assert canonical_url("https://example.org/app#/item/3") == "https://example.org/app#/item/3"


def test_http_is_https_where_the_host_is_known_to_have_it() -> None:
    assert canonical_url("http://en.wikipedia.org/wiki/Leiden") == "https://en.wikipedia.org/wiki/Leiden"
    assert canonical_url("http://someone.github.io/post") == "https://someone.github.io/post"
    assert canonical_url("http://example.org/post") == "http://example.org/post"
    assert canonical_url("http://notwikipedia.org/") == "http://notwikipedia.org/"


@pytest.mark.parametrize(
    "url",
    [
        "http://arxiv.org/abs/2104.12255",
        "https://arxiv.org/abs/2104.12255v7",
        "https://www.arxiv.org/pdf/2104.12255v1.pdf",
        "https://export.arxiv.org/abs/2104.12255?context=cs.LG",
        "https://arxiv.org/html/2104.12255v2#S3",
        "https://doi.org/10.48550/arXiv.2104.12255",
        "https://ar5iv.org/abs/2104.12255/",
    ],
)
def test_all_addresses_of_a_preprint_are_one(url: str) -> None:
    assert canonical_url(url) == "https://arxiv.org/abs/2104.12255"


def test_old_arxiv_ids_have_one_address_too() -> None:
    assert canonical_url("http://arxiv.org/pdf/math.GT/0309136v1") == "https://arxiv.org/abs/math/0309136"
    assert canonical_url("http://export.arxiv.org/list/cs.LG/recent") == "https://arxiv.org/list/cs.LG/recent"


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/Owner/Name",
        "http://www.github.com/owner/name/",
        "https://github.com/owner/NAME.git",
        "https://github.com/owner/name?tab=readme-ov-file#readme",
    ],
)
def test_all_addresses_of_a_repository_are_one(url: str) -> None:
    assert canonical_url(url) == "https://github.com/owner/name"


def test_what_is_inside_a_repository_keeps_its_case() -> None:
    url = "http://github.com/Owner/Name/blob/main/README.md?plain=1#L3"
    assert canonical_url(url) == "https://github.com/owner/name/blob/main/README.md?plain=1"
    assert canonical_url("https://github.com/Owner/") == "https://github.com/owner"
    assert canonical_url("https://github.com/") == "https://github.com/"


@pytest.mark.parametrize(
    "url", ["doi:10.1000/ABC", "http://dx.doi.org/10.1000/abc", "https://doi.org/10.1000/ABC", "info:doi/10.1000/abc"]
)
def test_all_addresses_of_a_doi_are_one(url: str) -> None:
    assert canonical_url(url) == "https://doi.org/10.1000/abc"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/a",
        "/a",
        "ftp://example.org/a",
        "javascript:alert(1)",
        "data:text/html,x",
        "mailto:a@example.org",
        "http://",
        "http://[::1",
        "http://example.org:port/",
        "http://exa mple.org/",
        "http://example.org/\x00",
        "http://example.org/\ud800",
        "https://example.org/" + "a" * 2000,
        "http://a\u2100b/",
    ],
)
def test_what_is_no_web_address_gives_nothing(url: str) -> None:
    assert canonical_url(url) == ""


_HOSTS = (
    "example.org",
    "ARXIV.org",
    "www.github.com",
    "dx.doi.org",
    "doi.org",
    "user:pass@Example.org:80",
    "[::1]:443",
)
_PIECES = st.sampled_from(
    (
        "/", "..", ".", "//", "%41", "%2e", "%", "%%34", "%2F", "abs", "pdf", "2104.12255", "v2", ".pdf", ".git",
        "Owner", "10.1000", "math.GT/0309136", "?", "&", "=", "utm_source", "a", "#", "#!", ";", "+", " ", "ä", "İ",
        "\u212a", "ß", "'", "(", ")", "[", "]", "|", "\\", '"', "<", "@", ":",
    )
)  # fmt: skip
_SHAPED = st.builds(
    lambda scheme, host, pieces: f"{scheme}://{host}{''.join(pieces)}",
    st.sampled_from(("http", "HTTPS")),
    st.sampled_from(_HOSTS),
    st.lists(_PIECES, max_size=12),
)


@given(
    st.one_of(_SHAPED, st.text(), st.text().map("http://".__add__), st.text().map("https://doi.org/10.1000/".__add__))
)
@example("https://doi.org/10.1000/%2F.%2Fx")
@example("http://example.org/%%341")
@example("https://github.com/a/b.git.git")
@example("https://github.com/a/../b/c")
def test_the_canonical_form_of_a_canonical_form_is_itself(url: str) -> None:
    once = canonical_url(url)
    assert canonical_url(once) == once
    assert len(once) <= 2000
    assert not once or once.startswith(("http://", "https://"))


@given(st.text("\x1b\x07\x7f\x85\x9b\x9dab/.?#=1", max_size=8))
@example("\x9b")
def test_no_identifier_holds_what_drives_a_terminal(odd: str) -> None:
    for text in (f"https://a{odd}.example/{odd}?{odd}#!{odd}", f"https://doi.org/10.1000/a{odd}", f"10.1000/{odd}a"):
        found = (canonical_url(text), doi(text) or "", arxiv_id(text) or "")
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(found))


@given(st.text())
def test_nothing_makes_the_readers_of_identifiers_fail(text: str) -> None:
    for read in (arxiv_id, doi, arxiv_version):
        read(text)
        read(f"https://arxiv.org/abs/{text}")


@given(st.from_regex(r"(0[89]|1[0-4])(0[1-9]|1[0-2])\.[0-9]{4}", fullmatch=True), st.integers(1, 99))
def test_every_version_of_a_preprint_has_the_same_address(number: str, version: int) -> None:
    assert arxiv_id(f"{number}v{version}") == number
    assert canonical_url(f"http://arxiv.org/pdf/{number}v{version}") == f"https://arxiv.org/abs/{number}"
