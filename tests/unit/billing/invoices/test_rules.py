"""A document's figures: VAT per rate and line, due date."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.invoices.rules import Gross, due_date, split
from config.bankdays import is_bank_day
from config.money import net_of_gross

parts = st.lists(
    st.builds(
        Gross,
        kind=st.sampled_from(["toll", "ferry"]),
        country=st.just("NO"),
        plate=st.sampled_from(["EK12345", "DR77712", None]),
        vat_bp=st.sampled_from([0, 1200, 1500, 2500]),
        passages=st.integers(1, 9),
        gross_ore=st.integers(-5_000_000, 5_000_000),
    ),
    max_size=12,
)


@given(parts)
@settings(max_examples=200)
def test_nets_add_up_to_the_net_of_the_rates_gross(given_parts: list[Gross]) -> None:
    gross: defaultdict[int, int] = defaultdict(int)
    net: defaultdict[int, int] = defaultdict(int)
    lines = split(given_parts)
    for line in lines:
        assert line.net_ore + line.vat_ore == line.gross_ore
        assert abs(line.net_ore - net_of_gross(line.gross_ore, line.vat_bp)) <= (1 if line.vat_bp else 0)
        gross[line.vat_bp] += line.gross_ore
        net[line.vat_bp] += line.net_ore
    assert dict(net) == {rate: net_of_gross(ore, rate) for rate, ore in gross.items()}
    assert [(x.kind, x.plate, x.vat_bp, x.gross_ore) for x in lines] == [
        (x.kind, x.plate, x.vat_bp, x.gross_ore) for x in given_parts
    ]


@given(parts)
@settings(max_examples=100)
def test_a_credit_mirrors_its_invoice(given_parts: list[Gross]) -> None:
    back = [Gross(x.kind, x.country, x.plate, x.vat_bp, x.passages, -x.gross_ore) for x in given_parts]
    there, again = split(given_parts), split(back)
    assert [(-x.net_ore, -x.vat_ore) for x in again] == [(x.net_ore, x.vat_ore) for x in there]


def test_exempt_lines_have_no_vat_whatever_stands_beside_them() -> None:
    lines = split([Gross("toll", "NO", "A", 0, 1, 333), Gross("ferry", "NO", "A", 1200, 1, 112)])
    assert [(line.net_ore, line.vat_ore) for line in lines] == [(333, 0), (100, 12)]


@pytest.mark.parametrize(
    ("issued", "due"),
    [
        (dt.date(2026, 2, 1), dt.date(2026, 2, 16)),  # the 15th is a Sunday
        (dt.date(2026, 3, 20), dt.date(2026, 4, 7)),  # 3 to 6 April is Easter
        (dt.date(2025, 12, 11), dt.date(2025, 12, 29)),  # Christmas Day, Boxing Day, a week-end
        (dt.date(2026, 1, 1), dt.date(2026, 1, 15)),
    ],
)
def test_the_due_date_is_a_bank_day(issued: dt.date, due: dt.date) -> None:
    assert due_date(issued, 14) == due


@given(st.dates(dt.date(2024, 1, 1), dt.date(2030, 1, 1)), st.integers(0, 60))
@settings(max_examples=100)
def test_the_term_is_never_shortened_and_never_long_overrun(issued: dt.date, days: int) -> None:
    due = due_date(issued, days)
    assert is_bank_day(due)
    assert dt.timedelta(days=days) <= due - issued <= dt.timedelta(days=days + 6)
