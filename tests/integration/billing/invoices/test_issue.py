"""Issuing: what stands on a document, once, with numbers that have no gaps."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.customers.models import Message
from billing.claims.kid import parse_kid
from billing.claims.models import Claim
from billing.invoices.issue import issue
from billing.invoices.models import Document, DocumentLine, NumberSeries
from billing.invoices.numbers import FIRST, LAST, SeriesFull, take
from billing.invoices.receipt import issue_receipt
from billing.invoices.write import DocumentDiffers
from config.database import SessionFactory
from tests.integration.billing.invoices.world import FEBRUARY, JANUARY, SELLER, World

ISSUED, DUE = dt.date(2026, 2, 1), dt.date(2026, 2, 16)


def issued(session: Session, claims: list[int]) -> list[Document]:
    """Issue and return the documents."""
    ids = issue(session, claims, seller=SELLER, issued_on=ISSUED, due_on=DUE, now=FEBRUARY)
    return [session.get_one(Document, one) for one in ids]


def test_an_invoice_has_number_kid_due_date_and_everyone_as_they_were(session: Session, world: World) -> None:
    agreement = world.agreement(language="en")
    claim = world.claim(agreement, [3_100, 4_200])
    [document] = issued(session, [claim])
    assert (document.number, document.total_ore, document.due_on) == (FIRST, 7_300, DUE)
    kid = parse_kid(document.kid or "")
    assert kid is not None
    assert kid.invoice_number == document.number
    assert kid.agreement_number == session.scalar(text("SELECT number FROM agreements"))
    assert document.language == "en"
    assert document.seller == SELLER
    assert document.buyer["name"] == "Kari Nordmann"
    assert document.buyer["postal_code"] == "5073"
    assert (document.period_from, document.period_to) == (dt.date(2026, 1, 15), dt.date(2026, 1, 15))
    assert (document.booked_from, document.booked_to) == (JANUARY, JANUARY + dt.timedelta(hours=1))
    assert session.get_one(Claim, claim, populate_existing=True).due_on == DUE
    [message] = session.scalars(select(Message))
    assert (message.template, message.document_id, message.data) == ("invoice", document.id, {})


def test_lines_are_per_vehicle_service_and_vat_and_their_vat_adds_up(session: Session, world: World) -> None:
    agreement = world.agreement()
    claim = world.claim(agreement, [100, 100])
    for plate, ore in (("EK12345", 333), ("AB99999", 333), ("AB99999", 1)):
        world.passage(agreement, ore, service="ferry", vat_bp=1200, plate=plate, claim=claim)
    session.execute(text("UPDATE claims SET passages_ore = passages_ore + 667, passages_count = 5"))
    [document] = issued(session, [claim])
    lines = session.scalars(select(DocumentLine).order_by(DocumentLine.line)).all()
    assert [(x.plate, x.kind, x.vat_bp, x.count, x.gross_ore, x.net_ore, x.vat_ore) for x in lines] == [
        ("AB99999", "ferry", 1200, 2, 334, 298, 36),
        ("EK12345", "toll", 0, 2, 200, 200, 0),
        ("EK12345", "ferry", 1200, 1, 333, 298, 35),
    ]
    assert sum(line.net_ore for line in lines if line.vat_bp) == 596  # 667 · 100 ÷ 112 = 595.5…
    assert document.total_ore == 867


def test_issuing_again_is_a_result_and_takes_no_number(session: Session, world: World) -> None:
    claims = [world.claim(world.agreement(), [ore]) for ore in (5_000, 6_000, 7_000)]
    first = issued(session, claims[:2])
    again = issued(session, claims)
    assert [document.id for document in again[:2]] == [document.id for document in first]
    assert [document.number for document in again] == [FIRST, FIRST + 1, FIRST + 2]
    assert session.scalar(text("SELECT count(*) FROM messages")) == 3
    assert session.scalar(text("SELECT count(*) FROM document_lines")) == 3


def test_what_is_rolled_back_gives_its_numbers_back(session: Session, world: World) -> None:
    claim = world.claim(world.agreement(), [5_000])
    with session.begin_nested() as point:
        issued(session, [claim])
        point.rollback()
    session.expire_all()
    assert issued(session, [claim])[0].number == FIRST


def test_credit_is_used_first_and_an_invoice_it_pays_wholly_is_still_issued(session: Session, world: World) -> None:
    part, whole = world.agreement(), world.agreement()
    claims = [world.claim(part, [10_000]), world.claim(whole, [2_000])]
    world.credit(part, 3_000)
    world.credit(whole, 2_500)
    documents = issued(session, claims)
    assert [(document.total_ore, document.credit_used_ore) for document in documents] == [
        (10_000, 3_000),
        (2_000, 2_000),
    ]
    assert all(document.kid and document.due_on for document in documents)
    settled = session.execute(text("SELECT settled_ore FROM claims ORDER BY id")).scalars().all()
    assert settled == [3_000, 2_000]


def test_a_card_that_was_given_up_is_told_so(session: Session, world: World) -> None:
    claim = world.claim(world.agreement(method="card"), [20_000], kind="card")
    issued(session, [claim])
    assert session.scalars(select(Message.template)).all() == ["card_failed"]


def test_a_receipt_is_numbered_marked_paid_and_has_the_fee(session: Session, world: World) -> None:
    claim = world.claim(world.agreement(method="card"), [20_000], kind="card", fee_ore=450)
    paid = {"brand": "visa", "last4": "4242", "on": "2026-02-01"}
    document_id = issue_receipt(session, claim, paid_by=paid, seller=SELLER, now=FEBRUARY)
    assert issue_receipt(session, claim, paid_by=paid, seller=SELLER, now=FEBRUARY) == document_id
    document = session.get_one(Document, document_id)
    assert (document.number, document.kid, document.due_on, document.paid_by) == (FIRST, None, None, paid)
    assert (document.total_ore, document.fee_ore) == (20_450, 450)
    assert session.scalars(select(DocumentLine.kind).order_by(DocumentLine.line)).all() == ["toll", "card_fee"]
    assert session.scalars(select(Message.template)).all() == ["receipt"]


def test_a_claim_that_its_passages_do_not_add_up_to_is_not_presented(session: Session, world: World) -> None:
    claim = world.claim(world.agreement(), [5_000, 5_000])
    session.execute(text("UPDATE passages SET amount_ore = amount_ore + 1 WHERE id = (SELECT min(id) FROM passages)"))
    with pytest.raises(DocumentDiffers, match="10000 øre"):
        issued(session, [claim])


def test_passages_of_other_claims_and_unbilled_ones_stay_out(session: Session, world: World) -> None:
    agreement = world.agreement()
    claims = [world.claim(agreement, [1_000]), world.claim(agreement, [2_000])]
    world.passage(agreement, 500)
    assert [document.total_ore for document in issued(session, claims)] == [1_000, 2_000]


def test_numbers_taken_at_once_have_no_gap_and_none_twice(sessions: SessionFactory) -> None:
    taken: list[int] = []

    def block(size: int, *, keep: bool) -> None:
        with sessions() as session:
            first = take(session, "invoice", size)
            if keep:
                taken.extend(range(first, first + size))
                session.commit()

    threads = [threading.Thread(target=block, args=(size,), kwargs={"keep": size % 3 != 0}) for size in range(1, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(FIRST, FIRST + len(taken)))


def test_a_series_that_is_full_says_so(session: Session) -> None:
    session.add(NumberSeries(series="invoice", next_number=LAST))
    session.flush()
    assert take(session, "invoice", 1) == LAST
    with pytest.raises(SeriesFull):
        take(session, "invoice", 1)
