"""A real server and a real browser: the application on a free port, Debian's Chromium driven by playwright.

Without Chromium these tests are skipped, saying so; ``tests/browser.sh`` says it once more at the end. A page may
load nothing from another machine, log no error in its console and break no Content-Security-Policy: ``page`` fails
its test when it does.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    ViewportSize,
    sync_playwright,
)
from sqlalchemy import Engine
from werkzeug.serving import WSGIRequestHandler, make_server

from config.database import SessionFactory
from config.settings import Settings, load
from simulator.gateway import GatewayServer
from tests.browser.filled import Filled, filled_town
from tests.browser.world import People, Person, Town
from tests.databases import lent
from web.app import create_app

PHONE, DESK = ViewportSize(width=390, height=844), ViewportSize(width=1280, height=900)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--no-first-run",
    "--no-pings",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@dataclass(frozen=True)
class Site:
    """The application as a browser reaches it, with what is behind it."""

    url: str
    app: Flask
    town: Town
    gateway: GatewayServer


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, once a file: afterwards it would take time from other tests, and its loop would run on."""
    if CHROMIUM is None:
        pytest.skip("NOT RUN: there is no Chromium on this machine (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def filled() -> Filled:
    """A database with the town of world.py."""
    return filled_town()


@pytest.fixture
def database_url(filled: Filled) -> Iterator[str]:
    """A copy of the town."""
    with lent(filled.database) as url:
        yield url


@pytest.fixture
def site(engine: Engine, sessions: SessionFactory, tmp_path: Path) -> Iterator[Site]:
    """The whole application on a free port, with the stand-in card gateway beside it, in a demo."""
    with GatewayServer() as gateway:
        server = make_server("127.0.0.1", 0, _nothing_yet, threaded=True, request_handler=_Quiet)
        url = f"http://127.0.0.1:{server.server_port}"
        settings: Settings = replace(
            load({"BRIKKE_VAR": str(tmp_path / "var"), "DEMO": "true"}, tmp_path / ".env"),
            url=url,
            stripe_api_key="sk_test_x",
            stripe_api_base=gateway.url,
            http_timeout_seconds=5,
        )
        app = create_app(settings, engine)
        server.app = app
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
        thread.start()
        yield Site(url, app, Town(sessions, settings, founded=True), gateway)
        server.shutdown()
        thread.join(5)
        server.server_close()


def _nothing_yet(_environ: object, _start: object) -> list[bytes]:
    raise AssertionError("asked before the application was there")


@pytest.fixture
def people(filled: Filled) -> People:
    """The town's people, on 20 March 2026."""
    return filled.people


class Watch:
    """Writes down what a page must not do."""

    def __init__(self, context: BrowserContext) -> None:
        self.faults: list[str] = []
        self.expected: set[int] = set()
        context.route("**/*", self._route)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))

    def _route(self, route: Route, request: Request) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1":
            self.faults.append(f"left the machine: {request.url}")
            route.abort()
        else:
            route.continue_()

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium also logs an answer of 422 or 404 as an error: those a test expects are told to us.
        told = any(f"status of {status}" in message.text for status in self.expected)
        if message.type in ("error", "warning") and not told:
            self.faults.append(f"console: {message.text}")


@pytest.fixture
def watch(browser: Browser, site: Site) -> Iterator[tuple[BrowserContext, Watch]]:
    """A browser context that is watched. It is closed before the site, or what it still loads would be a fault."""
    assert site.url
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, locale="nb-NO", timezone_id="America/New_York"
    )
    context.set_default_timeout(15_000)
    watch = Watch(context)
    yield context, watch
    context.close()
    assert watch.faults == []


@pytest.fixture
def page(watch: tuple[BrowserContext, Watch], site: Site) -> Page:
    """A page at phone width, on the front page. The browser is far from Norway: times must be ours."""
    page = watch[0].new_page()
    page.goto(site.url)
    return page


@pytest.fixture
def expect_status(watch: tuple[BrowserContext, Watch]) -> set[int]:
    """Statuses that the test means to get: add 422 before sending a form that will be refused."""
    return watch[1].expected


def sign_in(page: Page, site: Site, person: Person) -> None:
    """Choose a person, as anybody does in the demo."""
    page.goto(f"{site.url}/signin?q={person.number}")
    page.get_by_role("button", name=person.name).click()
    page.wait_for_url("**/mypage/**")
    page.goto(f"{site.url}/mypage/{person.number}")


def assert_fits(page: Page) -> None:
    """Assert that nothing has to be scrolled sideways, and name what sticks out."""
    wide = page.evaluate(
        "() => { const limit = document.documentElement.clientWidth; return [...document.querySelectorAll('body *')]"
        ".filter(e => e.getBoundingClientRect().right > limit + 1 && !e.closest('.sr, .skip, .scroll, thead'))"
        ".map(e => e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 40)).slice(0, 5); }"
    )
    scroll = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert (wide, scroll) == ([], 0), page.url
