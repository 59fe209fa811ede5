"""Every page, with and without JavaScript, light and dark, wide and narrow."""

from __future__ import annotations

import pytest

from tests.faces.accessibility import violations
from tests.faces.conftest import Visitor
from tests.faces.serving import World
from tests.faces.visiting import Visit
from tests.factories import PASSWORD

WIDTHS = (1280, 390, 320)
SCHEMES = ("light", "dark")

# Everything WCAG 2.2 asks text to bear (1.4.12), in a sheet that the policy does not apply to.
SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important;"
    + " word-spacing: .16em !important; } p { margin-bottom: 2em !important; }");
  document.adoptedStyleSheets = [sheet];
}"""
CUT_OFF = """() => [...document.querySelectorAll("main *, header *, footer *")]
  .filter(one => getComputedStyle(one).overflow !== "visible" && !one.closest(".hidden, thead, caption, svg"))
  .filter(one => one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1)
  .filter(one => !["INPUT", "SELECT"].includes(one.tagName))
  .map(one => one.outerHTML.slice(0, 120))"""


def scrolls_sideways(visited: Visit) -> bool:
    return bool(visited.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def faults_of(visited: Visit, world: World, *, with_axe: bool) -> list[str]:
    """What is wrong with any page, seen by this visitor."""
    faults = []
    for name, path in world.pages.items():
        visited.go(path)
        if scrolls_sideways(visited):
            faults.append(f"{name}: scrolls sideways")
        faults += [f"{name}: {complaint}" for complaint in visited.complaints]
        if with_axe:
            faults += [f"{name}: {violation}" for violation in violations(visited.page)]
            if visited.page.evaluate("window.ran"):
                faults.append(f"{name}: a planted script ran")
        visited.complaints.clear()  # with what axe itself has tried meanwhile
    return faults


BAD_PAGE = """<!doctype html><html lang="en"><title>Bad</title>
<p style="color: red">inline</p><p><font color="#ddd">pale</font></p><img src="http://127.0.0.2:9/x.png" alt="">
<pre>{}</pre>""".format("wide" * 1000)


def test_the_walk_notices_what_it_is_there_for(visit: Visitor) -> None:
    visited = visit()
    policy = "default-src 'none'; img-src *; style-src 'self'"
    visited.page.route(
        "**/bad", lambda route: route.fulfill(body=BAD_PAGE, headers={"Content-Security-Policy": policy})
    )
    visited.page.goto(f"{visited.site}/bad")
    complaints = "\n".join(visited.complaints)
    assert "violates the following Content Security Policy" in complaints
    assert "request to another host: http://127.0.0.2:9/x.png" in complaints
    assert scrolls_sideways(visited)
    assert [violation for violation in violations(visited.page) if violation.startswith("color-contrast")]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("who", ["", "anna"])
def test_nothing_is_wrong_with_any_page(world: World, visit: Visitor, width: int, scheme: str, who: str) -> None:
    visited = visit(width=width, scheme=scheme)
    if who:
        visited.sign_in(who, PASSWORD)
    assert faults_of(visited, world, with_axe=True) == []


def test_nothing_is_wrong_for_somebody_who_is_not_staff(world: World, visit: Visitor) -> None:
    visited = visit()
    visited.sign_in("ben", PASSWORD)
    assert faults_of(visited, world, with_axe=True) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_wrong_without_javascript(world: World, visit: Visitor, width: int, scheme: str) -> None:
    visited = visit(width=width, scheme=scheme, script=False)
    visited.sign_in("anna", PASSWORD)
    assert faults_of(visited, world, with_axe=False) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_open_menus_and_filters_are_accessible_too(visit: Visitor, width: int) -> None:
    visited = visit(width=width)
    visited.sign_in("anna", PASSWORD)
    visited.page.click("details.you > summary")
    assert violations(visited.page) == []
    assert not scrolls_sideways(visited)
    if width < 640:
        visited.page.click("details.you > summary")
        visited.page.click("details.filters > summary")
        visited.page.wait_for_selector("[name=min_score]", state="visible")
        assert violations(visited.page) == []


def test_at_200_percent_nothing_is_lost(world: World, visit: Visitor) -> None:
    assert faults_of(visit(zoom=2), world, with_axe=True) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_with_wider_text_nothing_is_lost(world: World, visit: Visitor, width: int) -> None:
    visited = visit(width=width)
    faults = []
    for name, path in world.pages.items():
        visited.go(path)
        visited.page.evaluate(SPACED)
        if scrolls_sideways(visited):
            faults.append(f"{name}: scrolls sideways")
        faults += [f"{name}: cut off: {element}" for element in visited.page.evaluate(CUT_OFF)]
    assert faults == []


def test_in_forced_colours_the_bands_can_be_told_apart(visit: Visitor) -> None:
    visited = visit(forced_colours=True)
    visited.go("/")
    widths = visited.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("p.score")].map(
             one => [one.className, getComputedStyle(one).borderTopWidth]))"""
    )
    assert widths["score notify"] == "3px"
    assert violations(visited.page) == []


def test_a_first_visit_and_a_later_one_are_light(visit: Visitor) -> None:
    visited = visit()
    sizes: list[int] = []
    visited.page.on("response", lambda answer: sizes.append(len(answer.body())))
    visited.go("/")
    visited.page.wait_for_load_state("networkidle")
    assert sum(sizes) < 120_000  # raw; compressed on the way it is a quarter of that
