"""Keys and tiers in the admin: a key made, rotated and revoked in a browser, under the same policy as every page."""

from __future__ import annotations

import pytest

from tests.faces.accessibility import violations
from tests.faces.conftest import Visitor
from tests.faces.test_borrowed import KNOWN_IN_ADMIN
from tests.factories import PASSWORD

# Django's own too: the box to search a user in has no name, links in breadcrumbs and “Show all” differ by colour only.
KNOWN = KNOWN_IN_ADMIN | {"aria-input-field-name", "link-in-text-block"}
KEYS, TIERS = "/admin/ratelimit/apikey/", "/admin/ratelimit/tierassignment/"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_key_is_made_rotated_and_revoked(visit: Visitor, scheme: str, width: int) -> None:
    visited = visit(scheme=scheme, width=width)
    visited.sign_in("anna", PASSWORD)
    page = visited.page
    faults = []

    def look(at: str) -> None:
        nonlocal faults
        faults += [f"{at}: {complaint}" for complaint in visited.complaints]
        faults += [f"{at}: {violation}" for violation in violations(page, known=KNOWN)]
        visited.complaints.clear()  # with what axe itself has tried meanwhile

    visited.go(f"{KEYS}add/")
    page.fill("[name=name]", f"Walked {scheme}")
    look("add")
    page.click("[name=_save]")
    look("shown once")
    key = page.input_value("#new-key")
    page.click("text=I have kept it")
    look("list of keys")
    assert key not in page.content()
    page.click(f"#result_list th a:has-text('Walked {scheme}')")
    look("change")
    page.click(".object-tools >> text=Rotate")
    look("rotate")
    page.click("text=Rotate it")
    assert page.input_value("#new-key") != key
    look("rotated")
    page.click("text=I have kept it")
    page.check("#action-toggle")
    page.select_option("[name=action]", "revoke")
    page.click("button[name=index]")
    look("revoke")
    page.click("text=Revoke them")
    assert "API keys are revoked" in page.inner_text(".messagelist >> nth=0")
    look("revoked")
    assert faults == [], "\n".join(faults)


def test_a_tier_is_assigned_and_changed(visit: Visitor) -> None:
    visited = visit()
    visited.sign_in("anna", PASSWORD)
    page = visited.page
    visited.go(f"{TIERS}add/")
    page.click(".select2-selection")
    page.fill(".select2-search__field", "ben")
    page.click(".select2-results__option:has-text('ben')")
    page.select_option("[name=tier]", "premium")
    page.click("[name=_save]")
    page.check("#action-toggle")
    page.select_option("[name=action]", "change_tier")
    page.click("button[name=index]")
    page.select_option("[name=tier]", "admin")
    assert visited.complaints == []
    assert violations(page, known=KNOWN) == []
    visited.complaints.clear()  # with what axe itself has tried
    page.click("main input[type=submit]")
    assert page.inner_text("td.field-limit") == "no limit"
    assert visited.complaints == []
