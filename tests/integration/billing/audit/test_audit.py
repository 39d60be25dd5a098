"""The audit finds nothing in whole books, and finds every kind of tampering and names it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.agreements.close import close, close_reached
from accounts.chargers.keep import ChargerGiven, keep_charger
from accounts.vehicles.register import register
from accounts.vehicles.remove import remove
from accounts.vehicles.tags import issue as issue_tag
from billing.audit.audit import RULES, audit
from billing.claims import credit
from billing.claims.make import make
from billing.claims.settle import Settlement, settle
from billing.collection.overdue import find_reach, step
from billing.invoices.receipt import issue_receipt
from billing.ledger.book import Account, Entry, book
from billing.roadside.lists.acknowledge import acknowledge
from billing.roadside.lists.cut import cut
from billing.roadside.lists.release import release
from config.clock import move_clock
from config.database import touched
from simulator.bank import BankPayment
from tests.integration.billing.audit.accounted import accounted
from tests.integration.billing.audit.by_vipps import by_vipps
from tests.integration.billing.audit.corrected import corrections
from tests.integration.billing.audit.credits import credits
from tests.integration.billing.audit.disputed import disputes
from tests.integration.billing.audit.given_back import given_back
from tests.integration.billing.audit.masses import masses
from tests.integration.billing.audit.settled import settle_with_charger
from tests.integration.billing.audit.spoilings import ALSO, TAMPERED
from tests.integration.billing.books import DAY, DUE, ISSUED, JANUARY, OURS, SELLER, Books, body, noon
from tests.integration.conftest import Bearer

WHOLE = 8
TODAY = DUE + 4 * DAY
NOW = noon(TODAY)


def furnish(books: Books) -> None:
    """A world with one of everything that the rules look at."""
    session = books.session
    paid = books.invoice(books.agreement(), 10_000, 2_345)
    books.pay(paid.kid, 15_000, DUE - 5 * DAY)  # too much: credit
    books.invoice(paid.agreement, 1_000, run="later", due=DUE + 30 * DAY)  # which is used here
    unpaid = books.invoice(books.agreement(), 8_000)
    reversed_ = books.invoice(books.agreement(), 6_000, due=DUE + 30 * DAY)
    books.pay(reversed_.kid, 7_000, DUE - 4 * DAY)
    back = BankPayment(reversed_.kid, 7_000, DUE - 3 * DAY, type=18)
    books.receive(books.file(back, BankPayment("", 9_000, DUE - 3 * DAY)), DUE - 2 * DAY)
    books.pay("12345678", 500, DUE - 3 * DAY)
    away = BankPayment("12345678", 500, DUE - 2 * DAY, type=18)
    books.receive(books.file(away, BankPayment("", 600, DUE - 2 * DAY)), DUE - DAY)
    step(session, find_reach(session, [OURS], TODAY), 0, TODAY, NOW)
    assert books.standing(unpaid.agreement) == "blocked"
    _card(books)
    _move(books)
    credits(books, NOW)
    given_back(books, NOW)
    accounted(books, NOW)
    by_vipps(books, NOW)
    corrections(books)
    disputes(books)
    masses(books, NOW)
    _registered(books)
    books.passages(books.agreement(), 4_000)
    external = books.passages(unpaid.agreement, 3_000)[0]
    session.execute(text("UPDATE passages SET external = true, owed = false WHERE id = :id"), {"id": external})
    session.execute(text("UPDATE records SET code = 'other_agreement' WHERE passage_id = :id"), {"id": external})
    books.count("accepted", -3_000, -1)
    books.count("other_agreement", 3_000)
    _told(books)
    _listed(books)
    session.execute(
        text("UPDATE balances SET unbilled_ore = 0, unbilled_count = 0, open_since = NULL WHERE agreement_id = :a"),
        {"a": unpaid.agreement},
    )
    session.execute(text("DELETE FROM transfers WHERE code = 'passages' AND amount_ore = 3000"))
    settle_with_charger(books)
    move_clock(session, NOW, running=False)


def _registered(books: Books) -> None:
    """A passage that names the registration of its vehicle."""
    agreement = books.agreement()
    row = register(
        books.session, agreement, "NO", "EK12345", valid_from=JANUARY, now=JANUARY, actor="test"
    ).registration
    (passage,) = books.passages(agreement, 700)
    named = "UPDATE passages SET registration_id = :r WHERE id = :id"
    books.session.execute(text(named), {"r": row.id, "id": passage})


def _card(books: Books) -> None:
    """A commercial card charged, with its fee and receipt."""
    session, agreement = books.session, books.agreement()
    books.passages(agreement, 20_000)
    card = books.one(
        "INSERT INTO cards (agreement_id, payment_method, brand, last4, exp_month, exp_year, funding, segment, "
        "segment_source, is_default, registered_at) VALUES (:a, 'pm_1', 'visa', '4242', 11, 2028, 'debit', "
        "'commercial', 'provider', true, :now) RETURNING id",
        a=agreement,
        now=ISSUED,
    )
    charge = books.one(
        "INSERT INTO charges (agreement_id, cause, next_at, due_at) VALUES (:a, 'threshold', :now, :now) RETURNING id",
        a=agreement,
        now=ISSUED,
    )
    (claim,) = make(session, [agreement], "card", f"charge:{charge}", "", ISSUED, 20_000, ISSUED)
    session.execute(
        text("UPDATE charges SET state = 'succeeded', claim_id = :claim, amount_ore = 20000, ended_at = :now"),
        {"claim": claim.claim_id, "now": ISSUED},
    )
    session.execute(text("UPDATE claims SET fee_ore = 450 WHERE id = :claim"), {"claim": claim.claim_id})
    fee = Entry(Account("receivable", agreement), Account("card_fees"), 450, "card_fee", claim.claim_id)
    book(session, [fee], booked_on=ISSUED.date(), now=ISSUED)
    attempt = books.one(
        "INSERT INTO attempts (charge_id, number, card_id, amount_ore, fee_ore, state, idempotency_key, provider_ref, "
        "started_at, called_at, asked_at, ended_at) "
        "VALUES (:charge, 1, :card, 20450, 450, 'succeeded', 'k', 'pi_1', :now, :now, :now, :now) RETURNING id",
        charge=charge,
        card=card,
        now=ISSUED,
    )
    settle(session, [Settlement(claim.claim_id, "card", attempt, 20_450, ISSUED.date())], ISSUED.date(), ISSUED, "t")
    issue_receipt(
        session, claim.claim_id, paid_by={"brand": "visa", "last4": "4242", "on": "2026-02-01"}, seller=SELLER,
        now=ISSUED,
    )  # fmt: skip
    charged = "UPDATE balances SET last_charged_on = :on WHERE agreement_id = :a"
    session.execute(text(charged), {"on": ISSUED.date(), "a": agreement})
    late = books.one(
        "INSERT INTO attempts (charge_id, number, card_id, amount_ore, fee_ore, state, credited, idempotency_key, "
        "provider_ref, started_at, called_at, asked_at, ended_at) "
        "VALUES (:charge, 2, :card, 20450, 450, 'succeeded', true, 'l', 'pi_2', :now, :now, :now, :now) RETURNING id",
        charge=charge,
        card=card,
        now=ISSUED,
    )
    credit.add(session, [credit.Gain(agreement, late, 20_450, ISSUED.date())], "card_extra", ISSUED.date(), ISSUED)


def _told(books: Books) -> None:
    """A vehicle taken off, an agreement closed; and a charger that comes later, to whom only that is told."""
    session, agreement = books.session, books.agreement()
    row = register(session, agreement, "NO", "EL12345", valid_from=JANUARY, now=JANUARY, actor="test").registration
    remove(session, agreement, row.id, ends_at=ISSUED, reason=None, now=ISSUED, actor="test")
    close(session, books.agreement(), at=ISSUED + DAY, now=ISSUED, actor="test")
    keep_charger(session, ChargerGiven("KYST", "Kystveien AS", "toll"), ISSUED)
    close(session, books.agreement(), at=NOW, now=ISSUED + DAY, actor="test")
    close_reached(session, NOW)


def _listed(books: Books) -> None:
    """A charger that takes a list: a full one, acknowledged, and then what has changed, sent and not acknowledged."""
    session = books.session
    charger, _ = keep_charger(
        session, ChargerGiven("BRO", "Broselskapet AS", "toll", lists="pull", list_types="tags"), ISSUED
    )
    issue_tag(session, books.agreement(), "T4711", "9578010000000004711", None, now=ISSUED)
    release(session, ISSUED)
    cut(session, charger, "tags", "full", ISSUED)
    acknowledge(session, charger, "tags", 1, accepted=True, now=ISSUED + DAY)
    close(session, books.agreement(), at=NOW, now=NOW, actor="test")
    release(session, NOW)
    cut(session, charger, "tags", "incremental", NOW)
    sent = "UPDATE list_versions SET state = 'sent', sent_at = made_at, attempts = 1 WHERE version = 2"
    session.execute(text(sent))


_COPY = """
    INSERT INTO passages (id, booked_at, agreement_id, charger_id, source_id, batch_id, reverses_id, passed_at,
        passed_offset, station, project, service, country, plate, vehicle_class, list_ore, amount_ore, vat_bp, flags,
        external, owed)
    SELECT nextval('passage_ids'), :at, :agreement, charger_id, source_id, batch_id, :reverses, passed_at,
        passed_offset, station, project, service, country, plate, vehicle_class, :sign * list_ore,
        :sign * amount_ore, vat_bp, flags, external, owed FROM passages WHERE id = :id RETURNING id
"""


def _move(books: Books) -> None:
    """A passage moved from the agreement that sold the car to the one that bought it."""
    seller, buyer = books.agreement(), books.agreement()
    (passage,) = books.passages(seller, 2_500)
    counter = books.one(_COPY, agreement=seller, reverses=passage, sign=-1, id=passage, at=ISSUED)
    fresh = books.one(_COPY, agreement=buyer, reverses=None, sign=1, id=passage, at=ISSUED)
    for sql in (
        "INSERT INTO reversals (passage_id, counter_id, replaced_by, cause, actor, at) "
        "VALUES (:p, :c, :n, 'moved', 'test', :at)",
        "UPDATE balances SET unbilled_ore = 0, unbilled_count = 2 WHERE agreement_id = :seller",
        "INSERT INTO balances (agreement_id, unbilled_ore, unbilled_count, open_since) "
        "VALUES (:buyer, 2500, 1, :since)",
    ):
        books.session.execute(
            text(sql),
            {"p": passage, "c": counter, "n": fresh, "at": ISSUED, "since": ISSUED, "seller": seller, "buyer": buyer},
        )
    payable = Account("payable", books.charger)
    book(
        books.session,
        [
            Entry(payable, Account("unbilled"), 2_500, "reversed", counter, "moved"),
            Entry(Account("unbilled"), payable, 2_500, "passages", fresh, "moved"),
        ],
        booked_on=ISSUED.date(),
        now=ISSUED,
    )


def test_whole_books_have_no_difference(books: Books) -> None:
    furnish(books)
    report = audit(books.session)
    assert [check for check in report.checks if not check.ok] == []
    assert report.ok
    assert len(report.checks) == len(RULES)


def test_empty_books_are_whole(session: Session) -> None:
    assert audit(session).first_difference is None


def test_every_rule_is_tampered_with() -> None:
    assert sorted(TAMPERED) == sorted(rule.name for rule in RULES)


@pytest.mark.slow
def test_tampering_is_named(books: Books) -> None:
    """One world, each tampering in a savepoint of its own: the rule that it breaks says so.

    Asked is that rule; for some tamperings the whole audit, which is hundreds of statements, finds it among the others.
    """
    furnish(books)
    books.session.commit()
    session, missed = books.session, []
    session.execute(text("SET LOCAL session_replication_role = replica"))
    for number, (name, sql) in enumerate((*TAMPERED.items(), *ALSO)):
        with session.begin_nested() as savepoint:
            changed = touched(session.execute(text(sql)))
            report = audit(session, None if number % WHOLE == 0 else [name])
            found = {check.name for check in report.checks if not check.ok}
            if not changed or name not in found or report.first_difference is None:
                missed.append((name, sql, changed, sorted(found)))
            savepoint.rollback()
    assert missed == []


def test_the_first_difference_names_rule_and_row(books: Books) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    books.pay(invoice.kid, 4_000, DUE - DAY)
    move_clock(books.session, NOW, running=False)
    books.session.execute(text("UPDATE transfers SET amount_ore = 3999 WHERE code = 'allocation'"))
    report = audit(books.session)
    assert report.first_difference == (
        f"ledger_receivable: agreement {invoice.agreement}, account receivable: ledger 6001 øre, detail 6000 øre"
    )
    assert [c.name for c in report.checks if not c.ok] == [
        "ledger_receivable",
        "ledger_suspense",
        "transfers_allocations",
    ]


@pytest.mark.parametrize(("role", "status"), [("operator", 200), ("accountant", 200), ("agent", 403)])
def test_over_http(books: Books, client: FlaskClient, bearer: Bearer, role: str, status: int) -> None:
    books.invoice(books.agreement(), 10_000)
    move_clock(books.session, NOW, running=False)
    books.session.execute(text("UPDATE claims SET settled_ore = 1"))
    books.session.commit()
    answer = client.get("/v1/audit", headers=bearer(role))
    assert answer.status_code == status
    if status == 200:
        assert body(answer)["ok"] is False
        assert body(answer)["first_difference"].startswith("ledger_receivable: agreement ")


def test_it_reads_one_snapshot(books: Books, session: Session) -> None:
    books.session.commit()
    audit(session)
    assert session.execute(text("SHOW transaction_isolation")).scalar_one() == "repeatable read"
