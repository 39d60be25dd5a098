"""Which national ids are taken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.no import fodselsnummer

from accounts.customers import rules
from config.checks import Wrong


def made(nine: str) -> str | None:
    """Return nine digits with their check digits, None where they have none."""
    first = fodselsnummer.calc_check_digit1(nine + "00")
    second = fodselsnummer.calc_check_digit2(nine + first + "0") if len(first) == 1 else "10"
    return None if len(first) > 1 or len(second) > 1 else nine + first + second


REAL = "15108695088"
D_NUMBER = made("551086950")
TENOR, OTHER = made("159086950"), made("157586950")


def test_real_ones_are_taken_with_and_without_a_space() -> None:
    assert rules.national_id(REAL, synthetic=False) == REAL
    assert rules.national_id(" 151086 95088 ", synthetic=False) == REAL
    assert D_NUMBER is not None
    assert rules.national_id(D_NUMBER, synthetic=False) == D_NUMBER


@pytest.mark.parametrize("number", [TENOR, OTHER])
def test_made_up_ones_are_taken_where_they_are_wanted(number: str | None) -> None:
    assert number is not None
    assert rules.national_id(number, synthetic=True) == number
    with pytest.raises(Wrong) as caught:
        rules.national_id(number, synthetic=False)
    assert caught.value.code == "synthetic"


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "15108695087",
        "1510869508",
        "151086950888",
        "15108695O88",
        "١٥١٠٨٦٩٥٠٨٨",
        "15 10 86 95088",
        "151086-95088",
        "15108695088\n15108695088",
        "' OR 1=1",
        "15108695088\x00",
        "9" * 1000,
        made("321086950") or "",  # the 32nd
        made("151386950") or "",  # the 13th month
    ],
)
def test_garbage_is_refused_and_not_repeated(garbage: str) -> None:
    with pytest.raises(Wrong) as caught:
        rules.national_id(garbage, synthetic=True)
    assert not garbage or garbage not in str(caught.value)


@given(st.text(alphabet="0123456789", min_size=11, max_size=11), st.booleans())
@settings(max_examples=200)
def test_without_made_up_ones_it_takes_what_stdnum_takes(digits: str, fix: bool) -> None:
    number = (made(digits[:9]) or digits) if fix else digits
    try:
        fodselsnummer.get_birth_date(number)
        right = (number[9], number[10]) == (
            fodselsnummer.calc_check_digit1(number),
            fodselsnummer.calc_check_digit2(number),
        )
    except fodselsnummer.ValidationError:
        right = False
    try:
        taken = rules.national_id(number, synthetic=False) == number
    except Wrong:
        taken = False
    assert taken == right
