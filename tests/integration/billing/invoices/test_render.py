"""From the database to the page: everything shown, the same bytes every time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.invoices.issue import issue
from billing.invoices.pdf.processes import Renderer
from billing.invoices.receipt import issue_receipt
from billing.invoices.render import pdf
from billing.invoices.view import view_of
from billing.passages.rules import Flag
from config.database import SessionFactory
from tests.integration.billing.invoices.world import FEBRUARY, SELLER, World


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer(processes=1) as one:
        yield one


def invoice(session: Session, world: World, language: str = "nb") -> int:
    """An invoice with toll and ferry, flags, a discount, credit and a counter-row of an earlier invoice."""
    agreement = world.agreement(language=language)
    before = world.claim(agreement, [4_000])
    issue(session, [before], seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=dt.date(2026, 2, 16), now=FEBRUARY)
    wrong = session.execute(text("SELECT min(id) FROM passages")).scalar_one()
    claim = world.claim(agreement, [3_100, 3_200, 6_000])
    world.passage(agreement, 22_400, service="ferry", vat_bp=1200, plate="DR77712", list_ore=28_000, claim=claim)
    world.passage(
        agreement, 2_480, list_ore=3_100, flags=int(Flag.BY_PLATE | Flag.TAG_DISCOUNT), plate=None, claim=claim
    )
    world.passage(agreement, -4_000, reverses=wrong, claim=claim)
    session.execute(
        text("UPDATE claims SET passages_ore = passages_ore + 20880, passages_count = 6 WHERE id = :id"), {"id": claim}
    )
    world.credit(agreement, 1_000)
    [document] = issue(
        session, [claim], seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=dt.date(2026, 2, 16), now=FEBRUARY
    )
    return document


def test_the_view_holds_all_that_was_issued(session: Session, world: World) -> None:
    view = view_of(session, invoice(session, world))
    assert (view.total_ore, view.credit_used_ore, view.payable_ore) == (33_180, 1_000, 32_180)
    assert [(v.plate, v.count, v.toll_ore, v.ferry_ore) for v in view.vehicles] == [
        ("DR77712", 1, 0, 22_400),
        ("EK12345", 4, 8_300, 0),
        ("–", 1, 2_480, 0),
    ]
    assert [(v.rate_bp, v.net_ore, v.vat_ore) for v in view.vat] == [(0, 10_780, 0), (1200, 20_000, 2_400)]
    assert {row.station for row in view.passages} == {"Gamle Bro"}
    [back] = [row for row in view.passages if row.kind == "reversal"]
    assert (back.amount_ore, back.note) == (-4_000, "Korreksjon av 15.01.2026, Gamle Bro, faktura 100000001")
    [flagged] = [row for row in view.passages if row.flags]
    assert (flagged.flags, flagged.discount_ore) == (("by_plate", "tag_discount"), -620)
    assert view.passages[0].at_local.isoformat() == "2026-01-15T12:00:00+01:00"
    assert view.buyer.address == ("Fjøsveien 215 B", "5073 Bergen")
    assert [(c.name, c.contact) for c in view.chargers] == [("Fjellvegen AS", "kunde@fjell.example")]
    assert view.has_slip


def test_a_receipt_shows_the_card_the_fee_and_no_slip(session: Session, world: World) -> None:
    claim = world.claim(world.agreement(method="card"), [20_000], kind="card", fee_ore=450)
    paid = {"brand": "visa", "last4": "4242", "on": "2026-02-01"}
    view = view_of(session, issue_receipt(session, claim, paid_by=paid, seller=SELLER, now=FEBRUARY))
    assert view.paid
    assert not view.has_slip
    assert (view.payable_ore, view.paid_ore, view.payment_terms) == (0, 20_450, "")
    assert [fee.amount_ore for fee in view.fees] == [450]


def test_a_copy_is_the_same_bytes_also_when_names_have_changed(
    session: Session, sessions: SessionFactory, world: World, renderer: Renderer
) -> None:
    document = invoice(session, world)
    session.commit()
    first = pdf(sessions, document, renderer=renderer)
    session.execute(text("UPDATE stations SET name = 'Nye Bro'"))
    session.execute(text("UPDATE customers SET name = 'Kari Hansen'"))
    session.commit()
    assert pdf(sessions, document, renderer=renderer) == first
    assert first.startswith(b"%PDF-")
    assert session.execute(text("SELECT count(*) FROM renderings")).scalar_one() == 1


def test_there_is_no_page_of_no_document(sessions: SessionFactory) -> None:
    with pytest.raises(LookupError):
        pdf(sessions, 404)
