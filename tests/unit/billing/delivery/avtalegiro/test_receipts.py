"""The reader of receipts, as they are assumed to be (receipts.toml)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.delivery.avtalegiro.receipts import ReceiptError, is_receipt, read_receipt

HEAD = "Liste;Filnavn;Forsendelsesnr;Oppdragsnr;Oppdragstype;Transaksjonsnr;KID;Status;Melding"


def receipt(*rows: str, head: str = HEAD) -> bytes:
    return "".join(f"{row}\r\n" for row in (head, *rows)).encode("iso-8859-1")


def test_the_three_lists() -> None:
    read = read_receipt(
        receipt(
            "L226;;0000001;0000001;AvtaleGiro;;;Godkjent;",
            "L226;;0000002;0000002;AvtaleGiro korreksjoner;;;Avvist;Ukjent dataavsender",
            "L200;avtalegiro-0000003-claims.txt;;;;;;;Feil format",
            "L00202;;0000001;0000001;AvtaleGiro;0000002;100000011000001237;Avvist;FBO finnes ikke",
            "L00202;;0000001;0000001;AvtaleGiro;0000003;;Avvist;Betalingstransaksjonen har høyere beløp enn på FBO",
            "L00202;;0000001;0000001;AvtaleGiro;0000004;;Advarsel;Noe annet",
        ),
        max_bytes=10_000,
    )
    assert read.faults == ()
    assert [(r.meaning, r.status, r.transmission, r.file, r.kind, r.transaction, r.why) for r in read.rows] == [
        ("file", "accepted", 1, "", "claims", None, "refused_by_bank"),
        ("file", "refused", 2, "", "cancellations", None, "refused_by_bank"),
        ("file_refused", "refused", None, "avtalegiro-0000003-claims.txt", None, None, "refused_by_bank"),
        ("refused", "refused", 1, "", "claims", 2, "no_mandate"),
        ("refused", "refused", 1, "", "claims", 3, "limit"),
        ("refused", "warning", 1, "", "claims", 4, "refused_by_bank"),
    ]
    assert [row.line for row in read.rows] == [2, 3, 4, 5, 6, 7]


def test_headings_in_another_order_and_more_of_them() -> None:
    data = receipt("godkjent;7;l;L226", head="STATUS;forsendelsesnr;Noe;LISTE")
    assert is_receipt(data)
    [row] = read_receipt(data, max_bytes=10_000).rows
    assert (row.status, row.transmission) == ("accepted", 7)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("L999;;1;1;;;;Godkjent;", "the list 'L999'"),
        ("L226;;1;1;;;;Kanskje;", "the status 'Kanskje'"),
        ("L226;;x;1;;;;Godkjent;", "the transmission number"),
        ("L226;;1;1;;-2;;Godkjent;", "the transaction number"),
        ("L226;;;1;;;;Godkjent;", "neither"),
        ("L226;;1;1;KID-bytte;;;Godkjent;", "the order type"),
        ("L226", "the status"),
    ],
)
def test_one_bad_row_is_told_by_its_line(row: str, complaint: str) -> None:
    read = read_receipt(receipt(row, "L226;;2;;;;;Godkjent;"), max_bytes=10_000)
    assert [(fault.line, complaint in fault.text) for fault in read.faults] == [(2, True)]
    assert [row.transmission for row in read.rows] == [2]


@pytest.mark.parametrize("data", [b"", b"NY000010", b"a;b\r\n", b"%PDF-1.7\n"])
def test_what_is_no_receipt(data: bytes) -> None:
    assert not is_receipt(data)
    with pytest.raises(ReceiptError):
        read_receipt(data, max_bytes=10_000)


def test_limits() -> None:
    with pytest.raises(ReceiptError, match="larger"):
        read_receipt(receipt(), max_bytes=10)
    with pytest.raises(ReceiptError):
        read_receipt(receipt('"never closed'), max_bytes=10_000)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_never_breaks(rows: bytes) -> None:
    try:
        read = read_receipt(receipt() + rows, max_bytes=10_000)
    except ReceiptError:
        return
    assert all(fault.line >= 2 for fault in read.faults)
