"""The support desk in a browser: a customer calls, and one screen tells the agent what to say and do."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, PHONE, Site, assert_fits
from tests.browser.desk import assert_all_fit, sign_in
from tests.browser.world import People


def test_a_blocked_customer_calls_pays_and_is_reopened(
    page: Page, site: Site, people: People, expect_status: set[int]
) -> None:
    kid, ore = site.town.kid(people.blocked)
    sign_in(page, site, "Kari Kundeservice")
    page.get_by_role("searchbox").fill("dp 22222")
    page.get_by_role("button", name="Finn").click()
    why = page.get_by_role("region", name="Sperret 19. mars 2026")
    expect(why).to_contain_text("99,20 kr forfalt 16. mars 2026 og er ikke betalt")
    expect(why).to_contain_text(f"Be kunden betale 99,20 kr med KID {kid} til konto 1503.00.12345.")
    # Trying it anyway is refused, and says what is due.
    expect_status.add(409)
    page.get_by_text("Gjenåpne avtalen").click()
    page.get_by_role("button", name="Gjenåpne", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("99,20 kr er forfalt og ikke betalt")
    expect(page.get_by_role("alert")).to_contain_text(kid)
    site.town.pay(kid, ore, dt.date(2026, 3, 20))
    page.goto(f"{site.url}/support/agreements/{people.blocked.number}")
    expect(page.get_by_text("Alt er betalt. Snakk med kunden og gjenåpne.")).to_be_visible()
    page.get_by_label("Hvordan tok kunden kontakt?").select_option("phone")
    page.get_by_label("Notat").fill("Ringte fra bilen")
    page.get_by_role("button", name="Gjenåpne", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Avtalen er gjenåpnet")
    story = page.get_by_role("region", name="Historien").get_by_role("listitem")
    expect(story.first).to_contain_text("Gjenåpnet av kundebehandler kari")
    expect(story.filter(has_text="Innbetalt 99,20 kr, valutert 20. mars 2026, bokført 21. mars 2026")).to_have_count(1)
    assert site.town.of(people.blocked)[1].standing == "open"


def test_an_agent_takes_a_charge_by_another_card(page: Page, site: Site, people: People) -> None:
    site.town.card(people.invoiced, "mastercard", site.gateway)
    site.town.card(people.invoiced, "insufficient_funds", site.gateway)
    site.town.charge(dt.datetime(2026, 3, 20, 10, tzinfo=dt.UTC))
    sign_in(page, site, "Kari Kundeservice")
    page.goto(f"{site.url}/support/agreements/{people.invoiced.number}")
    page.get_by_role("link", name="Kort og trekk").click()
    charges = page.get_by_role("region", name="Trekk")
    expect(charges).to_contain_text("insufficient_funds")
    charges.get_by_text("Gjør noe med trekket").click()
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        assert_fits(page)
    charges.get_by_label("Hva?").select_option(label="Ta det på Mastercard •••• 0076")
    charges.get_by_label("Hvorfor?").fill("Kunden ba om det")
    charges.get_by_role("button", name="Utfør").click()
    expect(page.get_by_role("status")).to_contain_text("Trekket prøves nå på kortet du valgte.")
    site.town.charge(dt.datetime(2026, 3, 20, 11, tzinfo=dt.UTC))
    page.reload()
    expect(charges).to_contain_text("Kundebehandler kari valgte et annet kort for et trekk: «Kunden ba om det»")
    expect(charges).to_contain_text("Trukket 99,20 kr.")
    cards = page.get_by_role("region", name="Kort", exact=True)
    cards.get_by_text("Bestem hva slags kort det er").first.click()
    kind = cards.locator("details", has=page.get_by_label("Korttype")).first
    kind.get_by_label("Korttype").select_option("commercial")
    kind.get_by_label("Hvorfor?").fill("Banken bekrefter det")
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        assert_fits(page)
    kind.get_by_role("button", name="Lagre").click()
    expect(cards).to_contain_text("bedrift (bestemt av oss)")


@pytest.mark.parametrize("language", ["nb", "en"])
def test_every_page_fits_a_phone_and_a_desk(page: Page, site: Site, people: People, language: str) -> None:
    slip = "1" + site.town.kid(people.blocked)[0][1:]
    site.town.pay(slip, 9920, dt.date(2026, 3, 19))
    sign_in(page, site, "Lars Leder")
    if language == "en":
        page.get_by_role("button", name="English").click()
    numbers = [person.number for person in (people.blocked, people.invoiced, people.business)]
    paths = [
        "/", "/?q=a", "/standing/blocked", "/standing/awaiting_reopen", "/payments", "/payments/1", "/mailbox",
        "/books", "/card-account", "/card-account?ask=now", "/card-attempts", "/deliveries",
        *(f"/agreements/{number}{rest}" for number in numbers
          for rest in ("", "/passages?from=2026-02-01&to=2026-03-20", "/additional", "/close", "/cards")),
        f"/trail/agreement:{numbers[0]}",
    ]  # fmt: skip
    assert_all_fit(page, site, paths)


def test_the_accountant_checks_the_books_and_changes_nothing(page: Page, site: Site, people: People) -> None:
    sign_in(page, site, "Reidun Regnskap")
    page.get_by_role("link", name="Bøkene").click()
    page.get_by_role("button", name="Kontroller nå").click()
    expect(page.get_by_text("Alt stemmer.")).to_be_visible()
    page.goto(f"{site.url}/support/agreements/{people.blocked.number}")
    expect(page.get_by_role("heading", name="Per Sørli")).to_be_visible()
    expect(page.get_by_role("button", name="Gjenåpne")).to_have_count(0)


@pytest.mark.parametrize("language", ["nb", "en"])
def test_what_chargers_knew_fits(page: Page, site: Site, people: People, language: str) -> None:
    sign_in(page, site, "Kari Kundeservice")
    if language == "en":
        page.get_by_role("button", name="English").click()
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        page.goto(f"{site.url}/support/agreements/{people.blocked.number}")
        page.get_by_role("link", name="full pris" if language == "nb" else "full price").click()
        page.get_by_label("Skilt eller brikke" if language == "nb" else "Plate or tag").fill("EV 12345")
        page.get_by_role("button", name="Vis" if language == "nb" else "Show", exact=True).click()
        expect(page.get_by_text("EV12345")).to_be_visible()
        assert_fits(page)
