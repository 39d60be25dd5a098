"""The page of the API's document in a real browser: it shows, under the Content-Security-Policy, from here alone.

That nothing is fetched from elsewhere and nothing complains is what the ``page`` fixture watches for.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Site


@pytest.mark.browser
def test_the_docs_show_and_stay_here(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/docs")
    page.locator(".opblock-tag").first.click()
    page.locator(".opblock-summary").first.click()
    page.locator(".responses-table").first.wait_for()
    assert page.locator(".opblock-tag").count() >= 5
