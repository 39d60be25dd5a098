"""Readers and parcels for tests of channels that call a partner."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from billing.delivery.port import Bill, Parcel, Reader

TODAY = dt.date(2026, 3, 2)
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 40 + b"\n%%EOF"

KARI = Reader(
    agreement_id=1,
    agreement_number=10_000_001,
    kind="private",
    name="Kari Nordmann",
    org_no=None,
    email="kari@example.no",
    phone=None,
    street="Storgata 1",
    postal_code="0155",
    city="Oslo",
    country="NO",
    language="nb",
    national_id="15108695088",
)
BILL = Bill(
    document_id=7,
    number=100_000_007,
    kind="invoice",
    issued_on=TODAY,
    due_on=dt.date(2026, 3, 16),
    open_ore=123_405,
    total_ore=123_405,
    kid="100000010000000075",
    account="15030012345",
)


def parcel(
    delivery_id: int = 1,
    address: str | None = "kari.nordmann#1234",
    *,
    key: str = "",
    bill: Bill = BILL,
    form: Any = "transfer",
    pdf: Callable[[], bytes] = lambda: PDF,
    **reader: Any,
) -> Parcel:
    """Return a parcel; what is left out of ``reader`` is Kari's."""
    made = key or str(uuid.uuid5(uuid.NAMESPACE_URL, f"test:{delivery_id}"))
    return Parcel(delivery_id, made, "invoice", replace(KARI, **reader), bill, form, address, pdf)
