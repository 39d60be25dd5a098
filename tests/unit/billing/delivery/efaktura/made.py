"""Readers and parcels of these tests."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

from billing.delivery.port import Bill, Parcel, Reader

READER = Reader(
    agreement_id=1,
    agreement_number=10_000_001,
    kind="private",
    name="Kari Nordmann",
    org_no=None,
    email="kari@example.no",
    phone="+47 900 00 001",
    street="Storgata 1",
    postal_code="0155",
    city="Oslo",
    country="NO",
    language="nb",
)
BILL = Bill(
    document_id=7,
    number=100_000_001,
    kind="invoice",
    issued_on=dt.date(2026, 3, 1),
    due_on=dt.date(2026, 3, 16),
    open_ore=123_45,
    total_ore=123_45,
    kid="100000011000000017",
    account="15030012345",
)
PDF = b"%PDF-1.7 a page"


def reader(agreement_id: int, **other: Any) -> Reader:
    """A reader, Kari unless told otherwise."""
    return replace(READER, agreement_id=agreement_id, **other)


def parcel(delivery_id: int, address: str | None = "100000001", **other: Any) -> Parcel:
    """A delivery of an invoice; ``bill`` changes are under ``bill_``."""
    bill = replace(BILL, **{name.removeprefix("bill_"): other.pop(name) for name in [*other] if name[:5] == "bill_"})
    made = Parcel(
        delivery_id=delivery_id,
        key=str(uuid.uuid5(uuid.NAMESPACE_URL, f"test:{delivery_id}")),
        template="invoice",
        reader=READER,
        bill=bill,
        form="transfer",
        address=address,
        pdf=lambda: PDF,
    )
    return replace(made, **other)
