"""The HTTP shapes of collection."""

from __future__ import annotations

from accounts.agreements.rules import CONTACTS, STANDINGS
from config import http


class ReopenSchema(http.Schema):
    """How the customer made contact, which is what reopening takes."""

    channel = http.choice("How the customer made contact.", CONTACTS)
    note = http.text(
        "What was said, for the agreement's story.",
        "Called, had been abroad; has paid both invoices.",
        max_length=1000,
        min_length=0,
        load_default="",
    )


class ReopenedSchema(http.Schema):
    """The agreement after it was reopened."""

    number = http.agreement_number()
    standing = http.choice("Its standing now.", STANDINGS)
    already = http.flag("Whether it had been reopened before, so that nothing was done now.", False)
