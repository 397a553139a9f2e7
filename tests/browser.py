"""A headless browser that notes what a page complains of and what it asks the network for."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
import time
import urllib.parse
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, sync_playwright

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(not BROWSER, reason="no chromium is installed")
PHONE = 390  # pixels
PAPER = 686  # pixels of the width of A4 within its margins
# `scrollWidth` of a drawing is not about its surroundings.
_CUT_OFF = """() => [...document.querySelectorAll("body, body *:not(svg, svg *)")]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != "inline")
    .map(e => `${e.tagName} of ${e.scrollWidth} px in ${e.clientWidth}: ${e.innerText}`)"""
_HIDDEN = """() => [...document.querySelectorAll("details > *")]
    .filter(e => !e.checkVisibility()).map(e => `hidden: ${e.textContent}`)"""
ABORTED = "net::ERR_ABORTED"  # by leaving the page
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@dataclasses.dataclass
class Visit:
    """A page that is open.

    Attributes:
      page: Playwright's page.
      complaints: Errors in the console, requests that failed, and requests to another host.
    """

    page: Page
    complaints: list[str] = dataclasses.field(default_factory=list)

    def wait_for(self, text: str | re.Pattern[str], seconds: float) -> None:
        """Waits until a text is there, in the page or in one of its frames.

        Raises:
          TimeoutError: It did not come.
        """
        end = time.monotonic() + seconds
        while not any(frame.get_by_text(text).count() for frame in self.page.frames):
            if time.monotonic() > end:
                raise TimeoutError(f"no {text!r} on {self.page.url} in {seconds} s")
            self.page.wait_for_timeout(300)

    def lost_on_paper(self) -> list[str]:
        """What a print of the page would not show: wider than where it stands, or folded away."""
        self.page.emulate_media(media="print")
        result: list[str] = self.page.evaluate(_CUT_OFF) + self.page.evaluate(_HIDDEN)
        self.page.emulate_media(media="screen")
        return result


@contextlib.contextmanager
def opened(url: str, width: int = 1280, height: int = 900) -> Iterator[Visit]:
    """Opens an address in a browser with an empty profile."""
    home = urllib.parse.urlsplit(url).netloc

    def outside(request: Request) -> bool:
        address = urllib.parse.urlsplit(request.url)
        return address.scheme in ("http", "https") and address.netloc != home

    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=BROWSER,
            headless=True,
            args=list(OPTIONS),
            viewport={"width": width, "height": height},
            env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        visit = Visit(browser.new_page())
        note = visit.complaints.append
        visit.page.on(
            "console", lambda reported: note(reported.text) if reported.type == "error" else None
        )
        visit.page.on("pageerror", lambda error: note(str(error)))
        visit.page.on(
            "requestfailed",
            lambda request: note(f"failed: {request.url}") if request.failure != ABORTED else None,
        )
        visit.page.on(
            "request", lambda request: note(f"asks {request.url}") if outside(request) else None
        )
        visit.page.goto(url)
        yield visit
        browser.close()
