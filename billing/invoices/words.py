"""The words of a document, in Bokmål and English.

`LABELS` are the template's own labels, `FEES` and `FLAGS` say the machine's keys to people. Both languages have the
same keys (a test holds them to it). What has no words here is printed as it stands, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from billing.invoices.presentation import Language


def _frozen(nb: dict[str, str], en: dict[str, str]) -> Mapping[Language, Mapping[str, str]]:
    return MappingProxyType({"nb": MappingProxyType(nb), "en": MappingProxyType(en)})


LABELS = _frozen(
    {
        "invoice": "Faktura",
        "receipt": "Kvittering",
        "credit_note": "Kreditnota",
        "number": "Fakturanummer",
        "credit_number": "Kreditnotanummer",
        "issued": "Fakturadato",
        "credit_issued": "Dato",
        "due": "Forfallsdato",
        "agreement": "Avtalenummer",
        "period": "Periode",
        "buyer_reference": "Deres referanse",
        "org": "Org.nr.",
        "register": "Foretaksregisteret",
        "to_pay": "Å betale",
        "paid": "Betalt",
        "paid_card": "{brand} som slutter på {last4}, {on}",
        "settled": "Det er ingenting å betale.",
        "credited": "Kreditert",
        "credited_text": "Rettelsene er større enn det nye. Beløpet trekkes fra det du skylder; resten står til gode "
        "på avtalen, brukes på neste faktura og kan betales ut.",
        "credited_whole_text": "Fakturaen er kreditert i sin helhet. Det som fortsatt skal betales, kommer på en ny "
        "faktura. Det du har betalt for mye, står til gode på avtalen.",
        "avtalegiro": "Trekkes med AvtaleGiro",
        "avtalegiro_text": "Beløpet trekkes fra kontoen din på forfallsdatoen, {due}. Du skal ikke betale det selv.",
        "due_later": "Fristen er utsatt til {due}. Den var {was}.",
        "kid": "KID",
        "account": "Kontonummer",
        "amount": "Beløp",
        "item": "Post",
        "credits": "Gjelder faktura",
        "replaces": "Erstatter",
        "credited_by": "Kreditert av kreditnota",
        "replaced_by": "Erstattet av",
        "summary": "Oversikt per kjøretøy",
        "vehicle": "Kjøretøy",
        "count": "Antall",
        "toll": "Bom",
        "ferry": "Ferge",
        "sum": "Sum",
        "all_vehicles": "Alle kjøretøy",
        "cost_centre": "Kostnadssted {name}",
        "no_cost_centre": "Uten kostnadssted",
        "earlier": "Tidligere periode",
        "earlier_text": "{count} av passeringene, til sammen {sum} kr, skjedde før {begins} og står som «Tidligere "
        "periode»: De kom til oss etter forrige faktura, eller beløpet var for lite til å fakturere da.",
        "earlier_text_one": "1 av passeringene, på {sum} kr, skjedde før {begins} og står som «Tidligere periode»: Den "
        "kom til oss etter forrige faktura, eller beløpet var for lite til å fakturere da.",
        "caps": "Månedstak",
        "caps_text": "Så mange passeringer teller mot taket i området, talt da fakturaen ble laget. De som er gratis "
        "etter timesregelen, teller ikke. Når taket er nådd, betaler kjøretøyet ikke for flere den måneden.",
        "area": "Område",
        "month": "Måned",
        "counted": "Talt",
        "cap": "Tak",
        "cap_left": "Igjen til taket",
        "cap_reached": "Nådd",
        "total": "Sum inkl. mva.",
        "total_credit": "Kreditert inkl. mva.",
        "credit_used": "Brukt tilgodehavende",
        "already_paid": "Allerede betalt",
        "vat": "Merverdiavgift",
        "vat_rate": "Sats",
        "vat_exempt": "Unntatt (0 %)",
        "vat_sum": "I alt",
        "vat_net": "Grunnlag",
        "vat_amount": "Mva.",
        "vat_gross": "Inkl. mva.",
        "passages": "Passeringer",
        "passages_credit": "Krediterte passeringer",
        "passages_set_off": "Rettelser, og nye passeringer som er trukket fra",
        "passages_text": "I den rekkefølgen de skjedde. Alle tider er norsk tid, alle beløp i kroner inkl. mva.",
        "passages_short": "Passeringene er ikke med i denne kopien. Du finner hver av dem på Min side, under faktura "
        "{number}.",
        "journey_fare": "Overfart: billett, mva. {rate}",
        "journey_toll": "Samme overfart: bompenger, uten mva. I alt {sum}",
        "when": "Dato og tid",
        "station": "Sted",
        "plate": "Skilt/brikke",
        "service": "Tjeneste",
        "remarks": "Merknad",
        "gross": "Fullpris",
        "discount": "Rabatt",
        "passages_sum": "Sum {count} passeringer",
        "passages_sum_one": "Sum 1 passering",
        "summer_time": "sommertid",
        "winter_time": "vintertid",
        "chargers": "Operatører",
        "chargers_text": "Vi krever inn på vegne av operatørene, som svarer på spørsmål om priser og steder. Spørsmål "
        "om fakturaen svarer vi på: {contact}.",
        "charger": "Operatør",
        "contact": "Spørsmål om priser",
        "terms": "Betaling",
        "slip": "Betalingsinformasjon",
        "pay_to": "Betales til",
        "pay_from": "Betales av",
        "page": "Side {page} av {pages}",
        "logo": "Brikkes merke",
    },
    {
        "invoice": "Invoice",
        "receipt": "Receipt",
        "credit_note": "Credit note",
        "number": "Invoice number",
        "credit_number": "Credit note number",
        "issued": "Invoice date",
        "credit_issued": "Date",
        "due": "Due date",
        "agreement": "Agreement number",
        "period": "Period",
        "buyer_reference": "Your reference",
        "org": "Org. no.",
        "register": "Foretaksregisteret",
        "to_pay": "To pay",
        "paid": "Paid",
        "paid_card": "{brand} ending in {last4}, {on}",
        "settled": "There is nothing to pay.",
        "credited": "Credited",
        "credited_text": "The corrections are more than what is new. The amount is taken off what you owe; the rest is "
        "kept as credit, is used on the next invoice, and can be paid out.",
        "credited_whole_text": "The invoice is credited in full. What is still to be paid comes on a new invoice. What "
        "you have paid too much is kept as credit.",
        "avtalegiro": "Collected by AvtaleGiro",
        "avtalegiro_text": "The amount is taken from your account on the due date, {due}. Do not pay it yourself.",
        "due_later": "The due date has been moved to {due}. It was {was}.",
        "kid": "KID",
        "account": "Account number",
        "amount": "Amount",
        "item": "Item",
        "credits": "Credits invoice",
        "replaces": "Replaces",
        "credited_by": "Credited by credit note",
        "replaced_by": "Replaced by",
        "summary": "Summary per vehicle",
        "vehicle": "Vehicle",
        "count": "Count",
        "toll": "Toll",
        "ferry": "Ferry",
        "sum": "Sum",
        "all_vehicles": "All vehicles",
        "cost_centre": "Cost centre {name}",
        "no_cost_centre": "Without a cost centre",
        "earlier": "Earlier period",
        "earlier_text": "{count} of the passages, NOK {sum} in all, happened before {begins} and are marked “Earlier "
        "period”: they came to us after the last invoice, or the sum was too small to invoice then.",
        "earlier_text_one": "1 of the passages, of NOK {sum}, happened before {begins} and is marked “Earlier period”: "
        "it came to us after the last invoice, or the sum was too small to invoice then.",
        "caps": "Monthly cap",
        "caps_text": "This many passages count toward the area's cap, as counted when the invoice was made. Those that "
        "the one-hour rule makes free do not count. When the cap is reached, the vehicle pays for no more that month.",
        "area": "Area",
        "month": "Month",
        "counted": "Counted",
        "cap": "Cap",
        "cap_left": "Left to the cap",
        "cap_reached": "Reached",
        "total": "Total incl. VAT",
        "total_credit": "Credited incl. VAT",
        "credit_used": "Credit used",
        "already_paid": "Already paid",
        "vat": "Value added tax",
        "vat_rate": "Rate",
        "vat_exempt": "Exempt (0 %)",
        "vat_sum": "In all",
        "vat_net": "Net",
        "vat_amount": "VAT",
        "vat_gross": "Incl. VAT",
        "passages": "Passages",
        "passages_credit": "Credited passages",
        "passages_set_off": "Corrections, and new passages taken off",
        "passages_text": "In the order they happened. All times are Norwegian time, all amounts in NOK incl. VAT.",
        "passages_short": "The passages are left out of this copy. Each of them is on My Page, under invoice {number}.",
        "journey_fare": "Crossing: fare, VAT {rate}",
        "journey_toll": "Same crossing: toll, no VAT. {sum} in all",
        "when": "Date and time",
        "station": "Place",
        "plate": "Plate/tag",
        "service": "Service",
        "remarks": "Remarks",
        "gross": "Full price",
        "discount": "Discount",
        "passages_sum": "Sum of {count} passages",
        "passages_sum_one": "Sum of 1 passage",
        "summer_time": "summer time",
        "winter_time": "winter time",
        "chargers": "Operators",
        "chargers_text": "We collect on behalf of the operators. They answer questions about prices and places. We "
        "answer questions about the invoice: {contact}.",
        "charger": "Operator",
        "contact": "Questions about prices",
        "terms": "Payment",
        "slip": "Payment details",
        "pay_to": "Pay to",
        "pay_from": "Paid by",
        "page": "Page {page} of {pages}",
        "logo": "The mark of Brikke",
    },
)

FLAGS = _frozen(
    {
        "by_plate": "Lest på skilt",
        "tag_plate_mismatch": "Brikke og skilt avviker",
        "after_removal": "Etter at kjøretøyet ble fjernet",
        "hour_rule": "Timesregel",
        "hour_free": "Timesregel: gratis",
        "monthly_cap": "Månedstak",
        "tag_discount": "Brikkerabatt",
        "zero_emission": "Nullutslipp",
        "wrong_class": "Annen takstgruppe enn vi kjenner",
        "unknown_station": "Ukjent sted",
        "double_read": "Lest to ganger",
        "additional_agreement": "Tilleggsavtale",
        "additional_unavailable": "Tilleggsavtalen kunne ikke ta turen",
        "rush_hour": "Rushtid",
        "exempt": "Fritak",
        "late": "Mottatt sent",
        "correction": "Korreksjon",
        "credit": "Kreditert",
        "reversal": "Tilbakeført",
    },
    {
        "by_plate": "Read by plate",
        "tag_plate_mismatch": "Tag and plate differ",
        "after_removal": "After the vehicle was removed",
        "hour_rule": "One-hour rule",
        "hour_free": "One-hour rule: free",
        "monthly_cap": "Monthly cap",
        "tag_discount": "Tag discount",
        "zero_emission": "Zero emission",
        "wrong_class": "Another class than we know of",
        "unknown_station": "Unknown place",
        "double_read": "Read twice",
        "additional_agreement": "Additional agreement",
        "additional_unavailable": "The additional agreement could not take it",
        "rush_hour": "Rush hour",
        "exempt": "Exempt",
        "late": "Arrived late",
        "correction": "Correction",
        "credit": "Credited",
        "reversal": "Reversed",
    },
)

ALIASES = MappingProxyType({"one_hour_rule": "hour_rule", "cap": "monthly_cap", "adjustment": "correction"})
"""Other names chargers give the same flag."""

FEES = _frozen({"card_fee": "Kortgebyr, bedriftskort"}, {"card_fee": "Card fee, business card"})
"""What is charged beside passages: this and nothing else. No interest, no fee for a reminder."""

BRANDS = MappingProxyType(
    {
        "visa": "Visa",
        "mastercard": "Mastercard",
        "amex": "American Express",
        "diners": "Diners Club",
        "jcb": "JCB",
        "unionpay": "UnionPay",
        "maestro": "Maestro",
    }
)
"""Card brands as the gateway names them and as people write them."""


def flag(language: Language, key: str) -> str:
    """Say a passage's flag; one without words is printed as it stands, its underscores as spaces."""
    known = FLAGS[language].get(ALIASES.get(key, key))
    return known if known is not None else key.replace("_", " ")


def fee(language: Language, key: str) -> str:
    """Say what a fee is for; one without words is printed as it stands, its underscores as spaces."""
    return FEES[language].get(key) or key.replace("_", " ")


def brand(key: str) -> str:
    """Write a card brand the way its owner does."""
    return BRANDS.get(key.lower(), key)
