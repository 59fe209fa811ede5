"""Whatever a source sends stays text: no payload in any harvested field becomes markup or a dangerous link."""

from __future__ import annotations

import pytest
from django.test import Client

from harvester.models import RunStatus
from tests.factories import (
    make_artifact,
    make_identifier,
    make_run,
    make_same_work,
    make_score,
    make_source,
    make_staff,
)
from tests.harvester.pages.reading import elements

pytestmark = pytest.mark.django_db

PAYLOADS = [
    "<script>window.ran=1</script>",
    "</title><script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    '"><svg onload=window.ran=1>',
    "' autofocus onfocus=window.ran=1 x='",
    '" style="position:fixed" x="',
    "</bdi></p></main><style>*{display:none}</style>",
    "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "{{ 7|add:7 }}{% debug %}",
    "&lt;script&gt;window.ran=1&lt;/script&gt;",
    "<a href=javascript:window.ran=1>x</a>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "\u202e\u2066<b>x</b>",
    "<!-- <p",
    "<![CDATA[<script>window.ran=1</script>]]>",
]
ADDRESSES = [
    "javascript:window.ran=1",
    "JaVaScRiPt:window.ran=1",
    " javascript:window.ran=1",
    "java\tscript:window.ran=1",
    "data:text/html,<script>window.ran=1</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//evil.example/x",
    "/account/sign-out",
    "https:/evil.example",
    "https://",
    "http://[::1",
    'https://example.org/"onmouseover="window.ran=1',
    "",
]
OURS = {"a", "article", "b", "base"}


def assert_tame(html: bytes, payload: str) -> None:
    found = elements(html)
    tags = {element.tag for element in found}
    assert not tags & {"script", "style", "iframe", "img", "base", "object", "embed"}
    assert all(not name.startswith("on") and name != "style" for element in found for name in element.attributes)
    assert len(elements(html, "main")) == 1
    assert {meta.attributes.get("http-equiv", "") for meta in elements(html, "meta")} == {""}
    for link in elements(html, "a"):
        href = link.attributes["href"]
        assert href.startswith(("/", "#", "?", "http://", "https://"))
        assert not href.startswith("//")
        if href.startswith("http"):
            assert link.attributes["rel"] == "noopener nofollow ugc"
    assert b"{{" not in html or "{{" in payload


def pages_with(client: Client, text: str, address: str) -> list[bytes]:
    """Every page, with this text and address in every field a source or its reply can fill."""
    source = make_source(
        text[:200].strip() or "x", query=text, url=address, consecutive_failures=1, failure_detail=text
    )
    artifact = make_artifact(
        source,
        score=None,
        external_id=text,
        canonical_url=address,
        title=text,
        text=text,
        authors=[{"name": text, "affiliation": text}, {"name": text}],
        engagement={text: 3},
        metadata={"version": text, "comment": text, "journal_ref": text, "categories": [text]},
        error=text,
        failed_stage=text[:20],
    )
    make_score(
        artifact,
        components=[{"name": text, "value": 70.0, "weight": 1.0, "reason": text}],
        explanation=text,
    )
    make_identifier(artifact, text)
    other = make_artifact(make_source(f"other {text}"[:200]), title=text, canonical_url=address)
    make_same_work([artifact, other], evidence=text)
    run = make_run(
        status=RunStatus.FAILED,
        error=text,
        parameters={"source": text, "since": text},
        trigger=text[:20],
        source_reports=[{"name": text, "fetched": 1, "created": 0, "updated": 0, "errors": 1, "messages": [text]}],
        stage_reports=[{"stage": text, "processed": 1, "failed": 0, "duration_seconds": 1.0}],
    )
    addresses = ["/", f"/artifacts/{artifact.pk}", "/sources", "/runs", f"/runs/{run.pk}"]
    client.force_login(make_staff())
    answers = [client.get(address) for address in addresses]
    assert {answer.status_code for answer in answers} == {200}
    answers += [client.get("/", {"source": text, "kind": text, "min_score": text, "cursor": text})]
    answers += [client.post(f"/sources/{source.pk}/pause", follow=True)]
    return [answer.content for answer in answers]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_stays_text(client: Client, payload: str) -> None:
    for html in pages_with(client, payload, "https://example.org/"):
        assert_tame(html, payload)


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_web_addresses_become_links(client: Client, address: str) -> None:
    for html in pages_with(client, "A title", address):
        assert_tame(html, "")
        outside = {link.attributes["href"] for link in elements(html, "a") if "rel" in link.attributes}
        outside -= {"https://doi.org/A%20title", "prev", "next"}
        assert outside <= ({address} if address.startswith('https://example.org/"') else set())
