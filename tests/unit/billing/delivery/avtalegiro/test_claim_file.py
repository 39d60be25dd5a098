"""Files of claims: the sample to the byte, netsgiro reads what we write, and what cannot be written is refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import netsgiro
import netsgiro.records
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netsgiro.records import parse as read_records

from billing.delivery.avtalegiro.claim_file import Claim, ClaimError, Order, write

MADE = dt.date(2026, 3, 2)
DUE = dt.date(2026, 3, 16)
CLAIM = Claim("100000011000001237", DUE, 31_250, "own", "Kari Nordmann", "Faktura 100000123")
ACCOUNT = "15030012345"


def one(claim: Claim, kind: str = "claims") -> bytes:
    order = Order("claims" if kind == "claims" else "cancellations", 7, ACCOUNT, [claim])
    return write("00987654", 7, [order], made_on=MADE).content


def records(content: bytes) -> list[str]:
    text = content.decode("iso-8859-1")
    assert text.endswith("\r\n")
    return text.removesuffix("\r\n").split("\r\n")


def requests(assignment: netsgiro.Assignment) -> list[int]:
    """Return the codes of what it holds."""
    return [t.type.value for t in assignment.transactions if isinstance(t, netsgiro.PaymentRequest)]


# The sample of the clearing house's, as netsgiro has it too.
SAMPLE = """\
NY000010555555551000081000080800000000000000000000000000000000000000000000000000
NY210020000000000400008688888888888000000000000000000000000000000000000000000000
NY2121300000001170604           00000000000000100          008000011688373000000
NY2121310000001NAVN                                                        00000
NY212149000000140011 Gjelder Faktura: 168837  Dato: 19/03/0400000000000000000000
NY212149000000140012                  ForfallsDato: 17/06/0400000000000000000000
NY2121300000002170604           00000000000000100          008000021688389000000
NY2121310000002NAVN                                                        00000
NY212149000000240011 Gjelder Faktura: 168838  Dato: 19/03/0400000000000000000000
NY212149000000240012                  ForfallsDato: 17/06/0400000000000000000000
NY2121300000003170604           00000000000000100          008000031688395000000
NY2121310000003NAVN                                                        00000
NY2121300000004170604           00000000000000100          008000041688401000000
NY2121310000004NAVN                                                        00000
NY2121300000005170604           00000000000000100          008000051688416000000
NY2121310000005NAVN                                                        00000
NY212149000000540011 Gjelder Faktura: 168841  Dato: 19/03/0400000000000000000000
NY212149000000540012                  ForfallsDato: 17/06/0400000000000000000000
NY2102300000006170604           00000000000000100          008000061688422000000
NY2102310000006NAVN                                                        00000
NY210088000000060000002000000000000000600170604170604000000000000000000000000000
NY000089000000060000002200000000000000600170604000000000000000000000000000000000
"""


def test_the_sample_is_written_to_the_byte() -> None:
    def text(number: int) -> tuple[str, ...]:
        return (f" Gjelder Faktura: {number}  Dato: 19/03/04                  ForfallsDato: 17/06/04",)

    due = dt.date(2004, 6, 17)
    claims = [
        Claim("008000011688373", due, 100, "bank", "NAVN", "", text(168837)),
        Claim("008000021688389", due, 100, "bank", "NAVN", "", text(168838)),
        Claim("008000031688395", due, 100, "bank", "NAVN"),
        Claim("008000041688401", due, 100, "bank", "NAVN"),
        Claim("008000051688416", due, 100, "bank", "NAVN", "", text(168841)),
        Claim("008000061688422", due, 100, "own", "NAVN"),
    ]
    made = write("55555555", 1000081, [Order("claims", 4000086, "88888888888", claims)], made_on=dt.date(2004, 3, 19))
    assert made.content == SAMPLE.replace("\n", "\r\n").encode("iso-8859-1")
    assert (made.transactions, made.sum_ore, made.records, made.changes) == (6, 600, 22, ())


def test_netsgiro_reads_claims_and_cancellations_in_one_transmission() -> None:
    told = replace(CLAIM, notice="bank", text=("Faktura 100000123", "Beløp: 312,50 kr"))
    orders = [
        Order("claims", 1, ACCOUNT, [CLAIM, told]),
        Order("cancellations", 2, ACCOUNT, [replace(CLAIM, amount_ore=100, due_on=DUE + dt.timedelta(days=1))]),
    ]
    content = write("00987654", 12, orders, made_on=MADE).content.decode("iso-8859-1")
    read = netsgiro.parse(content)
    assert (read.number, read.data_transmitter, read.data_recipient) == ("0000012", "00987654", "00008080")
    claims, cancels = read.assignments
    assert [requests(a) for a in (claims, cancels)] == [[2, 21], [93]]
    assert [(a.number, a.account, a.type.value) for a in read.assignments] == [
        ("0000001", ACCOUNT, 0),
        ("0000002", ACCOUNT, 36),
    ]
    first, second = claims.transactions
    assert isinstance(first, netsgiro.PaymentRequest)
    assert isinstance(second, netsgiro.PaymentRequest)
    assert (first.number, first.date, first.amount) == (1, DUE, Decimal("312.50"))
    assert (first.kid, first.payer_name, first.reference) == (CLAIM.kid, "Kari Nordm", "Faktura 100000123")
    # Line by line: its text of a whole transaction begins a line after a second column only, and ours have none here.
    every: list[object] = list(read_records(content))
    texts = [record for record in every if isinstance(record, netsgiro.records.TransactionSpecification)]
    assert [(one.line_number, one.column_number, (one.text or "").rstrip()) for one in texts] == [
        (1, 1, "Faktura 100000123"),
        (2, 1, "Beløp: 312,50 kr"),
    ]
    assert read.date == DUE


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kid": ""}, "a KID"),
        ({"kid": "1"}, "a KID"),
        ({"kid": "1" * 26}, "a KID"),
        ({"kid": "12345678-"}, "a KID"),
        ({"kid": "12345678²"}, "a KID"),
        ({"kid": "١٢٣٤٥٦٧٨"}, "a KID"),
        ({"amount_ore": 0}, "0 øre"),
        ({"amount_ore": -1}, "-1 øre"),
        ({"amount_ore": 10**17}, "cannot be claimed"),
        ({"due_on": MADE}, "is not after"),
        ({"due_on": dt.date(2027, 3, 3)}, "within 12 months"),
        ({"text": ("a",)}, "text is for"),
        ({"notice": "bank", "text": ("a",) * 43}, "43 lines"),
        ({"notice": "bank", "text": ("a", "")}, "line 2 of the text is empty"),
        ({"notice": "bank", "text": ("\u200b",)}, "line 1 of the text is empty"),
        ({"notice": "bank", "text": ("a" * 81,)}, "has 81 characters"),
        ({"notice": "bank", "text": ("œ" * 41,)}, "has 82 characters"),
    ],
)
def test_what_cannot_be_written_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ClaimError, match=complaint) as refused:
        one(replace(CLAIM, **change))  # type: ignore[arg-type]
    assert refused.value.transaction == 1


@pytest.mark.parametrize(
    ("sender", "transmission", "orders", "complaint"),
    [
        ("987654", 1, [Order("claims", 1, ACCOUNT, [CLAIM])], "the sender"),
        ("00987654", 0, [Order("claims", 1, ACCOUNT, [CLAIM])], "transmission number"),
        ("00987654", 10_000_000, [Order("claims", 1, ACCOUNT, [CLAIM])], "transmission number"),
        ("00987654", 1, [], "without orders"),
        ("00987654", 1, [Order("claims", 1, ACCOUNT, [])], "transactions, not 0"),
        ("00987654", 1, [Order("claims", 0, ACCOUNT, [CLAIM])], "order number"),
        ("00987654", 1, [Order("claims", 1, "1503001234", [CLAIM])], "the account"),
        ("00987654", 1, [Order("claims", 1, ACCOUNT, [CLAIM])] * 2, "two orders of one number"),
        ("00987654", 1, [Order("claims", 1, ACCOUNT, [replace(CLAIM, amount_ore=10**17 - 1)] * 2)], "does not fit"),
    ],
)
def test_a_file_that_cannot_be_is_refused(sender: str, transmission: int, orders: list[Order], complaint: str) -> None:
    with pytest.raises(ClaimError, match=complaint):
        write(sender, transmission, orders, made_on=MADE)


def test_the_last_day_is_twelve_months_ahead() -> None:
    assert records(one(replace(CLAIM, due_on=dt.date(2027, 3, 2))))[2][15:21] == "020327"


def test_a_cancellation_has_the_claims_own_fields_and_no_text() -> None:
    told = replace(CLAIM, notice="bank", text=("Faktura",))
    claimed, cancelled = records(one(told)), records(one(told, "cancellations"))
    assert [line[2:8] for line in cancelled] == ["000010", "213620", "219330", "219331", "213688", "000089"]
    assert cancelled[2][15:] == claimed[2][15:]  # due date, amount and KID


def test_names_are_told_when_they_are_written_another_way() -> None:
    order = Order("claims", 1, ACCOUNT, [CLAIM, replace(CLAIM, name="Ćœœœœœ"), replace(CLAIM, name="Åse Ærøy")])
    made = write("00987654", 1, [order], made_on=MADE)
    names = [line[15:25] for line in records(made.content) if line[6:8] == "31"]
    assert names == ["Kari Nordm", "Coeoeoeoe ", "Åse Ærøy  "]  # five œ do not fit, and half of one is not written
    assert [(c.transaction, c.letters, c.cut) for c in made.changes] == [
        (1, (), True),
        (2, (("Ć", "C"), ("œ", "oe")), True),
    ]


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    notice = draw(st.sampled_from(["own", "bank"]))
    line = st.text(min_size=1, max_size=20).map(lambda text: f"x{text}")
    text = tuple(draw(st.lists(line, max_size=4))) if notice == "bank" else ()
    return Claim(
        kid=draw(st.from_regex(r"[0-9]{2,25}", fullmatch=True)),
        due_on=draw(st.dates(MADE + dt.timedelta(days=1), dt.date(2027, 3, 2))),
        amount_ore=draw(st.integers(1, 10**12)),
        notice="bank" if notice == "bank" else "own",
        name=draw(st.text(max_size=30)),
        reference=draw(st.text(max_size=30)),
        text=text,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(claims(), min_size=1, max_size=4), st.lists(claims(), max_size=3))
def test_whatever_is_written_is_whole_records_that_netsgiro_reads(asked: list[Claim], back: list[Claim]) -> None:
    orders = [Order("claims", 3, ACCOUNT, asked)]
    if back:
        orders.append(Order("cancellations", 4, ACCOUNT, back))
    made = write("00987654", 5, orders, made_on=MADE)
    lines = records(made.content)
    assert {len(line) for line in lines} == {80}
    assert len(lines) == made.records
    assert made.content.count(b"\r\n") == len(lines)
    read = netsgiro.parse(made.content.decode("iso-8859-1"))
    found = [t for a in read.assignments for t in a.transactions]
    assert [(t.kid, t.date, int(t.amount * 100)) for t in found] == [  # type: ignore[union-attr]
        (claim.kid, claim.due_on, claim.amount_ore) for claim in [*asked, *back]
    ]
    assert read.get_num_transactions() == made.transactions
    assert int(read.get_total_amount() * 100) == made.sum_ore
    assert made.content == write("00987654", 5, orders, made_on=MADE).content
