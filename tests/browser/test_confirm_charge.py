"""A customer confirms a charge in a browser: from My Page to the provider's page, and back."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, sign_in
from tests.browser.world import People, at


def test_a_charge_that_the_bank_wants_confirmed(page: Page, site: Site, people: People) -> None:
    site.town.card(people.invoiced, "authentication_required", site.gateway)
    site.town.charge(at(3, 20, 10))
    sign_in(page, site, people.invoiced)
    page.get_by_role("link", name="Kort", exact=True).click()
    page.get_by_role("button", name="Bekreft betalingen").first.click()
    page.wait_for_url(f"{site.gateway.url}/**")
    page.get_by_role("link", name="Avbryt og gå tilbake").click()
    expect(page.get_by_role("status")).to_contain_text("Betalingen er ikke bekreftet.")
    page.get_by_role("button", name="Bekreft betalingen").first.click()
    page.wait_for_url(f"{site.gateway.url}/**")
    page.get_by_label(re.compile("Krever bekreftelse")).check()
    page.get_by_role("button", name=re.compile("^Betal ")).click()
    page.wait_for_url(f"{site.url}/mypage/{people.invoiced.number}/card")
    expect(page.get_by_role("status")).to_contain_text("Takk! Betalingen er bekreftet.")
    expect(page.get_by_role("button", name="Bekreft betalingen")).to_have_count(0)
    assert site.gateway.books()["count"] == 1
