"""Ten documents of all kinds, whole: what each says on its pages, and what it must not."""

from __future__ import annotations

import pytest

from billing.invoices.pdf import render
from tests.unit.billing.invoices.samples import samples
from tests.unit.billing.invoices.test_pdf import pages

SLIP = ("Betalingsinformasjon", "Payment details")
SAYS = {
    "01-private-nb": ("Å betale", "Brukt tilgodehavende −50,00", "9578012345", "Bypakke Bergen", "Timesregel: gratis"),
    "02-private-en": ("To pay", "Credit used −50,00", "One-hour rule: free", "Monthly cap", "Left to the cap"),
    "03-business-cost-centres": ("Kostnadssted Anlegg nord", "Org.nr. 999 999 982", "PO 4711 / Ola Nordmann"),
    "04-ferry-journeys": ("Overfart: billett, mva. 12 %", "Samme overfart: bompenger, uten mva. I alt 247,30"),
    "05-credit-note": ("Kreditnota", "Gjelder faktura 100000099 (01.01.2026)", "Krediterte passeringer"),
    "06-earlier-periods": ("skjedde før 01.01.2026", "Tidligere periode", "Korreksjon av 01.12.2025"),
    "07-thousand-lines": ("Sum 1000 passeringer",),
    "08-avtalegiro-notice": ("Trekkes med AvtaleGiro", "på forfallsdatoen, 02.03.2026", "Den var 16.02.2026"),
    "09-short-copy-en": ("The passages are left out of this copy", "moved to 16.02.2026. It was 06.02.2026"),
    "10-receipt": ("Kvittering", "BETALT", "Visa som slutter på 4242", "Kortgebyr, bedriftskort 5,12"),
}
WITHOUT_SLIP = ("05-credit-note", "08-avtalegiro-notice", "10-receipt")


@pytest.mark.parametrize("name", SAYS)
def test_a_sample_says_what_it_is_to_say(name: str) -> None:
    subject = samples()[name]
    found = pages(render.render(subject))
    text = " ".join(found)
    for wanted in (*SAYS[name], "999 999 980 MVA, Foretaksregisteret", "+47 21 00 00 00", "support@brikke.example"):
        assert wanted in text, wanted
    for charger in subject.chargers:
        assert charger.contact in text
    slips = [page for page in found if any(title in page for title in SLIP)]
    assert slips == ([] if name in WITHOUT_SLIP else found[:1])
    assert all(str(subject.number) in page for page in found)


def test_every_sample_is_looked_at() -> None:
    assert set(samples()) == set(SAYS)
