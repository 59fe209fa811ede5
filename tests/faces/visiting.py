"""A visitor in Chromium who takes note of what goes wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Visit:
    """A page in the browser, and everything it complained about."""

    page: Page
    site: str
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"script error: {error}"))
        self.page.on("request", lambda request: self._check_host(request.url))
        self.page.on("requestfailed", lambda request: self._note_failure(request.url, request.failure or ""))

    def _note(self, kind: str, text: str) -> None:
        # Chromium reports the status of an error page, which is what we asked for, as an error of its own.
        if kind in {"error", "warning"} and "the server responded with a status of 4" not in text:
            self.complaints.append(f"console {kind}: {text}")

    def _note_failure(self, url: str, reason: str) -> None:
        if reason != "net::ERR_ABORTED":  # which is what happens to an icon when one leaves before it has come
            self.complaints.append(f"request failed: {url}: {reason}")

    def _check_host(self, url: str) -> None:
        if not url.startswith("data:") and urlsplit(url).netloc != urlsplit(self.site).netloc:
            self.complaints.append(f"request to another host: {url}")

    def go(self, path: str) -> int:
        """The status of the answer."""
        answer = self.page.goto(self.site + path)
        assert answer is not None
        return answer.status

    def sign_in(self, username: str, password: str) -> None:
        self.go("/account/sign-in")
        self.page.fill("[name=username]", username)
        self.page.fill("[name=password]", password)
        self.page.click("main button")
        assert urlsplit(self.page.url).path == "/"


class NoBrowserError(Exception):
    """There is no Chromium on this machine."""


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """The Chromium that CHROMIUM names, or that is installed. Raises NoBrowserError."""
    named = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if named is None:
        raise NoBrowserError("No Chromium: apt-get install chromium, or name one in CHROMIUM.")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=named, args=list(ARGUMENTS))
        try:
            yield started
        finally:
            started.close()


def visitor(
    browser: Browser,
    site: str,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
    script: bool = True,
    zoom: int = 1,
    forced_colours: bool = False,
) -> Visit:
    """Somebody new, without a cookie; ``zoom`` 2 is what a browser does at 200 %. Close ``page.context`` at the end."""
    context = browser.new_context(
        viewport={"width": width // zoom, "height": height // zoom},
        device_scale_factor=zoom,
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=script,
        forced_colors="active" if forced_colours else "none",
    )
    visited = Visit(context.new_page(), site)
    visited.listen()
    return visited
