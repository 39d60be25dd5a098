"""Documents for the tests of this room: an ordinary invoice, changed as a test needs it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from billing.invoices.presentation import (
    ChargerContact,
    DocumentView,
    FeeRow,
    Language,
    Party,
    PassageRow,
    VatRow,
    VehicleSummary,
)
from config import money

OSLO = ZoneInfo("Europe/Oslo")
PLATES = ("EK12345", "DR77712", "BT40981")
SELLER = Party("Brikke AS", ("Storgata 1", "5008 Bergen"), "923456783", vat_registered=True, business_register=True)
BUYER = Party("Åse Ødegård-Æsøy", ("Fjøsveien 215 B", "5073 Bergen"))


def passages(count: int) -> tuple[PassageRow, ...]:
    """`count` passages, each at a minute and place of its own, ferries every fifth."""
    rows = []
    for i in range(count):
        ferry = i % 5 == 4
        gross = 27_400 + i if ferry else 3_100 + i
        discount = -money.share(gross, 1_000 if ferry else 2_000)
        rows.append(
            PassageRow(
                at_local=datetime(2026, 1, 31, 6, tzinfo=OSLO) + timedelta(minutes=7 * i),
                station=f"Bru{i:04}",
                charger="Fjord1" if ferry else "Ferde",
                plate=PLATES[i % 3],
                service="ferry" if ferry else "toll",
                vehicle_class="1",
                gross_ore=gross,
                discount_ore=discount,
                amount_ore=gross + discount,
                flags=("tag_discount", "by_plate") if i % 7 == 0 else ("tag_discount",),
            )
        )
    return tuple(rows)


def summed(rows: Sequence[PassageRow], fees: Sequence[FeeRow] = ()) -> dict[str, Any]:
    """The sums of a view over `rows` and `fees`."""
    gross: dict[int, int] = {0: sum(fee.amount_ore for fee in fees)}
    for row in rows:
        rate = 1_200 if row.service == "ferry" else 0
        gross[rate] = gross.get(rate, 0) + row.amount_ore
    vehicles = []
    for plate in sorted({row.plate for row in rows}):
        mine = [row for row in rows if row.plate == plate]
        toll, ferry = (sum(r.amount_ore for r in mine if r.service == s) for s in ("toll", "ferry"))
        vehicles.append(VehicleSummary(plate, "NO", len(mine), toll, ferry, toll + ferry))
    vat = [(rate, money.net_of_gross(sum_ore, rate), sum_ore) for rate, sum_ore in gross.items()]
    return {
        "passages": tuple(rows),
        "fees": tuple(fees),
        "vehicles": tuple(vehicles),
        "vat": tuple(VatRow(rate, net, sum_ore - net, sum_ore) for rate, net, sum_ore in vat),
        "total_ore": sum(gross.values()),
        "payable_ore": sum(gross.values()),
    }


def view(count: int = 12, language: Language = "nb", **changes: Any) -> DocumentView:
    """An ordinary invoice over `count` passages."""
    fields: dict[str, Any] = {
        "kind": "invoice",
        "number": 100_000_123,
        "language": language,
        "issued_on": date(2026, 2, 1),
        "due_on": date(2026, 2, 15),
        "kid": "100045671000001238",
        "account": "15062134567",
        "agreement_number": "10004567",
        "seller": SELLER,
        "buyer": BUYER,
        "period_from": date(2026, 1, 31),
        "period_to": date(2026, 2, 28),
        "chargers": (ChargerContact("Ferde AS", "916797007", "ferde.example"),),
        "payment_terms": "Betal innen forfall.",
        **summed(passages(count)),
    }
    return DocumentView(**{**fields, **changes})
