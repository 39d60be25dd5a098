"""The support desk: each page, who may see it, how one finds an agreement, and the house's books and jobs."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.integration.web.desk import MARCH, Desk, said, world

__all__ = ["world"]

PAGES = {
    "/": ("agent", "lead", "accountant", "operator"),
    "/standing/blocked": ("agent", "lead", "accountant"),
    "/card-attempts": ("agent", "lead", "accountant"),
    "/deliveries": ("agent", "lead"),
    "/mailbox": ("agent", "lead"),
    "/payments": ("agent", "lead", "accountant"),
    "/mass": ("agent", "lead", "accountant", "operator"),
    "/books": ("agent", "lead", "accountant", "operator"),
    "/agreements/{number}": ("agent", "lead", "accountant"),
    "/agreements/{number}/passages": ("agent", "lead", "accountant"),
    "/agreements/{number}/passages/{passage}/credit": ("agent", "lead"),
    "/agreements/{number}/vehicles/{car}/remove": ("agent", "lead"),
    "/agreements/{number}/additional": ("agent", "lead"),
    "/agreements/{number}/close": ("agent", "lead"),
    "/agreements/{number}/documents": ("agent", "lead", "accountant"),
    "/agreements/{number}/documents/{document}/reissue": ("agent", "lead"),
    "/agreements/{number}/payouts": ("agent", "lead", "accountant"),
    "/payouts": ("agent", "lead", "accountant"),
    "/trail/agreement:{number}": ("lead",),
}
FORMS = {
    "/agreements/{number}/reopen": ("agent", "lead"),
    "/agreements/{number}/passages/{passage}/credit": ("agent", "lead"),
    "/agreements/{number}/vehicles/{car}/remove": ("agent", "lead"),
    "/agreements/{number}/additional": ("agent", "lead"),
    "/agreements/{number}/close": ("agent", "lead"),
    "/agreements/{number}/deliveries/1/again": ("agent", "lead"),
    "/payments/1/assign": ("agent", "lead"),
    "/agreements/{number}/documents/{document}/reissue": ("agent", "lead"),
    "/agreements/{number}/payouts": ("agent", "lead"),
    "/agreements/{number}/credit-note": ("agent", "lead"),
    "/payouts/1/approve": ("lead",),
    "/payouts/1/cancel": ("agent", "lead"),
    "/payouts/1/outcome": ("accountant",),
    "/mass": ("lead", "operator"),
    "/mass/1/confirm": ("lead", "operator"),
    "/mass/1/undo": ("lead", "operator"),
    "/books/audit": ("accountant", "operator"),
}
ROLES = ("customer", "agent", "lead", "accountant", "operator")


def address(desk: Desk, path: str) -> str:
    passage = desk.books.one("SELECT min(id) FROM passages")
    return path.format(number=desk.number, passage=passage, car=desk.car.id, document=desk.invoice.number)


def test_each_page_is_for_its_roles_in_both_languages(world: Desk) -> None:
    for role in ROLES:
        browser = world.browser(role)
        for path, roles in PAGES.items():
            expected = 200 if role in roles else 403
            assert browser.get(address(world, path)).status_code == expected, (role, path)
    english = world.browser("lead")
    with english.client.session_transaction() as held:
        held["language"] = "en"
    for path in PAGES:
        if path != "/books":
            assert 'lang="en"' in english.get(address(world, path)).text


def test_forms_are_for_their_roles_and_want_the_token(world: Desk) -> None:
    for role in ROLES:
        browser = world.browser(role)
        for path, roles in FORMS.items():
            if role not in roles:
                assert browser.post(address(world, path)).status_code == 403, (role, path)
            assert browser.client.post("/support" + address(world, path)).status_code == 403, (role, path)


def test_who_is_not_signed_in_is_sent_to_sign_in(world: Desk) -> None:
    answer = world.app.test_client().get(f"/support/agreements/{world.number}")
    assert answer.status_code == 302
    assert "/signin" in answer.headers["Location"]


def test_a_form_after_the_session_has_run_out_leads_to_signing_in_and_back(world: Desk) -> None:
    pages = {
        "/agreements/{number}/reopen": "/agreements/{number}",
        "/agreements/{number}/deliveries/1/again": "/agreements/{number}",
        "/agreements/{number}/close": "/agreements/{number}/close",
        "/payments/1/assign": "/payments/1",
        "/books/audit": "/books",
    }
    for form, page in pages.items():
        browser = world.browser("lead")
        with browser.client.session_transaction() as held:
            held["seen"] -= 3 * 60 * 60
        answer = browser.post(address(world, form), channel="phone")
        place = f"/signin?next=/support{address(world, page)}&signed_out=1"
        assert (answer.status_code, answer.headers["Location"]) == (303, place)
        assert "Du var logget ut, og ingenting ble endret." in said(browser.client.get(place))
    assert world.trail(f"agreement:{world.number}") == []
    missing = world.app.test_client().post("/support/nothing/here")
    assert missing.status_code == 404


@pytest.mark.parametrize("by", ["number", "invoice", "kid", "plate", "email", "customer"])
def test_one_hit_leads_straight_to_the_agreement(world: Desk, by: str) -> None:
    customer = world.books.one("SELECT number FROM customers")
    words = {
        "number": str(world.number),
        "invoice": str(world.invoice.number),
        "kid": world.invoice.kid,
        "plate": "ek 12345",
        "email": "KARI@example.no",
        "customer": str(customer),
    }[by]
    answer = world.browser("agent").client.get("/support/", query_string={"q": words})
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith(f"/support/agreements/{world.number}")


def test_several_hits_are_listed_with_standing_and_open_sum(world: Desk) -> None:
    world.books.agreement()
    world.session.commit()
    text = world.browser("agent").text("/?q=nordmann")
    assert "2 avtaler" in text
    assert "Sperret forfalt 412,50 kr" in text
    assert "Åpen ingenting åpent" in text
    assert "Fant ingen avtale" in world.browser("agent").text("/?q=finnes+ikke")


def test_the_heap_counts_what_waits(world: Desk) -> None:
    world.pay(9900, "123")
    text = world.browser("agent").text("/")
    assert "0 venter på gjenåpning" in text
    assert "1 sperret" in text
    assert "1 innbetalinger uten eier 99,00 kr" in text


def test_the_audit_is_run_from_the_page_and_names_a_difference(world: Desk) -> None:
    accountant = world.browser("accountant")
    asked = accountant.post("/books/audit")
    assert asked.status_code == 303
    assert asked.headers["Location"] == "/support/books?audit=now"
    assert "Alt stemmer." in accountant.text("/books?audit=now")
    world.session.execute(text("UPDATE balances SET unbilled_ore = unbilled_ore + 1"))
    world.session.commit()
    assert "Noe stemmer ikke." in accountant.text("/books?audit=now")
    assert "stemmer" not in world.browser("agent").text("/books?audit=now")
    assert ("accountant", "audit", None) in world.trail("books")


def test_a_job_that_failed_is_shown_to_those_who_run_it(world: Desk) -> None:
    world.session.execute(
        text(
            "INSERT INTO job_occurrences (job, scheduled_for, state, attempts, error) "
            "VALUES ('overdue', :at, 'given_up', 8, 'Boom')"
        ),
        {"at": MARCH},
    )
    world.session.commit()
    assert "gitt opp" in world.browser("operator").text("/books")
    assert "Boom" not in world.browser("agent").text("/books")


def test_a_lead_sees_who_looked(world: Desk) -> None:
    world.browser("agent").text(f"/agreements/{world.number}")
    text = world.browser("lead").text(f"/trail/agreement:{world.number}")
    assert "kari kundebehandler så på" in text


def test_what_does_not_exist_is_not_found(world: Desk) -> None:
    browser = world.browser("agent")
    for path in (
        "/agreements/99999999",
        "/payments/99",
        "/deliveries/99",
        "/deliveries/99/attachments/0",
        "/standing/open",
        f"/agreements/{world.number}/documents/1.pdf",
        f"/agreements/{world.number}/passages/0/credit",
    ):
        assert browser.get(path).status_code == 404, path
