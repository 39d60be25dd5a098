"""What a customer may look like."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.customers import rules
from config.problems import Invalid

KARI: dict[str, str | None] = {
    "name": "Kari  Nordmann ",
    "email": "Kari.Nordmann@Example.NO",
    "phone": "412 34 567",
    "street": "Storgata 1",
    "postal_code": "0155",
    "city": "Oslo",
    "country": "no",
    "language": "nb",
}


def wrong(kind: str, **changes: str | None) -> set[str]:
    """Return the fields that are refused."""
    with pytest.raises(Invalid) as caught:
        rules.checked(kind, {**KARI, **changes})
    return {error["field"] for error in caught.value.errors}


def test_what_is_kept_is_normalised() -> None:
    kept = rules.checked("private", KARI)
    assert kept == {
        "name": "Kari Nordmann",
        "org_no": None,
        "email": "Kari.Nordmann@example.no",
        "phone": "+4741234567",
        "street": "Storgata 1",
        "postal_code": "0155",
        "city": "Oslo",
        "country": "NO",
        "language": "nb",
    }
    assert rules.checked("private", kept) == kept


def test_a_business_has_a_checked_organisation_number_and_a_person_none() -> None:
    assert rules.checked("business", {**KARI, "org_no": "988 077 917"})["org_no"] == "988077917"
    assert wrong("business", org_no="988077918") == {"org_no"}
    assert wrong("business", org_no="٩٨٨٠٧٧٩١٧") == {"org_no"}
    assert wrong("business") == {"org_no"}
    assert wrong("private", org_no="988077917") == {"org_no"}
    assert wrong("club") == {"kind"}


@pytest.mark.parametrize(
    "email", ["", "kari", "kari@", "@example.no", "a b@example.no", "kari@example", "kari@-x.no", "kari@exa..no",
              "kari@example.no\nBcc: x@y.no", "kari@1.2.3.4", ".kari@example.no", "k" * 65 + "@example.no", "a@b@c.no",
              "kåre@example.no", "kari@" + "x" * 64 + ".no", "kari@example.no\x00"],
)  # fmt: skip
def test_what_is_no_address_is_refused(email: str) -> None:
    assert wrong("private", email=email) == {"email"}


@pytest.mark.parametrize("email", ["a@b.no", "kari+brikke@mail.example.com", "post@blåbær.no", "o'neil@example.ie"])
def test_addresses_that_are(email: str) -> None:
    assert rules.checked("private", {**KARI, "email": email})["email"] == email


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("+47 412 34 567", "+4741234567"),
        ("0046 70 123 45 67", "+46701234567"),
        ("02800", "02800"),
        ("", None),
        (None, None),
    ],
)
def test_phones(given_: str | None, kept: str | None) -> None:
    assert rules.checked("private", {**KARI, "phone": given_})["phone"] == kept


@pytest.mark.parametrize("phone", ["1234", "12345678", "+0123456789", "abc", "+47" + "1" * 14, "٤١٢٣٤٥٦٧"])
def test_what_is_no_phone_is_refused(phone: str) -> None:
    assert wrong("private", phone=phone) == {"phone"}


def test_postal_codes_have_four_digits_in_norway_only() -> None:
    assert wrong("private", postal_code="155") == {"postal_code"}
    assert wrong("private", postal_code="01555") == {"postal_code"}
    assert wrong("private", postal_code="٠١٥٥") == {"postal_code"}
    assert rules.checked("private", {**KARI, "country": "SE", "postal_code": "111 22"})["postal_code"] == "111 22"
    assert rules.checked("private", {**KARI, "country": "HK", "postal_code": ""})["postal_code"] == ""
    assert wrong("private", country="SE", postal_code="1" * 13) == {"postal_code"}
    assert wrong("private", country="ZZ", postal_code="1") == {"country"}


def test_every_wrong_field_is_named_at_once() -> None:
    found = wrong("private", name="", email="x", street="\x07", city="B" * 101, language="nn")
    assert found == {"name", "email", "street", "city", "language"}


@pytest.mark.parametrize("name", ["\x00", "A\x00B", "A\u202eB", "A\u2028B", "\ud800", "x" * 201, "\u00a0"])
def test_names_hold_nothing_that_cannot_be_printed(name: str) -> None:
    assert wrong("private", name=name) == {"name"}


@settings(max_examples=200)
@given(st.fixed_dictionaries({name: st.text(max_size=30) for name in rules.FIELDS}), st.sampled_from(rules.KINDS))
def test_whatever_comes_is_kept_or_refused_by_field(values: dict[str, str], kind: str) -> None:
    refused: set[str] = set()
    try:
        kept = rules.checked(kind, values)
    except Invalid as problem:
        refused = {error["field"] for error in problem.errors}
    else:
        assert "\x00" not in "".join(value or "" for value in kept.values())
        assert rules.checked(kind, kept) == kept
    assert refused <= set(rules.FIELDS)
