"""What a document shows: plain, frozen data, and nothing that has to be looked up to print it.

A view is filled from the stored document and handed to the PDF (`billing/invoices/pdf`) and to screens. Amounts
are integer øre and **signed as booked**: what the customer owes is positive, what goes back is negative, so a
credit note is negative all the way down. On its page the signs are turned (`layout.py`): a document that says credit
note shows what is credited as a positive sum, as the field does. Dates are Oslo business dates; `at_local` carries the
offset of the place at that moment.

Required contents: facts "Invoices" (bokføringsforskriften § 5-1-1): number and date, seller with organisation
number (MVA, Foretaksregisteret), buyer, what, when and where delivered, amount, due date, VAT per rate in NOK.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Kind = Literal["invoice", "credit_note"]
Language = Literal["nb", "en"]
Settlement = Literal["transfer", "avtalegiro"]
"""How an open invoice is to be paid. A notice of an AvtaleGiro claim must not hold a payment slip."""


@dataclass(frozen=True, slots=True)
class Party:
    """Seller or buyer. `address` is the postal lines below the name, the country last when it is foreign.

    `vat_registered` puts MVA behind the organisation number, `business_register` names Foretaksregisteret.
    """

    name: str
    address: tuple[str, ...] = ()
    org_number: str | None = None
    vat_registered: bool = False
    business_register: bool = False
    email: str | None = None
    phone: str | None = None
    website: str | None = None


@dataclass(frozen=True, slots=True)
class VehicleSummary:
    """All passages of one vehicle in the document; the two services add up to the total.

    `plate` is the tag where no plate was read. Vehicles of one `cost_centre` stand together, with their sum.
    """

    plate: str
    country: str
    count: int
    toll_ore: int
    ferry_ore: int
    total_ore: int
    cost_centre: str = ""


@dataclass(frozen=True, slots=True)
class CapRow:
    """How near its monthly cap a vehicle is in an area: `counted` passages of `month` (its first day) count.

    `cap` is null where the figure is not known; `reached` is what the operator says by its flag, whatever we count.
    """

    plate: str
    country: str
    area: str
    month: date
    counted: int
    cap: int | None
    reached: bool


@dataclass(frozen=True, slots=True)
class PassageRow:
    """One passage or counter-row. `gross_ore + discount_ore == amount_ore`, so a discount is negative.

    `flags` are the machine's words (`by_plate`, `hour_rule`, …); `words.py` says them to people. `note` is text
    printed as it stands, such as which passage a correction takes back. `plate` is the tag where no plate was read.
    `earlier`: it happened before the document's period begins. Rows with the same `journey` (above 0) are one crossing
    by ferry: its fare and its toll.
    """

    at_local: datetime
    station: str
    charger: str
    plate: str
    service: Literal["toll", "ferry"]
    vehicle_class: str
    gross_ore: int
    discount_ore: int
    amount_ore: int
    flags: tuple[str, ...] = ()
    kind: Literal["passage", "reversal"] = "passage"
    note: str = ""
    vat_bp: int = 0
    earlier: bool = False
    journey: int = 0


@dataclass(frozen=True, slots=True)
class FeeRow:
    """A fee or cost that is no passage. `text_key` is a key of `words.FEES`."""

    text_key: str
    amount_ore: int


@dataclass(frozen=True, slots=True)
class VatRow:
    """The sums of one VAT rate (basis points; 0 is exempt): net + VAT = gross."""

    rate_bp: int
    net_ore: int
    vat_ore: int
    gross_ore: int


@dataclass(frozen=True, slots=True)
class CardPaid:
    """The card that paid: brand as the gateway names it, last four digits, Oslo date of the charge."""

    brand: str
    last4: str
    on: date


@dataclass(frozen=True, slots=True)
class Reference:
    """Another document this one names: `credits` its invoice, `replaces` or `replaced_by` another version."""

    relation: Literal["credits", "replaces", "credited_by", "replaced_by"]
    number: int
    issued_on: date | None = None


@dataclass(frozen=True, slots=True)
class ChargerContact:
    """A toll company or ferry operator in the document, where to ask about its prices, and the sum of its passages."""

    name: str
    org_number: str | None = None
    contact: str = ""
    total_ore: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """Everything a document shows. A view whose sums disagree cannot be made: it would be a wrong invoice.

    `total_ore` is passages and fees; `payable_ore = total_ore − credit_used_ore − paid_ore` is what is left to
    pay of an invoice and 0 on a credit note. `account` is 11 digits. `payment_terms` is text printed as it
    stands. `due_was` is the due date it was issued with, where `due_on` is a later one. Without `details` the passages
    are not on the page. `begins_on` is when its period begins: what is older was left from an earlier one.
    Raises ValueError from the constructor, naming the first sum that disagrees.
    """

    kind: Kind
    number: int
    language: Language
    issued_on: date
    due_on: date | None
    kid: str | None
    account: str
    agreement_number: str
    seller: Party
    buyer: Party
    period_from: date
    period_to: date
    vehicles: tuple[VehicleSummary, ...]
    passages: tuple[PassageRow, ...]
    fees: tuple[FeeRow, ...]
    vat: tuple[VatRow, ...]
    total_ore: int
    payable_ore: int
    credit_used_ore: int = 0
    paid_ore: int = 0
    paid_with: CardPaid | None = None
    settlement: Settlement = "transfer"
    references: tuple[Reference, ...] = ()
    chargers: tuple[ChargerContact, ...] = ()
    payment_terms: str = ""
    buyer_reference: str = ""
    details: bool = True
    due_was: date | None = None
    begins_on: date | None = None
    caps: tuple[CapRow, ...] = ()

    def __post_init__(self) -> None:
        passages = sum(row.amount_ore for row in self.passages)
        left = 0 if self.kind == "credit_note" else self.total_ore - self.credit_used_ore - self.paid_ore
        for what, shown, expected in (
            ("the total", self.total_ore, passages + sum(fee.amount_ore for fee in self.fees)),
            ("the sum per VAT rate", sum(row.gross_ore for row in self.vat), self.total_ore),
            ("the sum per vehicle", sum(row.total_ore for row in self.vehicles), passages),
            ("what is left to pay", self.payable_ore, left),
        ):
            if shown != expected:
                raise ValueError(f"document {self.number}: {what} is {shown} øre, should be {expected}")
        for row in self.passages:
            if row.gross_ore + row.discount_ore != row.amount_ore:
                raise ValueError(f"document {self.number}: gross, discount and amount at {row.at_local} disagree")
            if row.at_local.utcoffset() is None:
                raise ValueError(f"document {self.number}: {row.at_local} has no offset")
        for rate in self.vat:
            if rate.net_ore + rate.vat_ore != rate.gross_ore:
                raise ValueError(f"document {self.number}: net, VAT and gross of {rate.rate_bp} bp disagree")

    @property
    def paid(self) -> bool:
        """Whether this is a receipt: an invoice with nothing left to pay."""
        return self.kind == "invoice" and self.payable_ore <= 0

    @property
    def has_slip(self) -> bool:
        """Whether it ends in a payment slip: something is to be paid, and by the customer's own transfer."""
        return self.kind == "invoice" and self.payable_ore > 0 and self.settlement == "transfer"
