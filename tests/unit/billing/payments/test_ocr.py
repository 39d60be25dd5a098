"""The OCR giro reader, by table: the sample files, and one wrong thing at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest

from billing.payments.ocr import OcrFile, OcrFileError, Transaction, read_ocr
from simulator.bank import Bank, BankPayment, Mistake

SAMPLES = Path(__file__).parent / "samples"
PAYMENTS = (SAMPLES / "ocr_giro_transactions.txt").read_bytes()
MANDATES = (SAMPLES / "avtalegiro_agreements.txt").read_bytes()
CLAIMS = (SAMPLES / "avtalegiro_payment_request.txt").read_bytes()
DAY = date(2026, 3, 2)
NEXT_DAY = date(2026, 3, 3)


def read(data: bytes) -> OcrFile:
    return read_ocr(data, max_bytes=1_000_000, max_lines=10_000)


def refused(data: bytes) -> OcrFileError:
    with pytest.raises(OcrFileError) as caught:
        read(data)
    assert str(caught.value) == f"line {caught.value.line}: {caught.value.message}"
    return caught.value


def transactions(file: OcrFile) -> list[Transaction]:
    return [t for tr in file.transmissions for a in tr.assignments for t in a.transactions]


def write(*payments: BankPayment, mistake: Mistake | None = None, bank: Bank | None = None) -> bytes:
    return (bank or Bank()).file(
        payments,
        account="99991042764",
        agreement_id="001008566",
        recipient="00010200",
        made_on=NEXT_DAY,
        mistake=mistake,
    )


def put(data: bytes, line: int, position: int, what: bytes) -> bytes:
    """The file with `what` written over a line (from 1) at a position (from 1), as the specification counts."""
    lines = data.splitlines(keepends=True)
    old = lines[line - 1]
    lines[line - 1] = old[: position - 1] + what + old[position - 1 + len(what) :]
    return b"".join(lines)


# Lines 3-4, 5-6, 7-9; ends 10 and 11.
THREE = write(
    BankPayment("123456780000000014", 20_000, DAY, payer_account="12345678903", ordered_on=date(2026, 2, 27)),
    BankPayment("123456780000000022", 30_000, DAY, type=15),
    BankPayment("", 5_050, NEXT_DAY, type=21, text="Bompenger æøå"),
)


def test_sample_payments() -> None:
    file = read(PAYMENTS)
    assert (file.lines, file.faults, file.other_assignments) == (45, (), ())
    (transmission,) = file.transmissions
    assert (transmission.sender, transmission.number, transmission.recipient) == ("00008080", 170031, "00010200")
    assert (transmission.date, transmission.line) == (date(1992, 1, 20), 1)
    (assignment,) = transmission.assignments
    assert (assignment.agreement_id, assignment.number, assignment.account) == ("001008566", 2, "99991042764")
    assert (assignment.sum_ore, assignment.line, assignment.lines) == (5_144_900, 2, 43)
    assert assignment.date == assignment.first_date == assignment.last_date == date(1992, 1, 20)
    assert [t.number for t in assignment.transactions] == list(range(1, 21))
    assert sum(t.amount_ore for t in assignment.transactions) == 5_144_900
    assert assignment.transactions[0] == Transaction(
        line=3,
        number=1,
        type=21,
        clearing_date=date(1992, 1, 20),
        bank_date=date(1992, 1, 16),
        amount_ore=102_000,
        amount_in_sums_ore=102_000,
        kid="0000531",
        centre="13",
        day_code="20",
        part_no="1",
        serial="01464",
        archive_ref="099038562",
        form_no="9636827194",
        debit_account="99990512341",
        text="Foo bar baz",
    )
    last = assignment.transactions[-1]
    assert (last.line, last.type, last.kid, last.amount_ore) == (42, 10, "02311291133188", 54_000)
    assert last.value_date == last.clearing_date


def test_sample_mandates_are_kept_line_by_line() -> None:
    file = read(MANDATES)
    assert transactions(file) == []
    assert file.transmissions[0].date == date(2017, 4, 19)
    (other,) = file.other_assignments
    assert (other.service, other.type, other.number, other.account) == ("21", "24", 2, "99991042764")
    assert (other.transactions, other.line, other.transmission_number) == (16, 2, 1_091_949)
    assert list(other.lines) == MANDATES.decode().splitlines()[1:-1]


def test_sample_claims_are_ours_and_refused() -> None:
    error = refused(CLAIMS)
    assert error.line == 2
    assert "we send" in error.message


@pytest.mark.parametrize(("line", "position"), [(44, 41), (44, 30), (44, 25), (45, 41), (45, 25)], ids=lambda n: str(n))
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_one_digit_of_a_sum_changed_is_refused_with_the_line(line: int, position: int, ending: bytes) -> None:
    data = put(PAYMENTS, line, position, b"7").replace(b"\n", ending)
    error = refused(data)
    assert error.line == line
    assert "the sum" in error.message
    assert "5144900" in error.message


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.replace(b"\n", b"\r\n"),
        lambda d: d.removesuffix(b"\n"),
        lambda d: d + b"\x1a",
        lambda d: d.removesuffix(b"\n") + b"\x1a",
        lambda d: d.replace(b"\n", b"\r\n") + b"\r\n\r\n\x1a",
    ],
    ids=["crlf", "no-last-end", "eof-mark", "eof-mark-on-last-line", "blank-lines-at-end"],
)
def test_same_content_in_other_clothes(change: Callable[[bytes], bytes]) -> None:
    assert read(change(PAYMENTS)) == read(PAYMENTS)


def test_a_stream_is_read_no_further_than_the_limit() -> None:
    stream = BytesIO(PAYMENTS * 1_000)
    with pytest.raises(OcrFileError, match="larger than the 1000 bytes"):
        read_ocr(stream, max_bytes=1_000, max_lines=10_000)
    assert stream.tell() < 1_100
    with pytest.raises(OcrFileError, match="more than the 44 lines") as caught:
        read_ocr(PAYMENTS, max_bytes=len(PAYMENTS), max_lines=44)
    assert caught.value.line == 45
    assert read_ocr(BytesIO(PAYMENTS), max_bytes=len(PAYMENTS), max_lines=45) == read(PAYMENTS)
    endless = BytesIO(b"N" * 1_000_000)
    with pytest.raises(OcrFileError, match="this has 83 or more"):
        read_ocr(endless, max_bytes=10_000_000, max_lines=10)
    assert endless.tell() == 83


WRONG: list[tuple[str, bytes, int, str]] = [
    ("empty", b"", 1, "empty"),
    ("blank", b"\r\n\r\n", 1, "empty"),
    ("not a bank file", b"date;kid;amount\n", 1, "80 characters"),
    ("spaces", b" " * 80 + b"\n", 1, "start of a transmission"),
    ("short line", THREE.replace(b"\xe6\xf8\xe5", b""), 9, "80 characters, this has 77"),
    ("trailing blanks cut", THREE.replace(b" " * 27 + b"0" * 25, b""), 9, "80 characters"),
    ("long line", put(THREE, 5, 80, b"00"), 5, "80 characters"),
    ("blank line within", THREE.replace(b"\r\nNY091530", b"\r\n\r\nNY091530"), 5, "blank line"),
    ("after the end", THREE + b"NY", 12, "80 characters"),
    ("sender", put(THREE, 1, 9, b"X"), 1, "the sender"),
    ("recipient", put(THREE, 1, 24, b" "), 1, "the recipient"),
    ("agreement id", put(THREE, 2, 9, b"A"), 2, "the agreement id"),
    ("account", put(THREE, 2, 25, b"\xb2"), 2, "the account"),
    ("unknown service", put(THREE, 2, 3, b"04"), 2, "start of an assignment"),
    ("cancellations", put(CLAIMS, 2, 5, b"36"), 2, "we send"),
    ("unknown record", put(THREE, 3, 7, b"33"), 3, "record 30"),
    ("type below", put(put(THREE, 3, 5, b"09"), 4, 5, b"09"), 3, "10 to 21"),
    ("type above", put(put(THREE, 3, 5, b"22"), 4, 5, b"22"), 3, "10 to 21"),
    ("type of the pair differs", put(THREE, 4, 5, b"11"), 4, "record 31 of transaction 1"),
    ("number of the pair differs", put(THREE, 6, 15, b"3"), 6, "record 31 of transaction 2"),
    ("number not ascending", put(put(THREE, 5, 15, b"1"), 6, 15, b"1"), 5, "does not come after 1"),
    ("number zero", put(put(THREE, 3, 15, b"0"), 4, 15, b"0"), 3, "does not come after 0"),
    ("number unreadable", put(THREE, 3, 15, b"x"), 3, "the transaction number"),
    ("text where none belongs", put(put(put(THREE, 7, 5, b"10"), 8, 5, b"10"), 9, 5, b"10"), 9, "record 30"),
    ("amount unreadable", put(THREE, 3, 49, b" "), 3, "the amount"),
    ("amount superscript", put(THREE, 3, 49, b"\xb9"), 3, "the amount"),
    ("sign unreadable", put(THREE, 3, 32, b"+"), 3, "the sign"),
    ("sign turned", put(THREE, 3, 32, b"-"), 10, "the sum"),
    ("amount changed", put(THREE, 3, 45, b"3"), 10, "the sum"),
    ("count of 88", put(THREE, 10, 16, b"4"), 10, "number of transactions"),
    ("records of 88", put(THREE, 10, 24, b"8"), 10, "number of records"),
    ("count of 89", put(THREE, 11, 16, b"2"), 11, "number of transactions"),
    ("records of 89", put(THREE, 11, 24, b"0"), 11, "number of records"),
    ("count unreadable", put(THREE, 10, 9, b" "), 10, "must be digits"),
    ("date of 88", put(THREE, 10, 42, b"300226"), 10, "no date"),
    ("first date", put(THREE, 10, 48, b"010326"), 10, "first and last date"),
    ("last date", put(THREE, 10, 54, b"020326"), 10, "first and last date"),
    ("no first date", put(THREE, 10, 48, b"000000"), 10, "no date"),
    ("no date in 89", put(THREE, 11, 42, b"000000"), 11, "no date"),
    ("another date in 89", put(THREE, 11, 42, b"040326"), 11, "its assignments have"),
    ("a clearing date outside", put(THREE, 3, 16, b"010326"), 10, "first and last date"),
    ("two files where the second is wrong", THREE + put(THREE, 11, 41, b"1"), 22, "the sum"),
    ("a mandate too few", MANDATES.replace(MANDATES.splitlines(keepends=True)[5], b""), 18, "number of transactions"),
    ("something else among mandates", put(MANDATES, 4, 7, b"71"), 4, "a mandate"),
]


@pytest.mark.parametrize(("data", "line", "says"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_refused_whole(data: bytes, line: int, says: str) -> None:
    error = refused(data)
    assert says in error.message
    assert error.line == line


@pytest.mark.parametrize("mistake", [Mistake.WRONG_TOTAL, Mistake.WRONG_COUNT, Mistake.TRUNCATED])
def test_the_banks_mistakes_are_refused(mistake: Mistake) -> None:
    payment = BankPayment("123456780000000014", 20_000, DAY)
    assert len(transactions(read(write(payment)))) == 1
    refused(write(payment, mistake=mistake))


@pytest.mark.parametrize("sample", [PAYMENTS, MANDATES, THREE, THREE + THREE[:-1]], ids=["20", "m", "3", "3+3"])
def test_cut_at_any_line_is_refused_whole(sample: bytes) -> None:
    lines = sample.splitlines(keepends=True)
    ends = {i + 1 for i, line in enumerate(lines) if line.startswith(b"NY000089")}
    for kept in range(len(lines)):
        if kept in ends:  # cut exactly between transmissions: a whole file to anyone who sees only this one
            continue
        error = refused(b"".join(lines[:kept]))
        assert error.line == max(kept, 1)
        assert "ends after" in error.message or kept == 0


FAULTS: list[tuple[str, bytes, int, int, int, str]] = [
    # what, file, line of the fault, transaction, its amount as booked, words
    ("clearing date", put(THREE, 5, 16, b"310226"), 5, 2, 30_000, "clearing date"),
    ("first clearing date", put(THREE, 3, 16, b"xx0326"), 3, 1, 20_000, "clearing date"),
    ("last clearing date", put(THREE, 7, 16, b"000000"), 7, 3, 5_050, "clearing date"),
    ("KID garbage", put(THREE, 3, 60, b"A"), 3, 1, 20_000, "KID"),
    ("KID with a hole", put(THREE, 3, 60, b" "), 3, 1, 20_000, "KID"),
    ("KID with - inside", put(THREE, 3, 60, b"-"), 3, 1, 20_000, "KID"),
    ("bank date", put(THREE, 4, 42, b"320226"), 4, 1, 20_000, "bank date"),
    ("payer's account", put(THREE, 4, 48, b"A"), 4, 1, 20_000, "payer's account"),
    ("short payer's account", put(THREE, 4, 48, b" "), 4, 1, 20_000, "payer's account"),
    ("NUL in the text", put(THREE, 9, 18, b"\0"), 9, 3, 5_050, "control characters"),
    ("TAB in the reference", put(THREE, 6, 27, b"\t"), 6, 2, 30_000, "control characters"),
]


@pytest.mark.parametrize(
    ("data", "line", "number", "amount", "says"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_one_unreadable_payment_costs_the_others_nothing(
    data: bytes, line: int, number: int, amount: int, says: str
) -> None:
    file, whole = read(data), read(THREE)
    (fault,) = file.faults
    assert (fault.line, fault.number, fault.amount_ore) == (line, number, amount)
    assert says in fault.text
    assert (fault.account, fault.agreement_id, fault.assignment_number) == ("99991042764", "001008566", 1)
    assert fault.records[0][8:15] == f"{number:07}"
    assert not any("\0" in record or "\t" in record for record in fault.records)
    assert transactions(file) == [t for t in transactions(whole) if t.number != number]
    # Nothing is lost: what was read and what was not make the control sum.
    (assignment,) = file.transmissions[0].assignments
    assert assignment.sum_ore == sum(t.amount_in_sums_ore for t in assignment.transactions) + amount


def test_an_unreadable_date_does_not_excuse_the_others() -> None:
    outside = put(put(THREE, 5, 16, b"310226"), 7, 16, b"040326")
    assert refused(outside).line == 10
    # A fault elsewhere in the payment leaves its date in the check.
    assert read(put(THREE, 7, 74, b"A")).faults[0].clearing_date == NEXT_DAY


def test_an_amount_of_zero_is_reported_since_nothing_can_be_booked() -> None:
    data = put(THREE, 3, 33, b"0" * 17)
    for line in (10, 11):
        data = put(data, line, 25, b"00000000000035050")
    (fault,) = read(data).faults
    assert (fault.line, fault.amount_ore) == (3, 0)


@pytest.mark.parametrize(
    ("kid", "carried"),
    [
        (b" " * 25, ""),
        (b"0" * 25, "0" * 25),
        (b"               123456789-", "123456789-"),
        (b"123456783                ", "123456783"),
        (b"       123456780000000015", "123456780000000015"),
        (b"                        -", "-"),
    ],
)
def test_a_kid_is_never_a_reason_to_refuse(kid: bytes, carried: str) -> None:
    file = read(put(THREE, 3, 50, kid))
    assert file.faults == ()
    assert transactions(file)[0].kid == carried


@pytest.mark.parametrize("type_", range(10, 22))
@pytest.mark.parametrize("amount", [100, -100])
def test_signs_in_the_sums_and_in_the_books(type_: int, amount: int) -> None:
    data = write(BankPayment("1", 1_000, DAY), BankPayment("2", amount, DAY, type=type_, text="x"))
    found = transactions(read(data))[1]
    assert found.amount_in_sums_ore == amount
    assert found.amount_ore == (-100 if type_ in (18, 20) else amount)
    assert found.is_reversal == (type_ in (18, 20))
    assert found.text == ("x" if type_ in (20, 21) else None)


@pytest.mark.parametrize(("day", "is_read"), [("311268", date(2068, 12, 31)), ("010169", date(1969, 1, 1))])
def test_the_century_turns_between_68_and_69(day: str, is_read: date) -> None:
    data = write(BankPayment("1", 100, NEXT_DAY)).replace(b"030326", day.encode())
    (transmission,) = read(data).transmissions
    assert transmission.date == is_read
    assert transmission.assignments[0].transactions[0].value_date == is_read


def test_a_net_sum_below_zero_cannot_be_stated() -> None:
    data = write(BankPayment("1", 1_000, DAY), BankPayment("2", -900, DAY))
    data = put(data, 3, 45, b"00500")
    for line in (7, 8):
        data = put(data, line, 25, b"00000000000000400")
    assert "no sign" in refused(data).message


def test_a_text_record_may_be_missing() -> None:
    lines = THREE.splitlines(keepends=True)
    del lines[8]
    data = put(put(b"".join(lines), 9, 17, b"00000008"), 10, 17, b"00000010")
    assert transactions(read(data))[2].text is None


def test_several_transmissions_and_repeated_assignment_numbers() -> None:
    bank = Bank()
    first = write(BankPayment("1", 100, DAY), bank=bank)
    second = put(write(BankPayment("2", 200, DAY), bank=bank), 2, 18, b"0000001")
    file = read(first + second)
    assert [t.number for t in file.transmissions] == [1, 2]
    assert [t.line for t in file.transmissions] == [1, 7]
    assert [t.kid for t in transactions(file)] == ["1", "2"]
    inside = _merged(first, second)
    assert [t.kid for t in transactions(read(inside))] == ["1", "2"]
    assert [a.number for a in read(inside).transmissions[0].assignments] == [1, 1]


def test_payments_and_mandates_in_one_transmission() -> None:
    payments = write(BankPayment("1", 100, DAY))
    data = _merged(MANDATES.replace(b"\n", b"\r\n"), payments)
    file = read(data)
    assert [t.kid for t in transactions(file)] == ["1"]
    assert file.other_assignments[0].transactions == 16
    assert file.transmissions[0].date == NEXT_DAY
    # The clearing house may date mandates otherwise, so record 89 is not held against the payments here.
    last = len(data.splitlines())
    assert read(put(data, last, 42, b"060326")).transmissions[0].date == date(2026, 3, 6)
    assert refused(data.replace(b"NY2194700000005", b"NY2194600000005")).line == 7


def test_control_characters_in_a_mandate_are_reported_and_the_line_kept() -> None:
    file = read(put(MANDATES, 4, 20, b"\0"))
    assert [(f.line, f.amount_ore, f.number) for f in file.faults] == [(4, None, None)]
    assert len(file.other_assignments[0].lines) == 18
    assert "\0" not in "".join(file.other_assignments[0].lines)


@pytest.mark.parametrize("with_dates", [True, False])
def test_an_assignment_and_a_mandate_block_may_be_empty_and_without_dates(with_dates: bool) -> None:
    data = write()
    if not with_dates:
        data = put(put(data, 3, 42, b"0" * 18), 4, 42, b"000000")
    (transmission,) = read(data).transmissions
    assert transmission.assignments[0].transactions == ()
    assert transmission.date == (NEXT_DAY if with_dates else None)
    assert read(put(MANDATES, 20, 42, b"000000")).transmissions[0].date is None


def _merged(one: bytes, other: bytes) -> bytes:
    """Both files' assignments in one transmission that ends like the second, its totals added up."""
    a, b = one.splitlines(keepends=True), other.splitlines(keepends=True)
    lines = [*a[:-1], *b[1:]]
    transactions_, sums = int(a[-1][8:16]) + int(b[-1][8:16]), int(a[-1][24:41]) + int(b[-1][24:41])
    return put(b"".join(lines), len(lines), 9, f"{transactions_:08}{len(lines):08}{sums:017}".encode())
