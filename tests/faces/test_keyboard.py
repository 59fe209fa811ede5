"""The keyboard alone: find, open, filter, sign in, decide, sign out; the focus can be seen at every step."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.faces.conftest import Visitor
from tests.faces.visiting import Visit
from tests.factories import PASSWORD

FOCUS = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getClientRects()[0];
  const seen = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height / 2, 10));
  return {
    text: (one.name || one.innerText || one.id || one.tagName).trim().split("\\n")[0],
    outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
    hidden: !(box.width && box.height) || !seen || !(one.contains(seen) || seen.contains(one)),
  };
}"""


def tab_to(visited: Visit, text: str, *, within: int = 40) -> None:
    """Press Tab until this has the focus; every stop on the way shows where the focus is."""
    for _ in range(within):
        visited.page.keyboard.press("Tab")
        focus = visited.page.evaluate(FOCUS)
        assert focus["outline"] >= 2, f"the focus on {focus['text']} cannot be seen"
        assert not focus["hidden"], f"{focus['text']} has the focus and is covered"
        if focus["text"].startswith(text):
            return
    raise AssertionError(f"“{text}” cannot be reached")


def path(visited: Visit) -> str:
    return urlsplit(visited.page.url).path


def test_the_first_stop_leads_to_the_content(visit: Visitor) -> None:
    visited = visit()
    visited.go("/")
    tab_to(visited, "Skip to the content", within=1)
    visited.page.keyboard.press("Enter")
    tab_to(visited, "How the score works", within=1)


def test_a_discovery_is_found_and_opened(visit: Visitor) -> None:
    visited = visit()
    visited.go("/")
    tab_to(visited, "kind")
    visited.page.keyboard.type("preprint")
    tab_to(visited, "Show")
    visited.page.keyboard.press("Enter")
    visited.page.wait_for_url("**kind=preprint**")
    title = visited.page.inner_text("h2 a >> nth=0")
    tab_to(visited, title)
    visited.page.keyboard.press("Enter")
    visited.page.wait_for_url("**/artifacts/*")
    assert visited.page.inner_text("h1") == title
    tab_to(visited, "Open the original")


def test_staff_signs_in_pauses_a_source_and_signs_out(visit: Visitor) -> None:
    visited = visit()
    visited.go("/sources")
    tab_to(visited, "Sign in")
    visited.page.keyboard.press("Enter")
    visited.page.wait_for_url("**/account/sign-in**")
    visited.page.wait_for_function("document.activeElement.name === 'username'")
    visited.page.keyboard.type("anna")
    visited.page.keyboard.press("Tab")
    visited.page.keyboard.type(PASSWORD)
    visited.page.keyboard.press("Enter")
    visited.page.wait_for_url("**/sources")
    for action in ("Pause", "Resume"):
        tab_to(visited, action)
        with visited.page.expect_navigation():
            visited.page.keyboard.press("Enter")
        assert path(visited) == "/sources"
        assert visited.page.locator("[role=status]").count() == 1
    tab_to(visited, "anna")
    visited.page.keyboard.press("Enter")
    tab_to(visited, "Sign out", within=2)
    with visited.page.expect_navigation():
        visited.page.keyboard.press("Enter")
    assert "Sign in" in visited.page.inner_text("header")


def test_a_refused_filter_takes_the_focus_and_leads_to_its_field(visit: Visitor) -> None:
    visited = visit()
    visited.go("/?min_score=high")
    assert visited.page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    tab_to(visited, "Score at least", within=1)
    visited.page.keyboard.press("Enter")
    visited.page.wait_for_function("document.activeElement.name === 'min_score'")
    visited.page.keyboard.press("End")
    visited.page.keyboard.press("Backspace")
    assert visited.page.input_value("[name=min_score]") == "hig"
