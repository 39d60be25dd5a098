"""Mandate files: what begins, changes and ends, who is told, and what nobody can be found for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from billing.claims.kid import make_kid
from billing.claims.structures import KidStructure, known
from billing.delivery.avtalegiro.lines import OcrFileError
from billing.delivery.avtalegiro.mandates import MandatesTaken, take_mandates
from simulator.bank import BankPayment
from simulator.bank_avtalegiro import MandateAtBank, _mandate_file
from tests.integration.billing.delivery.avtalegiro.conftest import ACCOUNT, TODAY, Bank

OLD = KidStructure("old", 17, 7, "customer", "mod10")


def file(*rows: tuple[str, str, bool], number: int = 1, account: str = ACCOUNT) -> bytes:
    return _mandate_file([(how, MandateAtBank(kid, notice)) for how, kid, notice in rows], account, number, TODAY)


def take(bank: Bank, content: bytes) -> MandatesTaken:
    with bank.sessions.begin() as session:
        return take_mandates(session, content, bank.now, accounts=[ACCOUNT], structures=[*known(), OLD])


def kid_of(bank: Bank, agreement: int, invoice: int = 1) -> str:
    return make_kid(bank.number(agreement), invoice)


def channel(bank: Bank, agreement: int) -> tuple[str, bool]:
    [row] = bank.rows(
        "SELECT k.channel, k.efaktura_beside FROM customers AS k JOIN agreements AS a ON a.customer_id = k.id "
        "WHERE a.id = :id",
        id=agreement,
    )
    return row.channel, row.efaktura_beside


def told(bank: Bank) -> list[tuple[int, str]]:
    return [
        (row.agreement_id, row.template)
        for row in bank.rows("SELECT agreement_id, template FROM messages WHERE template LIKE 'mandate%' ORDER BY id")
    ]


def standing(bank: Bank) -> list[tuple[int, str, bool]]:
    query = "SELECT agreement_id, kid, notice FROM mandates WHERE ended_at IS NULL ORDER BY id"
    return [(row.agreement_id, row.kid, row.notice) for row in bank.rows(query)]


def test_a_new_mandate_is_the_choice_and_its_holder_is_told(bank: Bank) -> None:
    agreement, other = bank.agreement(), bank.agreement()
    taken = take(bank, file(("1", kid_of(bank, agreement), True)))
    assert (taken.state, taken.begun, taken.changed, taken.deleted, taken.missing) == ("read", 1, 0, 0, 0)
    assert standing(bank) == [(agreement, kid_of(bank, agreement), True)]
    assert (channel(bank, agreement), channel(bank, other)) == (("avtalegiro", False), ("email", False))
    assert told(bank) == [(agreement, "mandate_begun")]


def test_the_same_file_again_changes_nothing(bank: Bank) -> None:
    agreement = bank.agreement()
    data = file(("1", kid_of(bank, agreement), True))
    first = take(bank, data)
    take(bank, file(("2", kid_of(bank, agreement), True), number=2))
    again = take(bank, data)
    assert (again.state, again.file_id, again.begun) == ("already", first.file_id, 0)
    assert standing(bank) == []


def test_the_file_is_kept_as_it_came(bank: Bank) -> None:
    data = file(("1", "12345678901", True))
    taken = take(bank, data)
    [row] = bank.rows("SELECT * FROM delivery_files")
    assert (row.id, row.direction, row.kind, row.state, bytes(row.content)) == (
        taken.file_id,
        "in",
        "mandates",
        "read",
        data,
    )
    assert "12345678901" in row.answer


def test_another_invoices_kid_is_the_same_mandate(bank: Bank) -> None:
    agreement = bank.agreement()
    take(bank, file(("1", kid_of(bank, agreement, 1), True)))
    taken = take(bank, file(("1", kid_of(bank, agreement, 2), False), number=2))
    assert (taken.begun, taken.changed) == (0, 1)
    assert standing(bank) == [(agreement, kid_of(bank, agreement, 2), False)]
    assert take(bank, file(("2", kid_of(bank, agreement, 3), False), number=3)).deleted == 1
    assert standing(bank) == []
    assert told(bank) == [(agreement, "mandate_begun"), (agreement, "mandate_ended")]


def test_what_ends_goes_to_best_digital(bank: Bank) -> None:
    agreement = bank.agreement()
    take(bank, file(("1", kid_of(bank, agreement), True)))
    take(bank, file(("2", kid_of(bank, agreement), True), number=2))
    assert channel(bank, agreement) == ("best_digital", False)
    [row] = bank.rows("SELECT ending, ended_at FROM mandates")
    assert (row.ending, row.ended_at) == ("deleted", bank.now)
    # What was chosen since stays, when it is told once more that it has ended.
    bank.execute("UPDATE customers SET channel = 'email'")
    assert take(bank, file(("2", kid_of(bank, agreement), False), number=3)).deleted == 0
    assert channel(bank, agreement) == ("email", False)
    assert take(bank, file(("1", kid_of(bank, agreement), True), number=4)).begun == 1
    assert len(told(bank)) == 3


def test_what_a_full_list_lacks_has_ended(bank: Bank) -> None:
    kari, ola, per = bank.agreement(), bank.agreement(), bank.agreement()
    take(bank, file(*(("1", kid_of(bank, one), True) for one in (kari, ola))))
    taken = take(bank, file(("0", kid_of(bank, kari), True), ("0", kid_of(bank, per), False), number=2))
    assert (taken.begun, taken.changed, taken.deleted, taken.missing) == (1, 0, 0, 1)
    assert [row[0] for row in standing(bank)] == [kari, per]
    assert [row.ending for row in bank.rows("SELECT ending FROM mandates WHERE ended_at IS NOT NULL")] == ["missing"]
    assert told(bank)[2:] == [(per, "mandate_begun"), (ola, "mandate_ended")]


@pytest.mark.parametrize("how", ["unreadable", "mixed", "none", "foreign"])
def test_a_list_that_is_not_surely_whole_ends_nothing(bank: Bank, how: str) -> None:
    kari, ola = bank.agreement(), bank.agreement()
    take(bank, file(*(("1", kid_of(bank, one), True) for one in (kari, ola))))
    rows = [("0", kid_of(bank, kari), True), ("0", kid_of(bank, kari, 2), True)]
    data = file(*rows, number=2)
    if how == "unreadable":
        data = data[: 82 * 3 + 41] + b"x" + data[82 * 3 + 42 :]  # the second one's wish
    elif how == "mixed":
        data = file(rows[0], ("1", kid_of(bank, kari, 2), True), number=2)
    elif how == "none":
        data = file(number=2)
    else:
        data = file(*rows, number=2, account="99991042764")
    taken = take(bank, data)
    assert taken.missing == 0
    assert bool(taken.notes) == (how != "none")
    assert [row[0] for row in standing(bank)] == [kari, ola]


def test_a_customer_keeps_the_choice_while_another_mandate_stands(bank: Bank) -> None:
    agreement = bank.agreement()
    second = bank.one(
        "INSERT INTO agreements (customer_id, payment_method, opened_at) "
        "SELECT customer_id, 'invoice', opened_at FROM agreements WHERE id = :id RETURNING id",
        id=agreement,
    )
    take(bank, file(("1", kid_of(bank, agreement), True), ("1", kid_of(bank, second), True)))
    take(bank, file(("2", kid_of(bank, agreement), True), number=2))
    assert channel(bank, agreement) == ("avtalegiro", False)
    assert told(bank)[2:] == [(agreement, "mandate_ended")]


@pytest.mark.parametrize(("before", "beside"), [("efaktura", True), ("vipps", True), ("paper", False)])
def test_who_saw_invoices_in_the_bank_goes_on_seeing_them(bank: Bank, before: str, beside: bool) -> None:
    agreement = bank.agreement()
    bank.execute("UPDATE customers SET channel = :before", before=before)
    take(bank, file(("1", kid_of(bank, agreement), True)))
    assert channel(bank, agreement) == ("avtalegiro", beside)


def test_unknown_ones_are_listed_and_cost_the_others_nothing(bank: Bank) -> None:
    agreement = bank.agreement()
    nobody = make_kid(99_999_999, 1)
    taken = take(bank, file(("1", "123456", True), ("1", nobody, True), ("1", kid_of(bank, agreement), True)))
    assert taken.begun == 1
    assert [(one.line, one.kid) for one in taken.unknown] == [(3, "123456"), (4, nobody)]
    assert all(f"line {line}" in " ".join(taken.notes) for line in (3, 4))


def test_an_older_structure_names_the_customer(bank: Bank) -> None:
    agreement = bank.agreement()
    number = bank.one("SELECT k.number FROM customers AS k JOIN agreements AS a ON a.customer_id = k.id")
    kid = OLD.make(str(number), 7)
    taken = take(bank, file(("1", kid, True)))
    assert (taken.begun, taken.unknown) == (1, [])
    assert standing(bank) == [(agreement, kid, True)]
    # Beside one of our own: both stand, and the end of one is not the end.
    take(bank, file(("1", kid_of(bank, agreement), True), number=2))
    take(bank, file(("2", kid, True), number=3))
    assert [row[1] for row in standing(bank)] == [kid_of(bank, agreement)]
    assert channel(bank, agreement) == ("avtalegiro", False)
    assert "mandate_ended" not in [template for _, template in told(bank)]


def test_a_customer_with_two_agreements_is_not_guessed(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.execute(
        "INSERT INTO agreements (customer_id, payment_method, opened_at) "
        "SELECT customer_id, 'invoice', opened_at FROM agreements WHERE id = :id",
        id=agreement,
    )
    number = bank.one("SELECT DISTINCT k.number FROM customers AS k JOIN agreements AS a ON a.customer_id = k.id")
    assert len(take(bank, file(("1", OLD.make(str(number), 7), True))).unknown) == 1


def test_of_two_records_of_a_mandate_the_later_one_counts(bank: Bank) -> None:
    agreement = bank.agreement()
    kid = kid_of(bank, agreement)
    assert take(bank, file(("2", kid, True), ("1", kid, False))).begun == 1
    assert take(bank, file(("2", kid, True), ("1", kid, True), number=2)).changed == 1
    assert standing(bank) == [(agreement, kid, True)]


def test_a_file_that_cannot_be_read_changes_nothing(bank: Bank) -> None:
    agreement = bank.agreement()
    with pytest.raises(OcrFileError):
        take(bank, file(("1", kid_of(bank, agreement), True))[:-84])
    assert bank.rows("SELECT FROM delivery_files") == []
    assert standing(bank) == []


def test_the_banks_file_in_the_watched_folder(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.mandate(agreement, notice=True)
    assert [row[0] for row in standing(bank)] == [agreement]
    done = bank.settings.bank_inbox / "done"
    [note] = [path for path in done.iterdir() if path.name.endswith(".txt.txt")]
    assert "1 begun" in note.read_text()
    sample = Path(__file__).parents[4] / "unit/billing/payments/samples/avtalegiro_agreements.txt"
    (bank.settings.bank_inbox / "sample.txt").write_bytes(sample.read_bytes())
    assert bank.inbox()["booked"] == 1
    assert "99991042764" in (done / "sample.txt.txt").read_text()


def test_the_end_of_a_mandate_takes_back_what_was_claimed_on_it(bank: Bank) -> None:
    agreement = bank.agreement()
    kid = bank.mandate(agreement)
    bank.invoice(agreement)
    bank.write()
    bank.payers.end(kid)
    bank.payers.send_mandates(TODAY)
    bank.inbox()
    assert bank.deliveries() == [("ending", "mandate_ended")]
    bank.at(TODAY + dt.timedelta(days=1))
    assert bank.write()["cancellations"] == 1
    bank.payers.work()
    bank.inbox()
    assert bank.deliveries() == [("failed", "mandate_ended")]


def test_mandates_and_payments_in_one_file(bank: Bank) -> None:
    agreement = bank.agreement()
    bank.invoice(agreement, queue=False)
    [doc] = bank.rows("SELECT kid FROM documents")
    path = bank.settings.bank_inbox / "both.txt"
    bank.house.write(path, [BankPayment(doc.kid, 31_250, TODAY, type=15)], made_on=TODAY)
    path.write_bytes(path.read_bytes() + file(("1", kid_of(bank, agreement), True)))
    assert bank.inbox() == {"booked": 1, "already": 0, "refused": 0, "payments": 1}
    assert [row[0] for row in standing(bank)] == [agreement]
    # What is wrong in either refuses both: nothing is booked, and nobody's mandate begins.
    other = bank.agreement()
    bank.house.write(path, [BankPayment(doc.kid, 100, TODAY)], made_on=TODAY)
    path.write_bytes(
        path.read_bytes() + file(("1", kid_of(bank, other), True)).replace(b"NY21248800000001", b"NY21248800000002")
    )
    assert bank.inbox()["refused"] == 1
    assert [row[0] for row in standing(bank)] == [agreement]
    assert len(bank.rows("SELECT FROM payments")) == 1
