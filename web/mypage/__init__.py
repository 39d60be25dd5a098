"""My Page: what a customer sees and does.

Owns: the pages under ``/mypage`` and their words. Does not own: any rule; each form is one verb of a room below.
A page shows one agreement of the customer who is signed in; somebody else's does not exist (404). Forms are sent with
POST, answered by a redirect when they worked and by the same page with its fields and mistakes (422) when not.
"""

from web.mypage import (
    become,
    card,
    card_change,
    confirm,
    contact,
    dispute,
    invoices,
    invoices_by,
    overview,
    passages,
    payouts,
    remove,
    vehicles,
    vipps,
)
from web.mypage.blueprint import blp

__all__ = [
    "become",
    "blp",
    "card",
    "card_change",
    "confirm",
    "contact",
    "dispute",
    "invoices",
    "invoices_by",
    "overview",
    "passages",
    "payouts",
    "remove",
    "vehicles",
    "vipps",
]
