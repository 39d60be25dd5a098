"""The reader of mandates: the sample, what netsgiro writes, one bad record among others, and what refuses the file."""

from __future__ import annotations

from pathlib import Path

import netsgiro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.delivery.avtalegiro.lines import OcrFileError
from billing.delivery.avtalegiro.mandate_file import MandateFile, MandateRecord, read_mandates

SAMPLES = Path(__file__).parents[2] / "payments" / "samples"
SAMPLE = (SAMPLES / "avtalegiro_agreements.txt").read_bytes()
PAYMENTS = (SAMPLES / "ocr_giro_transactions.txt").read_bytes()


def read(data: bytes) -> MandateFile:
    return read_mandates(data, max_bytes=1_000_000, max_lines=10_000)


def put(data: bytes, line: int, position: int, what: bytes) -> bytes:
    """The file with ``what`` over a line (from 1) at a position (from 1)."""
    lines = data.splitlines(keepends=True)
    old = lines[line - 1]
    lines[line - 1] = old[: position - 1] + what + old[position - 1 + len(what) :]
    return b"".join(lines)


def written(*records: tuple[str, str, bool], account: str = "15030012345") -> bytes:
    """A file as the clearing house writes it: registration, KID, notice."""
    body = [
        f"NY219470{at:07}{registration}{kid:>25}{'J' if notice else 'N'}"
        for at, (registration, kid, notice) in enumerate(records, start=1)
    ]
    lines = [
        "NY00001000008080000000100010200",
        f"NY212420{0:09}{1:07}{account}",
        *body,
        f"NY212488{len(records):08}{len(records) + 2:08}",
        f"NY000089{len(records):08}{len(records) + 4:08}{0:017}190426",
    ]
    return "".join(f"{line:0<80}\r\n" for line in lines).encode("iso-8859-1")


def test_the_sample() -> None:
    file = read(SAMPLE)
    [order] = file.orders
    assert (order.account, order.number, order.line, order.full) == ("99991042764", 2, 2, False)
    assert (file.transactions, file.lines, file.faults) == (16, 20, [])
    assert order.records[0] == MandateRecord(3, "new", "000112000507155", True)
    assert order.records[1] == MandateRecord(4, "new", "001006300507304", False)
    assert sum(record.notice for record in order.records) == 11


def test_netsgiro_reads_the_sample_the_same() -> None:
    [assignment] = netsgiro.parse(SAMPLE.decode("iso-8859-1")).assignments
    theirs = [(t.kid, t.notify) for t in assignment.transactions if isinstance(t, netsgiro.Agreement)]
    assert theirs == [(record.kid, record.notice) for record in read(SAMPLE).orders[0].records]


def test_a_full_list_is_all_there_is() -> None:
    [order] = read(written(("0", "100000011000001237", True), ("0", "12345678", False))).orders
    assert order.full
    assert [record.registration for record in order.records] == ["standing", "standing"]


def test_changes_in_a_full_list_make_it_none() -> None:
    [order] = read(written(("0", "12345678", True), ("2", "23456789", False))).orders
    assert not order.full
    assert [record.registration for record in order.records] == ["standing", "ended"]
    assert [fault.line for fault in order.faults] == [2]


def test_no_mandates_is_no_full_list() -> None:
    [order] = read(written()).orders
    assert (order.full, order.records) == (False, ())


@pytest.mark.parametrize(
    ("position", "what", "complaint"),
    [
        (16, b"3", "registration"),
        (16, b" ", "registration"),
        (17, b" " * 25, "KID"),
        (20, b"x", "KID"),
        (38, b"-", "KID"),
        (41, b"\xb2", "KID"),
        (42, b"j", "wish"),
        (42, b"0", "wish"),
        (60, b"\x07", "control"),
    ],
)
def test_one_bad_record_is_told_by_its_line_and_the_others_are_read(position: int, what: bytes, complaint: str) -> None:
    file = read(
        put(written(("0", "11111111", True), ("0", "22222222", True), ("0", "33333333", False)), 4, position, what)
    )
    [fault] = file.faults
    assert (fault.line, complaint in fault.text) == (4, True)
    assert [record.kid for record in file.orders[0].records] == ["11111111", "33333333"]
    assert not file.orders[0].full  # the unreadable one may stand
    assert file.transactions == 3


@pytest.mark.parametrize(
    ("data", "line", "complaint"),
    [
        (b"", 1, "empty"),
        (put(SAMPLE, 19, 9, b"00000015"), 19, "number of transactions"),
        (put(SAMPLE, 19, 17, b"00000017"), 19, "number of records"),
        (put(SAMPLE, 20, 9, b"00000017"), 20, "number of transactions"),
        (put(SAMPLE, 20, 17, b"00000021"), 20, "number of records"),
        (put(SAMPLE, 20, 41, b"1"), 20, "sum"),
        (put(SAMPLE, 2, 5, b"00"), 2, "expected mandates"),
        (put(SAMPLE, 5, 7, b"71"), 5, "a mandate"),
        (put(SAMPLE, 1, 9, b"x"), 1, "the sender"),
        (put(SAMPLE, 2, 25, b"x"), 2, "the account"),
        (b"".join(SAMPLE.splitlines(keepends=True)[:10]), 10, "ends after"),
        (SAMPLE.replace(b"J0000", b"J000", 1), 3, "80 characters"),
    ],
)
def test_what_refuses_the_file_names_its_line(data: bytes, line: int, complaint: str) -> None:
    with pytest.raises(OcrFileError, match=complaint) as refused:
        read(data)
    assert refused.value.line == line


def test_payments_in_the_same_file_are_passed_over() -> None:
    both = read(PAYMENTS + SAMPLE)
    assert [(order.line, len(order.records)) for order in both.orders] == [(47, 16)]
    with pytest.raises(OcrFileError, match="number of records"):
        read(b"".join(PAYMENTS.splitlines(keepends=True)[:2] + PAYMENTS.splitlines(keepends=True)[3:]) + SAMPLE)


RECORDS = st.lists(
    st.tuples(st.sampled_from("012"), st.from_regex(r"[0-9]{2,25}", fullmatch=True), st.booleans()), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_what_is_written_is_read_and_netsgiro_agrees(records: list[tuple[str, str, bool]]) -> None:
    data = written(*records)
    [order] = read(data).orders
    names = {"0": "standing", "1": "new", "2": "ended"}
    assert [(r.registration, r.kid, r.notice) for r in order.records] == [(names[r], k, n) for r, k, n in records]
    [theirs] = netsgiro.parse(data.decode("iso-8859-1")).assignments
    assert [(t.registration_type.value, t.kid, t.notify) for t in theirs.transactions] == [  # type: ignore[union-attr]
        (int(r), k, n) for r, k, n in records
    ]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(SAMPLE) - 1), st.binary(min_size=1, max_size=3))
def test_garbage_is_refused_or_told_and_never_breaks(at: int, what: bytes) -> None:
    try:
        file = read(SAMPLE[:at] + what + SAMPLE[at + len(what) :])
    except OcrFileError:
        return
    assert file.transactions == 16
