"""The blueprint of the support desk, who may see which page, and what its pages begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from flask import Blueprint, g
from werkzeug.wrappers import Response

from accounts.access.browser import signed_in
from accounts.access.principal import STAFF, Principal
from accounts.agreements.models import Agreement
from accounts.agreements.queries import by_number
from accounts.agreements.seen import seen
from config import http
from web.support.words import action_word, actor, delivery_word, role_word, subject_word, why_in_suspense

P = ParamSpec("P")
R = TypeVar("R")

Page = str | tuple[str, int] | Response

blp = Blueprint("support", __name__, url_prefix="/support")

SIGN_IN = "signin.choose"
ACTORS = ("agent", "lead")
"""Who talks with customers, and changes what is theirs."""
READERS = ("agent", "lead", "accountant")
"""Who sees agreements and payments."""


def only(*roles: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only these roles of ours see a page; who is not signed in is sent to sign in."""
    return signed_in(*roles, otherwise=SIGN_IN)


actors = only(*ACTORS)
readers = only(*READERS)
staff = only(*STAFF)


def looked_at(number: int, what: str = "look_up") -> Agreement:
    """Return the agreement of a number; that it was looked at goes into the trail. Raises NotFound."""
    return seen(number, what=what)


def acted_on(number: int) -> Agreement:
    """Return the agreement that a form is about; what is done to it goes into the trail by its own name."""
    return by_number(http.current_session(), number)


def subject(agreement: Agreement) -> str:
    """Return what the trail calls an agreement."""
    return f"agreement:{agreement.number}"


@blp.context_processor
def _context() -> dict[str, Any]:
    who: Principal | None = g.get("principal")
    role = who.role if who is not None else ""
    words = {"role_word": role_word, "subject_word": subject_word, "delivery_word": delivery_word,
             "why_in_suspense": why_in_suspense, "actor": actor, "action_word": action_word}  # fmt: skip
    return {"who": who, "acts": role in ACTORS, "reads": role in READERS, **words}
