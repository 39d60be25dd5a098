"""Who may see whose."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from accounts.access.browser import safe_next
from accounts.access.guard import require
from accounts.access.principal import Principal, must_be_another
from config.problems import Forbidden

CUSTOMER = Principal("kari", "customer", customer_id=7)
CHARGER = Principal("fjell", "charger", charger="FJELL")


@pytest.mark.parametrize(
    ("who", "customer", "charger"),
    [
        (CUSTOMER, {7}, set()),
        (CHARGER, set(), {"FJELL"}),
        (Principal("a", "agent"), {7, 8}, {"FJELL", "FJORD"}),
        (Principal("a", "lead"), {7, 8}, {"FJELL", "FJORD"}),
        (Principal("a", "accountant"), {7, 8}, {"FJELL", "FJORD"}),
        (Principal("a", "operator"), {7, 8}, {"FJELL", "FJORD"}),
    ],
)
def test_customers_and_chargers_see_their_own(who: Principal, customer: set[int], charger: set[str]) -> None:
    assert {number for number in (7, 8) if who.may_see_customer(number)} == customer
    assert {code for code in ("FJELL", "FJORD") if who.may_see_charger(code)} == charger


@pytest.mark.parametrize(
    "about",
    [
        {"role": "king"},
        {"role": "customer"},
        {"role": "charger"},
        {"role": "agent", "customer_id": 7},
        {"role": "charger", "charger": "FJELL", "customer_id": 7},
        {"role": "agent", "charger": "FJELL"},
        {"role": "agent", "subject": ""},
    ],
)
def test_a_principal_that_cannot_be(about: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Principal(**{"subject": "a", **about})


@pytest.mark.parametrize("roles", [(), ("king",), ("agent", "")])
def test_a_guard_names_roles_that_are(roles: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        require(*roles)


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("/min-side/fakturaer", "/min-side/fakturaer"),
        (None, "/"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
    ],
)
def test_signing_in_leads_nowhere_else(target: str | None, where: str) -> None:
    assert safe_next(target, "/") == where


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("agent:kari", "agent:kari", True),
        ("agent:kari", "lead:kari", True),
        ("agent:kari", "lead:ola", False),
        ("agent:kari", "agent:kari2", False),
        ("agent:https://login|a:b", "lead:https://login|a:b", True),
        ("agent:https://login|a:b", "agent:https://login|a:c", False),
        ("bank", "bank", True),
    ],
)
def test_a_second_person_is_another_one_whatever_the_role(first: str, second: str, same: bool) -> None:
    with pytest.raises(Forbidden) if same else nullcontext() as refused:
        must_be_another(first, second, "It takes somebody else.")
    if same:
        assert refused is not None
        assert refused.value.type.endswith("/second-person")
