"""The blueprint of My Page and what all its pages begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import Blueprint

from accounts.access.browser import signed_in
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from accounts.agreements.seen import seen
from accounts.customers import queries
from accounts.customers.models import Customer
from config import http

P = ParamSpec("P")
R = TypeVar("R")

blp = Blueprint("mypage", __name__, url_prefix="/mypage")

SIGN_IN = "signin.choose"


def customers_only(view: Callable[P, R]) -> Callable[P, R]:
    """Let only a signed-in customer see a page; who is not signed in is sent to sign in."""
    return signed_in("customer", otherwise=SIGN_IN)(view)


def own(number: int) -> Agreement:
    """Return the customer's agreement of a number. Raises NotFound for one that is not theirs."""
    return seen(number)


def me() -> Customer:
    """Return the signed-in customer."""
    customer_id = principal().customer_id
    assert customer_id is not None
    return queries.by_id(http.current_session(), customer_id)
