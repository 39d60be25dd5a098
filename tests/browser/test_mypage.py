"""My Page in a real browser, as somebody with a telephone uses it. What ``page`` watches for is in conftest.py."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import DESK, PHONE, Site, assert_fits, sign_in
from tests.browser.world import People, at

pytestmark = pytest.mark.browser


def test_becoming_a_customer(page: Page, site: Site, expect_status: set[int]) -> None:
    page.get_by_role("link", name="Bli kunde").click()
    assert_fits(page)
    organisation = page.get_by_label("Organisasjonsnummer")
    expect(organisation).to_be_hidden()
    page.get_by_label("En bedrift").check()
    expect(organisation).to_be_visible()
    organisation.fill("123456789")
    page.get_by_label("Navn").fill("Øst Frakt AS")
    page.get_by_label("E-post").fill("post@frakt.example")
    page.get_by_label("Adresse").fill("Storgata 1")
    page.get_by_label("Postnummer").fill("0181")
    page.get_by_label("Sted").fill("Oslo")
    page.get_by_label("Kjennemerke").fill("dp 43210")
    expect_status.add(422)
    page.get_by_role("button", name="Opprett avtalen").click()
    expect(page.get_by_role("alert")).to_contain_text("Noe må rettes")
    expect(organisation).to_have_attribute("aria-invalid", "true")
    expect(organisation).to_have_accessible_description(re.compile("ikke et organisasjonsnummer"))
    expect(page.get_by_label("Navn")).to_have_value("Øst Frakt AS")
    assert_fits(page)
    page.get_by_role("alert").get_by_role("link").click()
    expect(organisation).to_be_focused()
    organisation.fill("974 760 673")
    page.get_by_role("button", name="Opprett avtalen").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Velkommen, Øst Frakt AS")
    expect(page.get_by_text("DP 43210")).to_be_visible()
    expect(page.get_by_text("1–5 virkedager")).to_be_visible()
    assert_fits(page)
    page.get_by_role("link", name="Til avtalen").click()
    expect(page.get_by_text("Du skylder ingenting nå.")).to_be_visible()


def test_removing_a_vehicle(page: Page, site: Site, people: People) -> None:
    sign_in(page, site, people.invoiced)
    page.get_by_role("link", name="Kjøretøy", exact=True).click()
    page.get_by_role("link", name="Fjern AB 54321").click()
    expect(page.get_by_text("Det er ikke nok å ta ut brikken.")).to_be_visible()
    expect(page.get_by_label("Dag", exact=True)).to_be_hidden()
    page.get_by_label("Fra en senere dag").check()
    expect(page.get_by_label("Dag", exact=True)).to_be_visible()
    page.get_by_label("Fra nå av").check()
    page.get_by_label(re.compile("Fjordferje AS")).uncheck()
    assert_fits(page)
    page.get_by_role("button", name="Fjern AB 54321").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("AB 54321 er fjernet")
    expect(page.get_by_text("20. mars 2026 kl. 11:00")).to_be_visible()
    assert_fits(page)
    page.get_by_label(re.compile("Fjordferje AS")).check()
    page.get_by_role("button", name="Fjern det jeg har krysset av").click()
    expect(page.get_by_text("Også fjernet hos: Fjordferje AS.")).to_be_visible()
    page.get_by_role("link", name="Til kjøretøyene").click()
    expect(page.get_by_role("link", name="Fjern AB 54321")).to_have_count(0)
    expect(page.get_by_role("link", name="Fjern EL 12345")).to_be_visible()


def test_registering_a_card(page: Page, site: Site, people: People) -> None:
    sign_in(page, site, people.invoiced)
    page.get_by_role("link", name="Kort", exact=True).click()
    page.get_by_role("button", name="Registrer kort").click()
    page.wait_for_url(f"{site.gateway.url}/**")
    page.get_by_label(re.compile("Mastercard World Elite")).check()
    page.get_by_role("button", name="Lagre kortet").click()
    page.wait_for_url(f"{site.url}/mypage/{people.invoiced.number}/card")
    expect(page.get_by_role("status")).to_contain_text("er registrert og betaler avtalen fra nå av")
    expect(page.get_by_text("Mastercard •••• 0004")).to_be_visible()
    expect(page.get_by_text("2 % av summen og 0,50 kr per betaling").first).to_be_visible()
    # 99.20 is not billed; another 200.80 makes 300.00, and 2 % and 0.50 of fee.
    site.town.drive("EL12345", at(3, 20, 8), 20080, tag="20260001", arrives=at(3, 20, 9))
    site.town.charge(at(3, 20, 10))
    page.reload()
    expect(page.get_by_text("Trukket 306,50 kr, derav 6,50 kr i kortgebyr.")).to_be_visible()
    assert_fits(page)
    page.get_by_role("link", name=re.compile("Kvittering")).click()
    expect(page.get_by_text("Kortgebyr, bedriftskort")).to_be_visible()
    assert site.gateway.books()["sum_ore"] == 30_650
    assert_fits(page)


def test_several_cards_and_what_is_open(page: Page, site: Site, people: People) -> None:
    site.town.card(people.invoiced, "mastercard", site.gateway)
    site.town.card(people.invoiced, "insufficient_funds", site.gateway)
    site.town.charge(at(3, 20, 10))
    sign_in(page, site, people.invoiced)
    page.get_by_role("link", name="Kort", exact=True).click()
    expect(page.get_by_role("heading", name="Åpent trekk")).to_be_visible()
    expect(page.get_by_text("99,20 kr er ikke betalt: det var ikke dekning på kortet.")).to_be_visible()
    page.get_by_text("Betal med faktura i stedet").click()
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        assert_fits(page)
    page.get_by_role("button", name="Bruk dette kortet 0076").click()
    expect(page.get_by_role("status")).to_contain_text("Mastercard som slutter på 0076 betaler fra nå av.")
    site.town.charge(at(3, 20, 11))
    page.reload()
    expect(page.get_by_role("heading", name="Åpent trekk")).to_have_count(0)
    assert site.gateway.books()["sum_ore"] == 9_920
    page.get_by_role("button", name="Fjern 9995").click()
    expect(page.get_by_text("•••• 9995")).to_have_count(0)
    page.get_by_role("button", name="Slå av").click()
    expect(page.get_by_text("Av. Kvitteringen finner du bare her.")).to_be_visible()


def test_reading_an_invoice(page: Page, site: Site, people: People) -> None:
    sign_in(page, site, people.blocked)
    expect(page.get_by_role("heading", name="Avtalen er sperret")).to_be_visible()
    kid, _ = site.town.kid(people.blocked)
    page.get_by_role("link", name="Fakturaer", exact=True).click()
    page.get_by_role("link", name=re.compile("^Faktura 1")).click()
    expect(page.get_by_text(kid)).to_be_visible()
    expect(page.get_by_text("1503.00.12345")).to_be_visible()
    # The browser stands in New York: the time is Norway's all the same.
    expect(page.get_by_text("9. feb. 2026 kl. 08:42")).to_be_visible()
    assert_fits(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Last ned PDF").click()
    assert download.value.suggested_filename.startswith("brikke-1")
    assert download.value.path().read_bytes().startswith(b"%PDF-")


def test_no_page_is_wider_than_the_screen(
    page: Page, site: Site, people: People, watch: tuple[BrowserContext, object]
) -> None:
    paths = ["/", "/signin", "/mypage/new", "/mypage/", "/mypage/contact"]
    number = people.invoiced.number
    paths += [f"/mypage/{number}{rest}" for rest in ("", "/invoices", "/passages", "/vehicles", "/card", "/welcome")]
    paths.append(f"/mypage/{number}/passages?from=2026-01-01&to=2026-03-31")
    sign_in(page, site, people.invoiced)
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        for path in paths:
            page.goto(site.url + path)
            expect(page.get_by_role("heading", level=1)).to_have_count(1)
            assert_fits(page)


def test_in_english_no_norwegian_is_left(page: Page, site: Site, people: People) -> None:
    sign_in(page, site, people.english)
    number = people.english.number
    for path in ("", "/invoices", "/passages?from=2026-02-01&to=2026-02-28", "/vehicles", "/card", "/welcome"):
        page.goto(f"{site.url}/mypage/{number}{path}")
        assert_fits(page)
        assert page.locator("html").get_attribute("lang") == "en"
        text = page.locator("body").inner_text().replace("Fjellvegen AS", "").replace("Fjordferje AS", "")
        text = text.replace("Norsk", "").replace("Kjøkkelvik", "").replace("Åland Islands", "")
        assert re.findall(r"[æøåÆØÅ]|\b(?:og|ikke|avtale|kr)\b", text) == [], path


def test_by_keyboard_alone(page: Page, site: Site, people: People) -> None:
    sign_in(page, site, people.invoiced)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Til innholdet")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
