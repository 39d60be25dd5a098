"""The simulated bank writes what the specification says, and is wrong only when asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from simulator.bank import Bank, BankPayment, Mistake, with_wrong_check

DAY = date(2026, 3, 2)
PAYMENTS = (
    BankPayment("123456780000000014", 20_000, DAY, payer_account="12345678903", ordered_on=date(2026, 2, 27)),
    BankPayment("", 5_050, date(2026, 3, 3), type=21, text="Bompenger, takk for turen æøå"),
    BankPayment("123456780000000014", -50, DAY),
)


def write(
    bank: Bank | None = None, payments: Sequence[BankPayment] = PAYMENTS, mistake: Mistake | None = None
) -> bytes:
    return (bank or Bank()).file(
        payments,
        account="99991042764",
        agreement_id="001008566",
        recipient="00010200",
        made_on=date(2026, 3, 3),
        mistake=mistake,
    )


def test_written_to_the_letter() -> None:
    expected = [
        "NY000010 00008080 0000001 00010200" + "0" * 49,
        "NY090020 001008566 0000001 99991042764" + "0" * 45,
        "NY091030 0000001 020326 13 02 1 00001 0 00000000000020000 _______123456780000000014 000000",
        "NY091031 0000001 0000000001 ********* 0000000 270226 12345678903" + "0" * 22,
        "NY092130 0000002 030326 13 03 1 00002 0 00000000000005050" + "_" * 25 + "000000",
        "NY092131 0000002 0000000002 ********* 0000000 000000 00000000000" + "0" * 22,
        "NY092132 0000002 Bompenger,_takk_for_turen_æøå" + "_" * 11 + "0" * 25,
        "NY091030 0000003 020326 13 02 1 00003 - 00000000000000050 _______123456780000000014 000000",
        "NY091031 0000003 0000000003 ********* 0000000 000000 00000000000" + "0" * 22,
        "NY090088 00000003 00000009 00000000000025000 030326 020326 030326" + "0" * 21,
        "NY000089 00000003 00000011 00000000000025000 030326" + "0" * 33,
    ]
    lines = write().decode("iso-8859-1").split("\r\n")
    assert lines.pop() == ""
    assert [len(line) for line in lines] == [80] * 11
    # The archive reference is the bank's own affair: nine digits.
    assert all(line[25:34].isdecimal() for line in lines if line[6:8] == "31")
    blind = [line[:25] + "*" * 9 + line[34:] if line[6:8] == "31" else line for line in lines]
    assert blind == [line.replace(" ", "").replace("_", " ") for line in expected]


def test_same_calls_same_bytes_and_numbers_go_up() -> None:
    one, other = Bank(), Bank()
    first, second = write(one), write(one)
    assert (first, second) == (write(other), write(other))
    assert first[16:23] == b"0000001"
    assert second[16:23] == b"0000002"
    assert first[82 + 17 : 82 + 24] == b"0000001"
    assert second[82 + 17 : 82 + 24] == b"0000002"


def test_mistakes_change_only_what_they_say() -> None:
    right = write()
    wrong_kid = write(mistake=Mistake.WRONG_KID)
    assert [i for i in range(len(right)) if right[i] != wrong_kid[i]] == [82 * 2 + 73]
    wrong_total = write(mistake=Mistake.WRONG_TOTAL)
    assert [i // 82 for i in range(len(right)) if right[i] != wrong_total[i]] == [9]
    wrong_count = write(mistake=Mistake.WRONG_COUNT)
    assert [i // 82 for i in range(len(right)) if right[i] != wrong_count[i]] == [10]
    truncated = write(mistake=Mistake.TRUNCATED)
    assert right.startswith(truncated)
    assert len(truncated) < len(right)


@pytest.mark.parametrize(("kid", "wrong"), [("123456782", "123456783"), ("19", "10"), ("1-", "11"), ("", "1")])
def test_wrong_check(kid: str, wrong: str) -> None:
    assert with_wrong_check(kid) == wrong


@pytest.mark.parametrize(
    "payment",
    [
        BankPayment("1" * 26, 1, DAY),
        BankPayment("1", 0, DAY),
        BankPayment("1", 10**17, DAY),
        BankPayment("1", 1, DAY, type=9),
        BankPayment("1", 1, DAY, type=22),
        BankPayment("1", 1, DAY, payer_account="123"),
        BankPayment("1", -1, DAY),
    ],
)
def test_what_does_not_fit_is_refused(payment: BankPayment) -> None:
    with pytest.raises(ValueError):
        write(payments=[payment])


def test_letters_the_file_cannot_hold() -> None:
    assert b"Zlot?wka 5 ?" in write(payments=[BankPayment("1", 1, DAY, type=21, text="Zlotłwka 5 €")])
