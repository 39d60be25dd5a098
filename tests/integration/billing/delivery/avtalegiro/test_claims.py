"""Claims, cancellations and receipts, with the bank beside: all the way to paid, and each way it can fail."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import netsgiro
import pytest

from billing.audit.audit import audit
from billing.claims.structures import OURS, KidStructure, known
from billing.delivery.avtalegiro import answers
from billing.delivery.avtalegiro.answers import take_receipt
from billing.delivery.avtalegiro.channel import AvtaleGiro, Payee
from billing.delivery.avtalegiro.claims import write_claims
from billing.delivery.avtalegiro.mandates import take_mandates
from billing.delivery.port import No, Reader, Yes
from config.clock import now_utc
from simulator.bank_avtalegiro import AvtaleGiroBank, Fault, MandateAtBank, _mandate_file, read_claim_file
from tests.integration.billing.delivery.avtalegiro.conftest import ACCOUNT, DUE, TODAY, Bank

DAY = dt.timedelta(days=1)
HEAD = "Liste;Filnavn;Forsendelsesnr;Oppdragsnr;Oppdragstype;Transaksjonsnr;KID;Status;Melding"


def answer(bank: Bank, *rows: str) -> answers.ReceiptTaken:
    data = "".join(f"{row}\r\n" for row in (HEAD, *rows)).encode("iso-8859-1")
    with bank.sessions.begin() as session:
        return take_receipt(session, data, bank.now, real=now_utc())


def files(bank: Bank) -> list[tuple[str, int, str]]:
    query = "SELECT kind, number, state FROM delivery_files WHERE direction = 'out' ORDER BY id"
    return [(row.kind, row.number, row.state) for row in bank.rows(query)]


def put_out(bank: Bank) -> list[Path]:
    return sorted(bank.settings.avtalegiro_outbox.glob("*.txt"))


def test_from_a_mandate_to_paid(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    document = bank.invoice(agreement)
    assert bank.write() == {"claims": 1, "files": 1, "put": 1, "unanswered": 0}
    [row] = bank.rows("SELECT * FROM deliveries WHERE channel = 'avtalegiro'")
    [doc] = bank.rows("SELECT * FROM documents")
    assert (row.state, row.file_line, row.partner_ref, row.attempts, row.cost_ore) == ("sent", 1, doc.kid, 1, 100)
    assert row.sent_at == bank.now
    [path] = put_out(bank)
    read = netsgiro.parse(path.read_bytes().decode("iso-8859-1"))
    [claim] = read.assignments[0].transactions
    assert isinstance(claim, netsgiro.PaymentRequest)
    assert (claim.kid, claim.date, int(claim.amount * 100), claim.type.value) == (doc.kid, DUE, 31_250, 2)
    assert (claim.payer_name, claim.reference) == ("Kari Nordm", f"Faktura {doc.number}")
    bank.payers.work()
    bank.inbox()
    assert bank.deliveries() == [("delivered", None)]
    assert files(bank) == [("claims", 1, "accepted")]
    assert bank.payers.pay_due(DUE) == 1
    bank.at(DUE + DAY)
    bank.house.send_until(DUE + DAY)
    assert bank.inbox()["payments"] == 1
    [paid] = bank.rows("SELECT kind, state, amount_ore FROM payments")
    assert (paid.kind, paid.state, paid.amount_ore) == ("15", "settled", 31_250)
    [claim_row] = bank.rows("SELECT c.amount_ore - c.settled_ore AS open FROM claims AS c JOIN documents AS d "
                            "ON d.claim_id = c.id WHERE d.id = :id", id=document)  # fmt: skip
    assert claim_row.open == 0


def test_nothing_goes_twice(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.write()
    [path] = put_out(bank)
    before = path.read_bytes()
    assert bank.write() == {"put": 0, "unanswered": 0}
    # Dead between putting and noting: the same name and bytes again is harmless.
    bank.execute("UPDATE delivery_files SET state = 'made' WHERE direction = 'out'")
    assert bank.write() == {"put": 1, "unanswered": 0}
    assert [p.read_bytes() for p in put_out(bank)] == [before]


def test_file_and_deliveries_are_one_transaction(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    payee = Payee.of(bank.settings)
    assert payee is not None
    session = bank.sessions()
    assert write_claims(session, payee, now=bank.now, real=now_utc()) is not None
    session.rollback()
    session.close()
    assert (bank.deliveries(), files(bank)) == ([("queued", None)], [])
    bank.write()
    assert files(bank) == [("claims", 1, "put")]  # and the number has no gap


def test_what_cannot_be_written_costs_its_neighbours_nothing(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    for ore in (10_000, 20_000, 30_000):
        bank.invoice(agreement, ore)
    bank.execute("UPDATE documents SET kid = 'x' WHERE total_ore = 20000")
    bank.write()
    assert [state for state, _ in bank.deliveries()] == ["sent", "failed", "sent"]
    assert "a KID is" in str(bank.deliveries()[1][1])
    [path] = put_out(bank)
    [order] = read_claim_file(path.read_bytes()).orders
    assert [(asked.number, asked.amount_ore) for asked in order.asked] == [(1, 10_000), (2, 30_000)]
    lines = [row.file_line for row in bank.rows("SELECT file_line FROM deliveries WHERE state = 'sent' ORDER BY id")]
    assert lines == [1, 2]


def test_what_is_open_is_claimed_and_nothing_of_what_is_paid(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement, 10_000)
    bank.invoice(agreement, 20_000)
    bank.execute("UPDATE claims SET settled_ore = CASE passages_ore WHEN 10000 THEN 10000 ELSE 4000 END")
    bank.write()
    assert bank.deliveries() == [("dropped", "paid"), ("sent", None)]
    [path] = put_out(bank)
    [order] = read_claim_file(path.read_bytes()).orders
    assert [asked.amount_ore for asked in order.asked] == [16_000]


@pytest.mark.parametrize(
    ("made", "due", "policy", "wants", "beside", "code"),
    [
        (TODAY, DUE, "own", True, False, "02"),
        (TODAY, DUE, "bank", False, False, "02"),
        (TODAY, DUE, "bank", True, True, "02"),
        (TODAY, dt.date(2026, 3, 16), "bank", True, False, "21"),
        (TODAY, DUE, "bank", True, False, "too_late"),
        (TODAY, TODAY + 3 * DAY, "own", False, False, "too_late"),
        (TODAY, dt.date(2027, 2, 3), "own", False, False, "too_far_ahead"),
    ],
)
def test_who_tells_and_in_time(
    bank: Bank, made: dt.date, due: dt.date, policy: str, wants: bool, beside: bool, code: str
) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement, notice=wants)
    bank.execute("UPDATE customers SET efaktura_beside = :beside", beside=beside)
    bank.at(made)
    bank.invoice(agreement, due_on=due)
    bank.notice = policy
    bank.write()
    if len(code) > 2:
        assert bank.deliveries() == [("failed", code)]
        assert put_out(bank) == []
        return
    [path] = put_out(bank)
    [asked] = read_claim_file(path.read_bytes()).orders[0].asked
    assert asked.code == code
    assert bool(asked.text) == (code == "21")
    if asked.text:
        bank.payers.work()
        [(_, words)] = bank.payers.told
        for part in ("Brikke Eksempel AS", "312,50 kr", "16. mars 2026", "AvtaleGiro"):
            assert part in words
        assert ACCOUNT not in words


def test_the_text_is_in_the_readers_language(bank: Bank) -> None:
    agreement = bank.agreement(language="en")
    bank.mandate(agreement, notice=True)
    bank.invoice(agreement, due_on=dt.date(2026, 3, 16))
    bank.notice = "bank"
    bank.write()
    [path] = put_out(bank)
    [asked] = read_claim_file(path.read_bytes()).orders[0].asked
    assert any("You need not pay it yourself" in line for line in asked.text)
    assert asked.reference.startswith("Invoice ")


def test_a_mandate_that_has_ended_since_is_not_claimed_on(bank: Bank) -> None:
    agreement = bank.agreement()
    kid = bank.mandate(agreement)
    bank.invoice(agreement)
    bank.payers.end(kid)
    bank.payers.send_mandates(TODAY)
    bank.inbox()
    bank.write()
    assert bank.deliveries() == [("failed", "no_mandate")]
    assert bank.rows("SELECT FROM procrastinate_jobs WHERE task_name = 'deliveries' AND status = 'todo'")


def test_a_file_refused_is_written_anew_under_a_new_number(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    for fault in (Fault.UNREADABLE, Fault.REFUSED):
        bank.payers.fail(fault)
        bank.write()
        bank.payers.work()
        bank.inbox()
        assert bank.deliveries() == [("queued", "file_refused")]
    bank.write()
    bank.payers.work()
    bank.inbox()
    assert files(bank) == [("claims", 1, "refused"), ("claims", 2, "refused"), ("claims", 3, "accepted")]
    assert bank.deliveries() == [("delivered", None)]
    assert len(bank.payers.waits()) == 1


def test_files_refused_again_and_again_fail(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    for _ in range(answers.TRIES):
        bank.payers.fail(Fault.REFUSED)
        bank.write()
        bank.payers.work()
        bank.inbox()
    assert bank.deliveries() == [("failed", "file_refused")]
    assert bank.write() == {"put": 0, "unanswered": 0}


def test_a_claim_over_the_limit_is_refused_and_its_neighbour_is_not(bank: Bank) -> None:
    small, large = bank.agreement(), bank.agreement()
    bank.mandate(small, limit_ore=50_000)
    bank.mandate(large, limit_ore=10_000)
    bank.invoice(small)
    bank.invoice(large)
    bank.write()
    bank.payers.work()
    bank.inbox()
    assert bank.deliveries() == [("delivered", None), ("failed", "limit")]
    [row] = bank.rows("SELECT proof FROM deliveries WHERE state = 'failed' AND channel = 'avtalegiro'")
    assert "høyere beløp" in row.proof["refused"]["text"]
    assert bank.rows("SELECT FROM procrastinate_jobs WHERE task_name = 'deliveries' AND status = 'todo'")


def test_receipts_twice_late_and_of_nothing_of_ours(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.payers.fail(Fault.REPEATED)
    bank.write()
    bank.payers.work()
    assert bank.inbox()["receipts"] == 2
    assert bank.deliveries() == [("delivered", None)]
    taken = answer(
        bank,
        "L226;;0000099;;;;;Godkjent;",
        "L226;;1;1;AvtaleGiro korreksjoner;;;Godkjent;",
        "L00202;;1;1;AvtaleGiro;7;;Avvist;FBO finnes ikke",
        "L00202;;1;1;AvtaleGiro;1;99999999;Avvist;FBO finnes ikke",
        "L226;;1;1;AvtaleGiro;;;Avvist;likevel",
    )
    assert [note.split(":")[0] for note in taken.notes] == ["line 2", "line 3", "line 4", "line 5"]
    assert bank.deliveries() == [("queued", "file_refused")]  # refused after all
    late = answer(bank, "L226;;1;1;AvtaleGiro;;;Godkjent;")
    assert "look into it" in late.notes[0]
    assert bank.deliveries() == [("queued", "file_refused")]
    assert answer(bank, "L226;;1;1;AvtaleGiro;;;Godkjent;").state == "already"


def test_a_refusal_after_the_acceptance_fails_it(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.write()
    answer(bank, "L226;;1;1;AvtaleGiro;;;Godkjent;")
    [doc] = bank.rows("SELECT kid FROM documents")
    answer(bank, f"L00202;;1;1;AvtaleGiro;1;{doc.kid};Advarsel;Noe")
    assert bank.deliveries() == [("delivered", None)]
    answer(bank, f"L00202;;1;1;AvtaleGiro;1;{doc.kid};Avvist;FBO finnes ikke")
    assert bank.deliveries() == [("failed", "no_mandate")]


def test_a_lost_file_is_missed(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.payers.fail(Fault.LOST)
    bank.write()
    bank.payers.work()
    bank.at(TODAY + 2 * DAY)
    assert bank.write()["unanswered"] == 0
    bank.at(TODAY + 3 * DAY)
    assert bank.write()["unanswered"] == 1


def end(bank: Bank) -> None:
    """As the core does where another channel is to present it."""
    bank.execute("UPDATE deliveries SET state = 'ending' WHERE channel = 'avtalegiro'")


def test_a_claim_is_taken_back(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.write()
    bank.payers.work()
    bank.inbox()
    end(bank)
    assert bank.write() == {"cancellations": 1, "files": 1, "put": 1, "unanswered": 0}
    assert bank.write() == {"put": 0, "unanswered": 0}  # asked for once
    [path] = put_out(bank)
    [cancel] = netsgiro.parse(path.read_bytes().decode("iso-8859-1")).assignments[0].transactions
    [doc] = bank.rows("SELECT kid FROM documents")
    assert isinstance(cancel, netsgiro.PaymentRequest)
    assert (cancel.type.value, cancel.kid, cancel.date, int(cancel.amount * 100)) == (93, doc.kid, DUE, 31_250)
    bank.payers.work()
    bank.inbox()
    assert bank.deliveries() == [("ended", None)]
    assert bank.payers.waits() == []


@pytest.mark.parametrize(("what", "left"), [("due", 31_250), ("part", 21_250), ("paid", 0), ("credited", 0)])
def test_what_is_to_be_paid_otherwise_is_taken_back_and_claimed_anew(bank: Bank, what: str, left: int) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    document = bank.invoice(agreement)
    bank.write()
    bank.payers.work()
    bank.inbox()
    later = DUE + 2 * DAY
    if what == "due":
        bank.execute("UPDATE claims SET due_on = :later", later=later)
    elif what == "credited":
        bank.execute(
            "INSERT INTO documents (number, kind, claim_id, agreement_id, language, issued_on, period_from, period_to, "
            "total_ore, seller, buyer, template, made_at, credits_id) SELECT number + 1, 'credit_note', claim_id, "
            "agreement_id, language, issued_on, period_from, period_to, -total_ore, seller, buyer, template, made_at, "
            "id FROM documents WHERE id = :id",
            id=document,
        )
    else:
        bank.execute("UPDATE claims SET settled_ore = :paid", paid=31_250 - left)
    assert bank.write() == {"amended": 1, "cancellations": 1, "files": 1, "put": 1, "unanswered": 0}
    assert bank.deliveries() == [("ending", "amended")]
    bank.payers.work()
    bank.inbox()
    assert bank.payers.waits() == []
    assert bank.deliveries() == [("queued", "amended")]
    bank.write()
    if not left:
        assert bank.deliveries() == [("dropped", "credited" if what == "credited" else "paid")]
        return
    bank.payers.work()
    bank.inbox()
    assert bank.deliveries() == [("delivered", None)]
    [asked] = bank.payers.waits()
    assert (asked.amount_ore, asked.due_on) == (left, later if what == "due" else DUE)
    assert bank.write() == {"put": 0, "unanswered": 0}  # as it is claimed, so it is to be paid


def test_a_claim_whose_cancellation_is_refused_is_not_claimed_beside(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.write()
    bank.payers.work()
    bank.inbox()
    bank.execute("UPDATE claims SET settled_ore = 10000")
    bank.write()
    answer(
        bank,
        "L226;;2;2;AvtaleGiro korreksjoner;;;Godkjent;",
        "L00202;;2;2;AvtaleGiro korreksjoner;1;;Avvist;For sent",
    )
    assert bank.deliveries() == [("delivered", "cancel_refused")]
    [row] = bank.rows("SELECT proof FROM deliveries WHERE channel = 'avtalegiro'")
    assert row.proof["amended"][0]["amount_ore"] == 31_250
    assert bank.write() == {"put": 0, "unanswered": 0}


def test_what_cannot_be_taken_back_any_more_is_not_amended(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.write()
    bank.execute("UPDATE claims SET settled_ore = 10000")
    bank.at(dt.date(2026, 2, 13), 15)
    bank.write()
    assert bank.deliveries() == [("sent", None)]


def test_what_was_never_sent_ends_at_once(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    end(bank)
    assert bank.write() == {"put": 0, "unanswered": 0}
    assert bank.deliveries() == [("ended", None)]


@pytest.mark.parametrize(("hour", "state"), [(13, ("ending", None)), (15, ("delivered", "too_late_to_cancel"))])
def test_until_fourteen_on_the_last_bank_day_before(bank: Bank, hour: int, state: tuple[str, str | None]) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.write()
    end(bank)
    bank.at(dt.date(2026, 2, 13), hour)  # the Friday before the Monday it is due
    bank.write()
    assert bank.deliveries() == [state]


def test_a_cancellation_refused_stands_and_a_file_of_them_refused_is_asked_again(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement)
    bank.invoice(agreement)
    bank.write()
    bank.payers.work()
    bank.inbox()
    end(bank)
    bank.payers.fail(Fault.REFUSED)
    bank.write()
    bank.payers.work()
    bank.inbox()
    assert bank.deliveries() == [("ending", None)]
    assert bank.write()["cancellations"] == 1
    answer(bank, "L226;;4;4;AvtaleGiro korreksjoner;;;Godkjent;")
    assert bank.deliveries() == [("ended", None)]
    answer(bank, "L00202;;4;4;AvtaleGiro korreksjoner;1;;Avvist;Betalingskravet finnes ikke")
    assert bank.deliveries() == [("delivered", "cancel_refused")]


def test_an_older_mandate_is_claimed_by_its_own_kid_and_the_payment_is_found(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = KidStructure("old", 17, 7, "customer", "mod10")
    structures = [*known(), old]
    monkeypatch.setattr("billing.claims.structures.known", lambda: tuple(structures))
    agreement = bank.agreement()
    number = bank.one("SELECT number FROM customers")
    bank.payers = AvtaleGiroBank(bank.settings.avtalegiro_outbox, bank.house, structures=((18, 8), (17, 7)))
    kid = old.make(f"{number:07}", 5)
    bank.payers.set_up(kid)
    with bank.sessions.begin() as session:
        take_mandates(session, _mandate_file([("1", MandateAtBank(kid, False))], ACCOUNT, 1, TODAY), bank.now)
    bank.invoice(agreement)
    bank.write()
    [doc] = bank.rows("SELECT * FROM documents")
    [row] = bank.rows("SELECT partner_ref, state FROM deliveries WHERE channel = 'avtalegiro'")
    assert (row.state, row.partner_ref) == ("sent", old.make(f"{number:07}", doc.number))
    bank.payers.work()
    bank.payers.pay_due(DUE)
    bank.at(DUE + DAY)
    bank.house.send_until(DUE + DAY)
    bank.inbox()
    [paid] = bank.rows("SELECT state, why, claim_id, kid FROM payments")
    assert (paid.state, paid.why, paid.claim_id, paid.kid) == ("settled", None, doc.claim_id, row.partner_ref)
    with bank.sessions() as session:
        checks = {check.name: check for check in audit(session).checks}
    assert checks["payments_states"].ok, checks["payments_states"].detail
    assert OURS in {structure.name for structure in structures}


def test_off_where_it_is_not_set_up(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.invoice(agreement)
    bank.settings = replace(bank.settings, avtalegiro_sender="")
    assert "not set up" in str(bank.write()["note"])
    assert bank.deliveries() == [("queued", None)]


def test_look_up() -> None:
    def reader(agreement: int, kid: str | None) -> Reader:
        return Reader(
            agreement, 10_000_000 + agreement, "private", "Kari", None, "k@example.no", None, "V 1", "0150", "Oslo",
            "NO", "nb", mandate_kid=kid,
        )  # fmt: skip

    readers = [reader(1, "100000011000001237"), reader(2, None)]
    payee = Payee("00987654", ACCOUNT, "Brikke")
    assert AvtaleGiro(payee).look_up(readers, TODAY) == {1: Yes("100000011000001237"), 2: No("no_mandate")}
    assert AvtaleGiro(None).look_up(readers, TODAY) == {1: No("not_set_up"), 2: No("not_set_up")}
