"""What we serve and did not write, Django's admin and Swagger: under the same policy, without a complaint."""

from __future__ import annotations

import pytest

from tests.faces.accessibility import violations
from tests.faces.conftest import Visitor
from tests.faces.serving import World
from tests.factories import PASSWORD

# Django's own, in 5.2: links and checkboxes below 24 px, unlabelled checkboxes, a label on a role that has none.
KNOWN_IN_ADMIN = frozenset({"target-size", "label", "aria-prohibited-attr"})
# Swagger's own, in ninja's 1.x; the accessible reference is /about/api.
KNOWN_IN_SWAGGER = frozenset({"color-contrast", "nested-interactive", "target-size"})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_admin(world: World, visit: Visitor, scheme: str) -> None:
    visited = visit(scheme=scheme)
    visited.sign_in("anna", PASSWORD)
    source = world.id_of("source", "name = 'Planted: failing'")
    run = world.runs["succeeded"]
    faults = []
    for path in (
        "",
        "harvester/source/",
        "harvester/source/add/",
        f"harvester/source/{source}/change/",
        f"harvester/source/{source}/delete/",
        "harvester/artifact/",
        f"harvester/artifact/{world.artifacts['hostile']}/change/",
        "harvester/relationship/",
        "harvester/run/",
        f"harvester/run/{run}/change/",
        "harvester/user/",
        "harvester/user/add/",
        "auth/group/add/",
    ):
        assert visited.go(f"/admin/{path}") == 200
        faults += [f"{path}: {complaint}" for complaint in visited.complaints]
        faults += [f"{path}: {violation}" for violation in violations(visited.page, known=KNOWN_IN_ADMIN)]
        visited.complaints.clear()  # with what axe itself has tried meanwhile
    assert faults == []
    assert not visited.page.evaluate("window.ran")


def test_the_page_to_try_the_api_on(visit: Visitor) -> None:
    visited = visit()
    visited.go("/api/v1/docs")
    visited.page.wait_for_selector(".opblock")
    assert visited.complaints == []
    assert violations(visited.page, known=KNOWN_IN_SWAGGER) == []
