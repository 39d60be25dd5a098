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
from billing.audit.audit import RULES, audit
from billing.claims import credit
from billing.claims.make import make
from billing.claims.settle import Settlement, settle
from billing.collection.overdue import find_reach, step
from billing.invoices.receipt import issue_receipt
from billing.ledger.book import Account, Entry, book
from config.clock import move_clock
from simulator.bank import BankPayment
from tests.integration.billing.books import DAY, DUE, ISSUED, JANUARY, OURS, SELLER, Books, body, noon
from tests.integration.conftest import Bearer

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
    books.passages(books.agreement(), 4_000)
    external = books.passages(unpaid.agreement, 3_000)[0]
    session.execute(text("UPDATE passages SET external = true, owed = false WHERE id = :id"), {"id": external})
    session.execute(text("UPDATE records SET code = 'other_agreement' WHERE passage_id = :id"), {"id": external})
    books.count("accepted", -3_000, -1)
    books.count("other_agreement", 3_000)
    _told(books)
    session.execute(
        text("UPDATE balances SET unbilled_ore = 0, unbilled_count = 0, open_since = NULL WHERE agreement_id = :a"),
        {"a": unpaid.agreement},
    )
    session.execute(text("DELETE FROM transfers WHERE code = 'passages' AND amount_ore = 3000"))
    move_clock(session, NOW, running=False)


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
        "INSERT INTO attempts (charge_id, number, card_id, amount_ore, fee_ore, state, idempotency_key, started_at, "
        "called_at, asked_at) VALUES (:charge, 1, :card, 20450, 450, 'succeeded', 'k', :now, :now, :now) RETURNING id",
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
        "started_at, called_at, asked_at) "
        "VALUES (:charge, 2, :card, 20450, 450, 'succeeded', true, 'l', :now, :now, :now) RETURNING id",
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


_COPY = """
    INSERT INTO passages (id, booked_at, agreement_id, charger_id, source_id, batch_id, reverses_id, passed_at,
        passed_offset, station, project, service, country, plate, vehicle_class, list_ore, amount_ore, vat_bp, flags,
        external, owed)
    SELECT nextval('passage_ids'), booked_at, :agreement, charger_id, source_id, batch_id, :reverses, passed_at,
        passed_offset, station, project, service, country, plate, vehicle_class, list_ore, :sign * amount_ore, vat_bp,
        flags, external, owed FROM passages WHERE id = :id RETURNING id
"""


def _move(books: Books) -> None:
    """A passage moved from the agreement that sold the car to the one that bought it."""
    seller, buyer = books.agreement(), books.agreement()
    (passage,) = books.passages(seller, 2_500)
    counter = books.one(_COPY, agreement=seller, reverses=passage, sign=-1, id=passage)
    fresh = books.one(_COPY, agreement=buyer, reverses=None, sign=1, id=passage)
    for sql in (
        "INSERT INTO reversals (passage_id, counter_id, replaced_by, cause, actor, at) "
        "VALUES (:p, :c, :n, 'moved', 'test', :at)",
        "UPDATE balances SET unbilled_ore = 0, unbilled_count = 2 WHERE agreement_id = :seller",
        "INSERT INTO balances (agreement_id, unbilled_ore, unbilled_count, open_since) "
        "VALUES (:buyer, 2500, 1, :since)",
    ):
        books.session.execute(
            text(sql),
            {"p": passage, "c": counter, "n": fresh, "at": ISSUED, "since": JANUARY, "seller": seller, "buyer": buyer},
        )
    payable = Account("payable", books.charger)
    book(
        books.session,
        [
            Entry(payable, Account("unbilled"), 2_500, "reversed", counter),
            Entry(Account("unbilled"), payable, 2_500, "passages", fresh, "moved"),
        ],
        booked_on=ISSUED.date(),
        now=ISSUED,
    )


# One tampering (or more) a rule. `replica` switches foreign keys off, as a restore or a careless hand does.
TAMPERED = {
    "ledger_accounts": "UPDATE transfers SET credit = 'purse' WHERE code = 'claim'",
    "ledger_unbilled": "DELETE FROM transfers WHERE id = (SELECT min(id) FROM transfers WHERE debit = 'unbilled')",
    "ledger_receivable": "UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'credit_used'",
    "ledger_credit": "DELETE FROM transfers WHERE code = 'overpaid' AND amount_ore = 2655",
    "ledger_payable": "UPDATE passages SET owed = false WHERE id = (SELECT min(id) FROM passages)",
    "ledger_bank": "DELETE FROM transfers WHERE code = 'payment' AND amount_ore = 500",
    "ledger_suspense": "UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'payment' AND amount_ore = 9000",
    "ledger_card_clearing": "UPDATE transfers SET amount_ore = amount_ore - 1 WHERE code = 'card_payment'",
    "ledger_card_fees": "DELETE FROM transfers WHERE code = 'card_fee'",
    "transfers_claims": "UPDATE transfers SET debit_owner = debit_owner + 1 WHERE code = 'claim' "
    "AND amount_ore = 12345",
    "transfers_payments": "UPDATE transfers SET ref = ref + 1000 WHERE code = 'payment' AND amount_ore = 9000",
    "transfers_allocations": "UPDATE transfers SET ref = ref + 1000 WHERE code = 'allocation' AND amount_ore = 6000",
    "transfers_credit": "DELETE FROM transfers WHERE code = 'credit_back'",
    "balances_charged": "UPDATE balances SET last_charged_on = last_charged_on - 1 WHERE last_charged_on IS NOT NULL",
    "batches_counts": "UPDATE batches SET counts = counts || '{\"duplicate\": 1}'",
    "batches_passages": "UPDATE batches SET sums = '{}'",
    "publications_changes": "DELETE FROM publications WHERE status = 'blocked'",
    "balances": "UPDATE balances SET unbilled_ore = unbilled_ore + 1 WHERE unbilled_ore = 4000",
    "passages_one_place": "UPDATE passages SET claim_id = 1 WHERE external",
    "passages_unique": "INSERT INTO passages SELECT id, booked_at + interval '1 second', agreement_id, "
    "registration_id, charger_id, source_id, batch_id, reverses_id, passed_at, passed_offset, station, project, "
    "service, country, plate, pan, vehicle_class, list_ore, amount_ore, vat_bp, flags, external, owed, claim_id "
    "FROM passages WHERE amount_ore = 4000",
    "records_have_passages": "DELETE FROM passages WHERE amount_ore = 4000",
    "passages_have_records": "DELETE FROM records WHERE amount_ore = 4000",
    "reversals_have_counters": "UPDATE passages SET amount_ore = -2499 WHERE amount_ore = -2500",
    "counters_have_reversals": "DELETE FROM reversals",
    "moves_are_whole": "UPDATE passages SET amount_ore = 2499 WHERE id = (SELECT replaced_by FROM reversals)",
    "claims_passages": "UPDATE passages SET claim_id = NULL WHERE amount_ore = 2345",
    "claims_settled": "UPDATE claims SET settled_ore = settled_ore - 1 WHERE amount_ore = 12345",
    "allocations_sources": "UPDATE allocations SET source_id = 4711 WHERE source = 'card'",
    "credit_not_negative": "UPDATE credit_entries SET amount_ore = -5000 WHERE code = 'used'",
    "credit_used": "DELETE FROM credit_entries WHERE code = 'used'",
    "payments_placed": "UPDATE payments SET state = 'settled' WHERE amount_ore = 9000",
    "payments_owners": "UPDATE payments SET agreement_id = agreement_id + 1 WHERE amount_ore = 15000",
    "card_successes": "UPDATE attempts SET state = 'declined' WHERE state = 'succeeded'",
    "card_extra": "UPDATE attempts SET amount_ore = amount_ore + 1 WHERE credited",
    "bank_files": "UPDATE bank_files SET transactions = 0 WHERE id = (SELECT min(id) FROM bank_files)",
    "documents_numbers": "DELETE FROM documents WHERE number = (SELECT min(number) + 1 FROM documents)",
    "documents_claims": "UPDATE documents SET total_ore = total_ore + 1 WHERE total_ore = 8000",
    "claims_documents": "DELETE FROM documents WHERE number = (SELECT max(number) FROM documents)",
    "documents_lines": "UPDATE document_lines SET gross_ore = gross_ore + 1, net_ore = net_ore + 1 "
    "WHERE gross_ore = 8000",
    "documents_vat": "UPDATE document_lines SET net_ore = net_ore - 1, vat_ore = vat_ore + 1 WHERE gross_ore = 8000",
    "documents_kid": "UPDATE documents SET kid = '200000011000000015' WHERE total_ore = 8000",
    "standings_facts": "UPDATE agreements SET standing = 'open' WHERE standing = 'blocked'",
    "standings_history": "DELETE FROM standings WHERE standing = 'blocked'",
    "blocks_claims": "UPDATE blocks SET claims = '[4711]'",
    "passages_agreement_id": "UPDATE passages SET agreement_id = 4711 WHERE amount_ore = 4000",
    "passages_charger_id": "UPDATE passages SET charger_id = 4711 WHERE amount_ore = 4000",
    "passages_batch_id": "UPDATE passages SET batch_id = 4711 WHERE amount_ore = 4000",
    "passages_registration_id": "UPDATE passages SET registration_id = 4711 WHERE amount_ore = 4000",
    "records_charger_id": "UPDATE records SET charger_id = 4711 WHERE amount_ore = 4000",
    "records_batch_id": "UPDATE records SET batch_id = 4711 WHERE amount_ore = 4000",
    "batch_faults_batch_id": "INSERT INTO batch_faults (batch_id, position, code, detail, raw) "
    "VALUES (4711, 1, 'broken', '', '')",
    "balances_agreement_id": "INSERT INTO balances (agreement_id) VALUES (4711)",
    "balances_open_charge_id": "UPDATE balances SET open_charge_id = 4711 WHERE unbilled_ore = 4000",
    "allocations_agreement_id": "UPDATE allocations SET agreement_id = 4711 WHERE source = 'card'",
    "document_lines_document_id": "INSERT INTO document_lines (document_id, line, kind, vat_bp, count, gross_ore, "
    "net_ore, vat_ore) VALUES (4711, 1, 'toll', 0, 0, 0, 0, 0)",
    "renderings_document_id": "INSERT INTO renderings (document_id, template, sha256, pdf, made_at) "
    "VALUES (4711, 1, '', '', '2026-02-01')",
    "payments_agreement_id": "UPDATE payments SET agreement_id = 4711 WHERE amount_ore = 7000",
    "payments_claim_id": "UPDATE payments SET claim_id = 4711 WHERE amount_ore = 7000",
    "payments_reverses_id": "UPDATE payments SET reverses_id = 4711 WHERE amount_ore = -7000",
    "publications_agreement_id": "UPDATE publications SET agreement_id = 4711 WHERE status = 'blocked'",
    "publications_registration_id": "UPDATE publications SET registration_id = 4711 WHERE status = 'blocked'",
    "messages_agreement_id": "UPDATE messages SET agreement_id = 4711 WHERE template = 'blocked'",
    "messages_document_id": "UPDATE messages SET document_id = 4711 WHERE template = 'blocked'",
    "deliveries_agreement_id": "INSERT INTO deliveries (message_id, agreement_id, channel, next_at, queued_at) "
    "SELECT id, 4711, 'email', made_at, made_at FROM messages LIMIT 1",
    "removals_agreement_id": "INSERT INTO removals (registration_id, agreement_id, ends_at, requested_at, actor) "
    "VALUES (1, 4711, '2026-02-01', '2026-02-01', 'test')",
    "card_customers_agreement_id": "INSERT INTO card_customers (agreement_id, provider_customer, created_at) "
    "VALUES (4711, 'cus_1', '2026-02-01')",
}

# More ways to break a rule that says several things.
ALSO = (
    ("balances_charged", "UPDATE balances SET last_charged_on = NULL WHERE last_charged_on IS NOT NULL"),
    ("balances_charged", "UPDATE balances SET last_charged_on = '2026-02-01' WHERE unbilled_ore = 4000"),
    ("balances_charged", "UPDATE charges SET ended_at = ended_at + interval '22 hours' WHERE state = 'succeeded'"),
    ("batches_counts", "UPDATE batches SET done = done - 1"),
    ("batches_counts", "UPDATE batches SET done = done + 1, counts = counts || '{\"too_old\": 1}'"),
    ("batches_counts", "UPDATE records SET code = 'not_valid' WHERE amount_ore = 4000"),
    (
        "batches_counts",
        "INSERT INTO batch_faults (batch_id, position, code, detail, raw) "
        "SELECT id, 1, 'conflict', '', '' FROM batches",
    ),
    ("batches_passages", "UPDATE passages SET batch_id = 4711 WHERE amount_ore = 4000"),
    ("batches_passages", "UPDATE reversals SET replaced_by = NULL"),
    ("publications_changes", "DELETE FROM publications WHERE status = 'removed'"),
    (
        "publications_changes",
        "DELETE FROM publications WHERE status = 'ended' AND id = (SELECT max(id) "
        "FROM publications WHERE status = 'ended')",
    ),
    ("publications_changes", "UPDATE publications SET status = 'valid' WHERE status = 'blocked'"),
    (
        "publications_changes",
        "INSERT INTO publications (charger_id, agreement_id, registration_id, status, made_at) "
        "SELECT charger_id, agreement_id, registration_id, status, made_at FROM publications WHERE status = 'removed'",
    ),
    ("card_extra", "DELETE FROM credit_entries WHERE code = 'card_extra'"),
    ("card_extra", "UPDATE attempts SET state = 'nothing' WHERE credited"),
    ("allocations_sources", "UPDATE attempts SET credited = true WHERE state = 'succeeded'"),
    ("transfers_credit", "DELETE FROM transfers WHERE code = 'card_extra'"),
    ("ledger_card_clearing", "UPDATE attempts SET amount_ore = amount_ore + 1 WHERE credited"),
    ("balances", "UPDATE balances SET open_since = NULL WHERE unbilled_ore = 4000"),
    ("balances", "UPDATE balances SET open_since = open_since + interval '90 days' WHERE unbilled_ore = 4000"),
    ("balances", "UPDATE balances SET open_since = '2026-01-01' WHERE unbilled_count = 0"),
    ("credit_used", "UPDATE allocations SET value_date = value_date + 400 WHERE source = 'credit'"),
    ("payments_owners", "UPDATE payments SET claim_id = NULL WHERE amount_ore = 15000"),
    ("payments_owners", "UPDATE payments SET value_date = value_date - 400 WHERE amount_ore = 15000"),
    ("payments_owners", "UPDATE credit_entries SET agreement_id = agreement_id + 1 WHERE code = 'overpaid'"),
    ("payments_owners", "UPDATE credit_entries SET value_date = value_date + 1 WHERE code = 'reversed'"),
    ("payments_owners", "UPDATE allocations SET value_date = value_date + 1 WHERE source = 'reversal'"),
    ("bank_files", "UPDATE bank_files SET sum_ore = sum_ore + 1 WHERE id = (SELECT min(id) FROM bank_files)"),
    ("bank_files", "UPDATE bank_files SET transactions = transactions + 5"),
    ("bank_files", "UPDATE bank_assignments SET sum_ore = sum_ore + 1"),
    ("bank_files", "UPDATE bank_files SET state = 'refused' WHERE id = (SELECT min(id) FROM bank_files)"),
    ("bank_files", "UPDATE payments SET amount_ore = amount_ore + 1 WHERE amount_ore = 15000"),
    ("bank_files", "DELETE FROM payments WHERE amount_ore = 9000"),
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


def test_tampering_is_named(books: Books) -> None:
    """One world, each tampering in a savepoint of its own: the rule that it breaks says so."""
    furnish(books)
    books.session.commit()
    session, missed = books.session, []
    session.execute(text("SET LOCAL session_replication_role = replica"))
    for name, sql in (*TAMPERED.items(), *ALSO):
        with session.begin_nested() as savepoint:
            touched = session.execute(text(sql)).rowcount  # type: ignore[attr-defined]
            report = audit(session)
            found = {check.name for check in report.checks if not check.ok}
            if not touched or name not in found or report.first_difference is None:
                missed.append((name, sql, touched, sorted(found)))
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
