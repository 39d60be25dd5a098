"""The rows of the passage table: their order, what stays together, what is remarked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices import forms
from billing.invoices.forms import Form
from billing.invoices.pdf import layout, printing, rows
from billing.invoices.presentation import CapRow, Language
from tests.unit.billing.invoices.documents import passages, summed, view
from tests.unit.billing.invoices.test_pdf import plain, text_of


@pytest.mark.parametrize(
    ("together", "sizes"),
    [
        ([], []),
        ([0], [1]),
        ([0] * 5, [5]),
        ([0] * 6, [3, 3]),
        ([0] * 8, [3, 1, 1, 3]),
        ([0, 0, 1, 0, 0, 0, 0, 0], [4, 1, 3]),  # a crossing is not cut by the first group
        ([0, 0, 0, 0, 1, 0, 0, 0], [3, 1, 4]),  # nor by the last
        ([0, 0, 0, 1, 0, 0, 0, 0], [3, 2, 3]),
        ([0, 0, 1, 0, 0, 0], [6]),
    ],
)
def test_what_stays_together(together: list[int], sizes: list[int]) -> None:
    assert rows.groups([bool(one) for one in together]) == sizes


@given(st.lists(st.booleans(), max_size=40))
def test_groups_hold_every_row_and_cut_no_crossing(marks: list[bool]) -> None:
    together = [mark and (i == 0 or not marks[i - 1]) for i, mark in enumerate(marks)]
    if together:
        together[-1] = False
    sizes = rows.groups(together)
    assert sum(sizes) == len(together)
    end = 0
    for size in sizes:
        end += size
        assert not together[end - 1]


def crossing(language: Language = "nb") -> tuple[str, list[list[str]]]:
    fare, between = passages(6)[4], passages(6)[5]
    fare = replace(fare, journey=1, vat_bp=1_200)
    between = replace(between, at_local=fare.at_local + timedelta(minutes=1))
    toll = replace(
        fare, service="toll", vat_bp=0, gross_ore=5_000, discount_ore=0, amount_ore=5_000, flags=(),
        at_local=fare.at_local + timedelta(minutes=2),
    )  # fmt: skip
    subject = view(0, language, **summed([toll, between, fare]))
    return text_of(subject), layout.layout(subject)["passages"]


def test_a_crossing_is_one_journey_with_two_treatments() -> None:
    text, shown = crossing()
    assert [row[5] for row in shown] == ["Ferge", "Bom", "Bom"]
    assert shown[0][7].endswith("Overfart: billett, mva. 12 %")
    assert shown[1][7] == "Samme overfart: bompenger, uten mva. I alt 296,64"
    assert "Samme overfart" in text
    assert "Same crossing: toll, no VAT. 296,64 in all" in crossing("en")[0]


def test_what_was_left_from_earlier_says_so_and_the_sum_of_it() -> None:
    some = [replace(row, earlier=i < 2) for i, row in enumerate(passages(7))]
    subject = view(0, **summed(some), begins_on=date(2026, 2, 1))
    text = text_of(subject)
    assert "2 av passeringene, til sammen 49,61 kr, skjedde før 01.02.2026" in text
    assert text.count("Tidligere periode") == 3  # the sentence and each of the two
    short = text_of(replace(subject, details=False))
    assert "2 av passeringene" in short
    assert "Tidligere periode" not in text_of(view(7, begins_on=date(2026, 2, 1)))


def test_a_cap_says_how_near_it_is() -> None:
    month = date(2026, 1, 1)
    caps = (
        CapRow("EK12345", "NO", "Bypakke Bergen", month, 42, 60, reached=False),
        CapRow("EK12345", "NO", "Oslopakke 3", month, 120, 120, reached=False),
        CapRow("DR77712", "NO", "Kvammapakken", month, 9, None, reached=True),
    )
    assert [row[2:] for row in layout.layout(view(3, caps=caps))["caps"]] == [
        ["januar 2026", "42", "60", "18"],
        ["januar 2026", "120", "120", "Nådd"],
        ["januar 2026", "9", "–", "Nådd"],
    ]
    assert "EK12345 Bypakke Bergen January 2026 42 60 18" in text_of(view(3, "en", caps=caps))


def test_a_short_copy_leaves_the_passages_out_and_says_where_they_are() -> None:
    text = text_of(view(12, details=False))
    assert "ikke med i denne kopien" in text
    assert "under faktura 100000123" in text
    assert "Bru0003" not in text
    assert plain(printing.amount(view(12).payable_ore)) in text
    assert "Oversikt per kjøretøy" in text


def test_a_later_due_date_is_said_with_the_one_it_was() -> None:
    later: dict[str, Any] = {"due_on": date(2026, 3, 2), "due_was": date(2026, 2, 15)}
    text = text_of(view(3, **later))
    assert "Fristen er utsatt til 02.03.2026. Den var 15.02.2026." in text
    assert text.count("02.03.2026") == 4  # facts, box, sentence, slip
    giro = text_of(view(3, "en", settlement="avtalegiro", **later))
    assert "taken from your account on the due date, 02.03.2026" in giro
    assert "moved to 02.03.2026. It was 15.02.2026" in giro


def test_an_avtalegiro_notice_names_the_kid_and_no_account() -> None:
    text = text_of(view(3, settlement="avtalegiro"))
    assert "KID 100045671000001238" in text
    assert "1506.21.34567" not in text
    assert "trekkes fra kontoen din på forfallsdatoen, 15.02.2026" in text


def test_cost_centres_have_sums() -> None:
    subject = view(12)
    vehicles = tuple(
        replace(row, cost_centre=name) for row, name in zip(subject.vehicles, ("Sør", "", "Nord"), strict=True)
    )
    shown = layout.layout(replace(subject, vehicles=vehicles))["vehicles"]
    assert [(row["centre"], row["cells"][0]) for row in shown] == [
        (True, "Kostnadssted Nord"), (False, subject.vehicles[2].plate),
        (True, "Kostnadssted Sør"), (False, subject.vehicles[0].plate),
        (True, "Uten kostnadssted"), (False, subject.vehicles[1].plate),
    ]  # fmt: skip
    assert shown[0]["cells"][5] == printing.amount(subject.vehicles[2].total_ore)
    assert "Kostnadssted Nord" in text_of(replace(subject, vehicles=vehicles))


def test_a_form_is_known_by_its_key() -> None:
    assert forms.key_of(view(3)) == "transfer"
    assert forms.key_of(view(3, settlement="avtalegiro", details=False)) == "avtalegiro-short"
    later = view(3, due_on=date(2026, 3, 2), due_was=date(2026, 2, 15))
    assert forms.key_of(later) == "transfer-due:2026-03-02"
    assert Form() == forms.PLAIN
