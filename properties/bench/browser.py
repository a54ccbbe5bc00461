"""A headless browser: the system's Chromium, driven by Playwright. What it complains of fails the test."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000
"""Milliseconds that a page may take before the bench gives up, on however slow a machine."""


@contextmanager
def headless() -> Iterator["Browser"]:
    """A browser; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("there is no browser to look at the page with: install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="nothing drives the browser: pip install playwright")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=sandbox)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def looked_at(browser: "Browser", address: str, width: int = 1200) -> Iterator["Page"]:
    """A page, so many pixels wide; at the end nothing may have been complained of, and nothing asked of a network."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:", "blob:"))
            else complaints.append(f"asks for {asked.url}"))  # fmt: skip
    page.goto(address)
    try:
        yield page
    finally:
        context.close()
    assert complaints == []
