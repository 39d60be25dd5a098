"""Ten documents to look at as pages: ``python -m tests.unit.billing.invoices.samples FOLDER`` writes them as PDFs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from billing.invoices import forms
from billing.invoices.pdf import render
from billing.invoices.presentation import (
    CapRow,
    CardPaid,
    ChargerContact,
    DocumentView,
    FeeRow,
    Language,
    Party,
    PassageRow,
    Reference,
)
from billing.invoices.view import TERMS, TERMS_AVTALEGIRO
from tests.unit.billing.invoices.documents import OSLO, summed, view

SELLER = Party(
    "Brikke Eksempel AS",
    ("Eksempelveien 1", "0150 Oslo"),
    "999999980",
    vat_registered=True,
    business_register=True,
    email="support@brikke.example",
    phone="+47 21 00 00 00",
)
BUSINESS = Party("Vestland Transport og Anlegg AS", ("Postboks 1204 Sentrum", "5811 Bergen"), "999999982")
STATIONS = (
    ("Nordhordlandsbrua", "Kystvegen Bomselskap AS", 4_800),
    ("Askøybrua", "Kystvegen Bomselskap AS", 3_600),
    ("Bjørvika", "Fjellveien Bompenger AS", 3_400),
    ("Ryen", "Fjellveien Bompenger AS", 3_100),
)
FERRIES = (("Halhjem–Sandvikvåg", "Fjordferger AS", 21_700), ("Lauvvik–Oanes", "Fjordferger AS", 9_800))
KYST = ("Kystvegen Bomselskap AS", "999999981", "drift@kystvegen.example · +47 55 00 00 02")
FJELL = ("Fjellveien Bompenger AS", "999999983", "drift@fjellveien.example · +47 22 00 00 01")
FJORD = ("Fjordferger AS", "999999984", "kunde@fjordferger.example · +47 51 00 00 03")


def drive(count: int, plates: Sequence[str], *, since: datetime, every: timedelta) -> list[PassageRow]:
    """Ordinary driving: tolls with flags of all kinds, every ninth a ferry."""
    rows = []
    for i in range(count):
        ferry = i % 9 == 8
        station, charger, gross = FERRIES[i % 2] if ferry else STATIONS[i % 4]
        flags: tuple[str, ...] = ("tag_discount",)
        discount = -gross // 10 if ferry else -gross // 5
        if not ferry and i % 5 == 3:
            flags, discount = ("tag_discount", "hour_free"), -gross
        elif not ferry and i % 7 == 2:
            flags, discount = ("by_plate",), 0
        elif not ferry and i % 11 == 4:
            flags, discount = ("tag_discount", "monthly_cap"), -gross
        elif not ferry and i % 4 == 1:
            flags, discount = ("tag_discount", "zero_emission", "hour_rule"), -gross * 6 // 10
        rows.append(
            PassageRow(
                since + i * every,
                station,
                charger,
                plates[i % len(plates)],
                "ferry" if ferry else "toll",
                "M1",
                gross,
                discount,
                gross + discount,
                flags,
                vat_bp=1_200 if ferry else 0,
            )
        )
    return rows


def chargers(rows: Sequence[PassageRow]) -> tuple[ChargerContact, ...]:
    """Whom to ask, for the chargers of the rows."""
    names = {row.charger for row in rows}
    sums = {name: sum(row.amount_ore for row in rows if row.charger == name) for name in names}
    return tuple(ChargerContact(*one, total_ore=sums[one[0]]) for one in (FJELL, FJORD, KYST) if one[0] in names)


def document(rows: Sequence[PassageRow], language: Language = "nb", **changes: Any) -> DocumentView:
    """An invoice of January over rows."""
    fees = changes.pop("fees", ())
    fields: dict[str, Any] = {
        **summed(rows, fees),
        "seller": SELLER,
        "period_from": min(row.at_local.date() for row in rows),
        "period_to": max(row.at_local.date() for row in rows),
        "begins_on": date(2026, 1, 1),
        "chargers": chargers(rows),
        "payment_terms": TERMS[language],
        "due_on": date(2026, 2, 16),
    }
    return view(0, language, **{**fields, **changes})


JANUARY = datetime(2026, 1, 2, 7, 14, tzinfo=OSLO)
HOURS = timedelta(hours=17, minutes=23)


def private(language: Language) -> DocumentView:
    """A family with two cars, one of them foreign, and a tag that was read without its plate."""
    rows = drive(38, ("EK12345", "DR77712"), since=JANUARY, every=HOURS)
    rows[4] = replace(rows[4], plate="9578012345")
    caps = (
        CapRow("DR77712", "NO", "Oslopakke 3", date(2026, 1, 1), 17, 120, reached=False),
        CapRow("EK12345", "NO", "Bypakke Bergen", date(2026, 1, 1), 60, 60, reached=True),
    )
    sums = summed(rows)
    return document(rows, language, caps=caps, credit_used_ore=5_000, payable_ore=sums["total_ore"] - 5_000)


def business() -> DocumentView:
    """A business with cost centres and many vehicles."""
    plates = [f"EL{20_000 + 711 * i}" for i in range(14)]
    rows = drive(180, plates, since=JANUARY, every=timedelta(hours=3, minutes=41))
    made = document(rows, buyer=BUSINESS, buyer_reference="PO 4711 / Ola Nordmann")
    centres = ("Anlegg nord", "Anlegg sør", "")
    vehicles = tuple(replace(row, cost_centre=centres[i % 3]) for i, row in enumerate(made.vehicles))
    caps = tuple(
        CapRow(plate, "NO", area, date(2026, 1, 1), 3 * i + 2, cap, reached=False)
        for i, plate in enumerate(plates)
        for area, cap in (("Bypakke Bergen", 60), ("Oslopakke 3", 120))
    )
    return replace(made, vehicles=vehicles, caps=caps)


def ferry() -> DocumentView:
    """Crossings with fare and toll, each one journey with two VAT treatments."""
    rows = drive(7, ("EK12345",), since=JANUARY, every=HOURS)
    for n in range(3):
        at = JANUARY + timedelta(days=3 + 4 * n, hours=n)
        fare = PassageRow(
            at, *FERRIES[0][:2], "EK12345", "ferry", "M1", 21_700, -2_170, 19_530, ("tag_discount",),
            vat_bp=1_200, journey=n + 1,
        )  # fmt: skip
        toll = replace(
            fare, at_local=at + timedelta(minutes=1), service="toll", gross_ore=5_200, discount_ore=0,
            amount_ore=5_200, flags=(), vat_bp=0,
        )  # fmt: skip
        rows += [fare, toll]
    return document(rows)


def credit() -> DocumentView:
    """A credit note that takes back an invoice whole."""
    rows = [
        replace(row, gross_ore=-row.gross_ore, discount_ore=-row.discount_ore, amount_ore=-row.amount_ore)
        for row in drive(9, ("EK12345",), since=JANUARY, every=HOURS)
    ]  # fmt: skip
    return document(
        rows,
        kind="credit_note",
        due_on=None,
        kid=None,
        payable_ore=0,
        payment_terms="",
        references=(Reference("credits", 100_000_099, date(2026, 1, 1)),),
    )


def earlier() -> DocumentView:
    """Passages that were left from earlier periods, and one that is corrected."""
    old = [
        replace(row, earlier=True)
        for row in drive(6, ("EK12345",), since=datetime(2025, 11, 27, 15, 2, tzinfo=OSLO), every=timedelta(days=4))
    ]
    new = drive(11, ("EK12345",), since=JANUARY, every=HOURS)
    wrong = replace(
        old[1], kind="reversal", gross_ore=-3_600, discount_ore=2_160, amount_ore=-1_440, earlier=False,
        note="Korreksjon av 01.12.2025, Askøybrua, faktura 100000044",
    )  # fmt: skip
    return document([*old, wrong, *new])


def samples() -> Mapping[str, DocumentView]:
    """Every sample by its name."""
    card = drive(8, ("EK12345",), since=JANUARY, every=HOURS)
    fee = [FeeRow("card_fee", 512)]
    total = summed(card, fee)["total_ore"]
    giro = drive(21, ("EK12345", "DR77712"), since=JANUARY, every=HOURS)
    return {
        "01-private-nb": private("nb"),
        "02-private-en": private("en"),
        "03-business-cost-centres": business(),
        "04-ferry-journeys": ferry(),
        "05-credit-note": credit(),
        "06-earlier-periods": earlier(),
        "07-thousand-lines": document(
            drive(1_000, ("EK12345", "DR77712", "BT40981"), since=JANUARY, every=timedelta(minutes=43)),
            buyer=BUSINESS,
        ),
        "08-avtalegiro-notice": document(
            giro, settlement="avtalegiro", payment_terms=TERMS_AVTALEGIRO["nb"], due_on=date(2026, 3, 2),
            due_was=date(2026, 2, 16),
        ),
        "09-short-copy-en": replace(private("en"), details=False, due_was=date(2026, 2, 6)),
        "10-receipt": document(
            card, fees=fee, due_on=None, kid=None, payment_terms="", paid_ore=total, payable_ore=0,
            paid_with=CardPaid("visa", "4242", date(2026, 2, 1)),
        ),
    }  # fmt: skip


def main(folder: Path) -> None:
    """Write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, one in samples().items():
        (folder / f"{name}.pdf").write_bytes(render.render(one))
        print(name, forms.key_of(one))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
