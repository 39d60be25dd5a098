"""What browser tests of the support desk share: signing in as a colleague, and pages that fit a phone and a desk."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import Page

from tests.browser.conftest import DESK, PHONE, Site, assert_fits


def sign_in(page: Page, site: Site, name: str) -> None:
    """Choose a colleague, as anybody does in the demo."""
    page.goto(f"{site.url}/signin")
    page.get_by_role("button", name=name).click()
    page.wait_for_url("**/support/**")


def assert_all_fit(page: Page, site: Site, paths: Sequence[str]) -> None:
    """Assert that each of the desk's pages is there, and that nothing on it has to be scrolled sideways."""
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        for path in paths:
            answer = page.goto(f"{site.url}/support{path}")
            assert answer is not None
            assert answer.status == 200, path
            assert_fits(page)
