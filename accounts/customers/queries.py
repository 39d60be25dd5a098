"""Reads of customers: one, and the search of the support desk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select, text, union
from sqlalchemy.orm import Session, aliased

from accounts.agreements.models import Agreement
from accounts.customers.models import Customer
from accounts.vehicles import rules as vehicle_rules
from accounts.vehicles.models import Registration, Tag
from config.checks import Wrong
from config.problems import Invalid, NotFound

LONGEST_QUERY = 100


def by_number(session: Session, number: int, *, lock: bool = False) -> Customer:
    """Return the customer of a number, locked when they are to be changed. Raises NotFound."""
    query = select(Customer).where(Customer.number == number)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return _one(session, query)


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


@dataclass(frozen=True)
class Person:
    """A customer with one of their tag agreements: what one needs to choose among people. ``ferry``: it has ferry
    agreements too."""

    customer_number: int
    name: str
    kind: str
    language: str
    agreement_number: int
    standing: str
    payment_method: str
    ferry: bool


def _persons() -> Select[int, str, str, str, int, str, str, bool]:
    ferry = aliased(Agreement)
    return (
        select(
            Customer.number,
            Customer.name,
            Customer.kind,
            Customer.language,
            Agreement.number,
            Agreement.standing,
            Agreement.payment_method,
            select(ferry.id).where(ferry.parent_id == Agreement.id).exists(),
        )
        .join(Agreement, Agreement.customer_id == Customer.id)
        .where(Agreement.kind == "tag")
    )


def examples(session: Session, each: int) -> list[Person]:
    """Return ``each`` customers of every sort there is (standing, payment method, private or business), the oldest
    first. For demos: it reads all agreements."""
    sort = (Agreement.standing, Agreement.payment_method, Customer.kind)
    place = func.row_number().over(partition_by=sort, order_by=Agreement.id).label("place")
    ranked = (
        select(Agreement.id, place)
        .join(Customer, Customer.id == Agreement.customer_id)
        .where(Agreement.kind == "tag")
        .subquery()
    )
    query = _persons().join(ranked, ranked.c.id == Agreement.id).where(ranked.c.place <= each)
    return [Person(*row) for row in session.execute(query.order_by(*sort, Agreement.id))]


def people(session: Session, query: str, limit: int) -> list[Person]:
    """Return the customers a few words find (as ``search``) with their tag agreements. Raises Invalid."""
    found = search(query).with_only_columns(Customer.id)
    rows = session.execute(_persons().where(Customer.id.in_(found)).order_by(Agreement.id).limit(limit))
    return [Person(*row) for row in rows]
