"""Reads of customers: one, and the search of the support desk."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import Select, select, text, union
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers.models import Customer
from accounts.vehicles import rules as vehicle_rules
from accounts.vehicles.models import Registration, Tag
from config.checks import Wrong
from config.problems import Invalid, NotFound

LONGEST_QUERY = 100


def by_number(session: Session, number: int) -> Customer:
    """Return the customer of a number. Raises NotFound."""
    return _one(session, select(Customer).where(Customer.number == number))


def by_id(session: Session, customer_id: int) -> Customer:
    """Return the customer of an id. Raises NotFound."""
    return _one(session, select(Customer).where(Customer.id == customer_id))


def _one(session: Session, query: Select[Customer]) -> Customer:
    found = session.scalar(query)
    if found is None:
        raise NotFound("There is no such customer.")
    return found


def search(query: str) -> Select[Customer]:
    """Return a query of the customers a few words find, for keyset pages by Customer.number.

    Looks for: customer and agreement number, organisation number, e-mail address, a plate or tag (printed
    number or PAN) that is or was theirs, and names that hold or resemble the words. Raises Invalid.
    """
    words = " ".join(query.split())
    if not words or len(words) > LONGEST_QUERY or "\x00" in words:
        wrong = {"field": "query", "code": "query", "message": f"must have 1 to {LONGEST_QUERY} characters"}
        raise Invalid("Give a few words to look for.", errors=[wrong])
    return select(Customer).where(Customer.id.in_(union(*_ways(words)).scalar_subquery()))


def _ways(words: str) -> Sequence[Select[int]]:
    """Return one query of customer ids per way the words can be meant."""
    if "@" in words:
        return [select(Customer.id).where(text("lower(customers.email) = lower(:email)").bindparams(email=words))]
    bare = words.replace(" ", "")
    ways: list[Select[int]] = []
    if re.fullmatch(r"[0-9]{1,18}", bare):
        number = int(bare)
        ways.append(select(Customer.id).where(Customer.number == number))
        ways.append(select(Customer.id).where(Customer.org_no == bare))
        ways.append(select(Agreement.customer_id).where(Agreement.number == number))
    else:
        like = "%" + re.sub(r"([\\%_])", r"\\\1", words) + "%"
        resembles = text("(customers.name ILIKE :like OR :words <% customers.name)")
        ways.append(select(Customer.id).where(resembles.bindparams(like=like, words=words)))
    ways += _by_vehicle(words) + _by_tag(words)
    return ways


def _by_vehicle(words: str) -> list[Select[int]]:
    try:
        plate = vehicle_rules.normalise_plate("", words)
    except Wrong:
        return []
    # Whatever the country: nobody on the telephone spells that out.
    return [
        select(Agreement.customer_id)
        .join(Registration, Registration.agreement_id == Agreement.id)
        .where(Registration.plate == plate)
    ]


def _by_tag(words: str) -> list[Select[int]]:
    owner = select(Agreement.customer_id).join(Tag, Tag.agreement_id == Agreement.id)
    ways: list[Select[int]] = []
    for column, read in ((Tag.printed_number, vehicle_rules.printed_number), (Tag.pan, vehicle_rules.normalise_pan)):
        try:
            ways.append(owner.where(column == read(words)))
        except Wrong:
            continue
    return ways
