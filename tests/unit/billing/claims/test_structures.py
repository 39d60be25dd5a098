"""KID structures: which one a KID has, and the KID of an invoice on an older mandate."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.claims.kid import AGREEMENT_DIGITS, KID_LENGTH, make_kid
from billing.claims.structures import OURS, KidStructure, known, named, structure_of

OLD = KidStructure("old", 17, 7, "customer", "mod10")
ELEVEN = KidStructure("eleven", 20, 9, "agreement", "mod11")


def ours() -> KidStructure:
    found = named(OURS)
    assert found is not None
    return found


def test_ours_is_in_the_table_and_is_what_invoices_have() -> None:
    assert (ours().length, ours().customer, ours().names) == (KID_LENGTH, AGREEMENT_DIGITS, "agreement")
    kid = make_kid(10_000_001, 100_000_123)
    assert structure_of(kid) == (ours(), kid)
    assert ours().make("10000001", 100_000_123) == kid
    assert ours().customer_part(kid) == "10000001"


@pytest.mark.parametrize("kid", ["", "1", "x" * 18, "100000011000001238", "10000001100000123", "1000000110000012-7",
                                 "١" * 18])  # fmt: skip
def test_of_no_structure(kid: str) -> None:
    assert structure_of(kid) is None


def test_zeros_that_fill_the_field_are_taken_off() -> None:
    kid = make_kid(10_000_001, 100_000_123)
    assert structure_of(kid.zfill(25)) == (ours(), kid)
    assert structure_of(kid.zfill(24)) is None
    assert structure_of("0" * 25) is None


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([OLD, ELEVEN]), st.integers(1, 10**7 - 1), st.integers(1, 10**9 - 1))
def test_what_is_made_is_found_again(structure: KidStructure, owner: int, invoice: int) -> None:
    part = f"{owner:0{structure.customer}}"
    try:
        kid = structure.make(part, invoice)
    except ValueError:
        assert structure.check == "mod11"
        return
    assert structure_of(kid, [*known(), OLD, ELEVEN]) == (structure, kid)
    assert structure.customer_part(kid) == part


@pytest.mark.parametrize(("part", "invoice"), [("123456", 1), ("12345678", 1), ("1234567", 0), ("1234567", 10**9)])
def test_what_does_not_fit(part: str, invoice: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        OLD.make(part, invoice)


ROW = '[[structure]]\nname = "{}"\nlength = {}\ncustomer = {}\nnames = "{}"\ncheck = "{}"\n'


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("a", 18, 9, "agreement", "mod10")], "no room"),
        ([("a", 26, 8, "agreement", "mod10")], "no room"),
        ([("a", 18, 0, "agreement", "mod10")], "no room"),
        ([("a", 18, 8, "person", "mod10")], "not known"),
        ([("a", 18, 8, "agreement", "mod12")], "not known"),
        ([("a", 18, 8, "agreement", "mod10"), ("a", 19, 8, "agreement", "mod10")], "two structures"),
        ([("a", 18, 8, "agreement", "mod10"), ("b", 18, 7, "agreement", "mod10")], "two structures"),
        ([(str(n), n, 5, "agreement", "mod10") for n in range(18, 22)], "the bank takes 3"),
    ],
)
def test_a_table_that_cannot_be(tmp_path: Path, rows: list[tuple[object, ...]], complaint: str) -> None:
    path = tmp_path / "kid_structures.toml"
    path.write_text("".join(ROW.format(*row) for row in rows))
    with pytest.raises(ValueError, match=complaint):
        known(path)
