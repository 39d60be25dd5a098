"""The support desk: what our own people see and do, above all while a customer is on the telephone.

Owns: the pages under ``/support`` and their words. Does not own: any rule; each form is one verb of a room below.
Agents and leads talk with customers and change what is theirs; accountants read agreements, payments and books;
operators see whether the machinery runs; leads see who looked at what. Whoever looks at an agreement, a payment or
a mail leaves a look-up in the trail; what is done leaves its own entry.
"""

from web.support import (
    agreement,
    books,
    card_account,
    card_change,
    cards,
    change,
    channel,
    credits,
    desk,
    dispute,
    exchange,
    lists,
    mailbox,
    mass,
    passages,
    payments,
    refunds,
    roadside,
    settlement,
    trail,
    validity,
    vehicles,
    vipps,
)
from web.support.blueprint import blp

__all__ = [
    "agreement",
    "blp",
    "books",
    "card_account",
    "card_change",
    "cards",
    "change",
    "channel",
    "credits",
    "desk",
    "dispute",
    "exchange",
    "lists",
    "mailbox",
    "mass",
    "passages",
    "payments",
    "refunds",
    "roadside",
    "settlement",
    "trail",
    "validity",
    "vehicles",
    "vipps",
]
