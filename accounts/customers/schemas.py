"""Shapes of the customers' HTTP face. What a value may look like is for rules.py, which says it by field."""

from __future__ import annotations

from accounts.agreements.rules import STANDINGS
from accounts.customers.models import CHOICES
from accounts.customers.rules import KINDS, LANGUAGES
from config import http


class HeldAgreementSchema(http.Schema):
    """An agreement a customer holds, in short."""

    number = http.agreement_number(dump_only=True)
    kind = http.choice("tag or ferry.", ("tag", "ferry"), dump_only=True)
    standing = http.choice("Whether it is good on the road.", STANDINGS, dump_only=True)


class ContactSchema(http.Schema):
    """What a customer can change."""

    name = http.text("Full name, or the company's.", "Kari Nordmann", max_length=200)
    org_no = http.text(
        "A business's organisation number.", "988077917", max_length=20, load_default=None, allow_none=True
    )
    email = http.text("E-mail address; invoices go there.", "kari@example.no", max_length=254)
    phone = http.text("Telephone.", "+4741234567", max_length=30, load_default=None, allow_none=True)
    street = http.text("Street and number, or PO box.", "Storgata 1", max_length=200)
    postal_code = http.text("Postal code; four digits in Norway.", "0155", max_length=12, min_length=0)
    city = http.text("Post town.", "Oslo", max_length=100)
    country = http.country(load_default="NO")
    language = http.choice("What we write to them in.", LANGUAGES, load_default="nb")


class NewCustomerSchema(ContactSchema):
    """Somebody who becomes a customer."""

    kind = http.choice("A private person or a business.", KINDS)


class CustomerSchema(ContactSchema):
    """A customer."""

    number = http.whole("The customer's number.", 1000001, dump_only=True)
    kind = http.choice("A private person or a business.", KINDS, dump_only=True)
    channel = http.choice("How documents go out.", CHOICES, dump_only=True)
    has_national_id = http.flag("Whether we keep their national id, for look-ups at mailboxes.", False, dump_only=True)
    created_at = http.instant("When they became a customer.", dump_only=True)
    agreements = http.many(HeldAgreementSchema, "Their agreements.", dump_only=True)


class NationalIdSchema(http.Schema):
    """A national id, on its way in only: it is never shown again."""

    national_id = http.text("Fødselsnummer or D-nummer, 11 digits.", "15108695088", max_length=20, load_only=True)


class SearchQuery(http.PageQuery):
    """What to look for."""

    query = http.text(
        "Customer or agreement number, organisation number, name, e-mail address, plate, tag number or PAN.",
        "nordmann",
        max_length=100,
    )


class CloseSchema(http.Schema):
    """From when to close."""

    day = http.date("From the start of this Oslo day; null or today: from now.", load_default=None, allow_none=True)
