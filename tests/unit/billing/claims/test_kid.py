"""KIDs: made, read back, and judged when they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.claims.kid import Kid, check, make_kid, parse_kid

agreements = st.integers(1, 99_999_999)
invoices = st.integers(1, 999_999_999)


@pytest.mark.parametrize(
    ("agreement", "invoice", "kid"),
    [
        (12345678, 1, "123456780000000014"),
        (1, 1, "000000010000000017"),
        (99_999_999, 999_999_999, "999999999999999997"),
    ],
)
def test_made(agreement: int, invoice: int, kid: str) -> None:
    # Check digits worked out by hand: weights 2,1,2,1... from the right, digits of the products added.
    assert make_kid(agreement, invoice) == kid
    assert parse_kid(kid) == Kid(agreement, invoice)


@pytest.mark.parametrize(
    ("agreement", "invoice"), [(0, 1), (1, 0), (-1, 1), (1, -1), (100_000_000, 1), (1, 1_000_000_000)]
)
def test_numbers_that_do_not_fit(agreement: int, invoice: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        make_kid(agreement, invoice)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("123456780000000014", "ok"),
        ("   123456780000000014  ", "ok"),
        ("123456780000000015", "bad_check"),
        ("123456780000000041", "bad_check"),
        ("123456782", "foreign"),  # the mod10 example of the specification: valid, but not our length
        ("123456783", "bad_check"),
        ("99991042764", "foreign"),  # mod11 and not mod10: bank account numbers are made so
        ("12345678-", "bad_check"),
        ("1-", "bad_check"),
        ("6-", "foreign"),  # 6 x 2 = 12, remainder 1, 11 - 1 = 10 is written -
        ("", "foreign"),
        ("    ", "foreign"),
        ("000000000000000000", "foreign"),
        ("0000000000000000000000000", "foreign"),
        ("-", "foreign"),
        ("12345678000000001A", "foreign"),
        ("12345678 0000000016", "foreign"),
        ("1234-6780000000016", "foreign"),
        ("²34567800000000016", "foreign"),
        ("١٢٣٤٥٦٧٨٠٠٠٠٠٠٠٠١٦", "foreign"),
        ("1" * 26, "foreign"),
    ],
)
def test_judged(text: str, says: str) -> None:
    assert check(text) == says
    assert (parse_kid(text) is not None) == (says == "ok")


def test_zero_numbers_are_nobodys_though_the_check_digit_holds() -> None:
    assert parse_kid("000000000000000018") is None  # agreement 0
    assert parse_kid("123456780000000006") is None  # invoice 0


@given(agreements, invoices)
def test_every_kid_reads_back(agreement: int, invoice: int) -> None:
    kid = make_kid(agreement, invoice)
    assert len(kid) == 18
    assert parse_kid(f" {kid} ") == (agreement, invoice)
    assert check(kid) == "ok"


@given(agreements, invoices, st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_is_never_ours(agreement: int, invoice: int, at: int, by: int) -> None:
    kid = make_kid(agreement, invoice)
    wrong = kid[:at] + str((int(kid[at]) + by) % 10) + kid[at + 1 :]
    assert parse_kid(wrong) is None
    assert check(wrong) != "ok"


@given(st.text(max_size=30))
def test_any_text_is_judged(text: str) -> None:
    assert check(text) in ("ok", "bad_check", "foreign")
