"""Which channels are tried for whom, in which order: one table that a person can read (`docs/channels.md` prints it).

What the customer chose comes first. After it, and for those who want the best digital way, comes the configured list;
EHF comes first of all for businesses. Every channel is looked up before it is used, each time anew. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from accounts.customers import ways as choosable

Kind = Literal["private", "business"]
What = Literal["invoice", "receipt", "credit_note"]
"""An invoice is to be paid; the others are to be known and kept."""

LIST = ("avtalegiro", "efaktura", "vipps", "digipost", "eboks", "email", "paper")
"""The list as it is configured when nothing else is."""
BEST = choosable.BEST


@dataclass(frozen=True, slots=True)
class Channel:
    """What one channel asks and does.

    ``chosen``: where a customer chooses it. ``needs``: what it cannot do without. ``ends``: which ways of getting
    invoices end when it is chosen. ``carries``: what can go by it. ``takes_back``: whether what it presents can be
    taken back.
    """

    name: str
    chosen: str
    needs: str
    ends: tuple[str, ...]
    carries: frozenset[What]
    takes_back: bool

    @property
    def for_(self) -> frozenset[Kind]:
        """Whom it is for."""
        return cast(frozenset[Kind], choosable.kinds(self.name))


_PAY: frozenset[What] = frozenset({"invoice"})
_ALL: frozenset[What] = frozenset({"invoice", "receipt", "credit_note"})

TABLE: tuple[Channel, ...] = (
    Channel("ehf", "by businesses, or found in ELMA", "a receiver registered in ELMA", ("email",),
            _ALL - {"receipt"}, False),
    Channel("avtalegiro", "in the customer's own bank: nobody else can set it up, we neither",
            "a Norwegian bank account and a mandate that stands", ("email",), _PAY, True),
    Channel("efaktura", "on My Page or by support", "a Norwegian online bank and the general consent, yes to all",
            ("email",), _PAY, True),
    Channel("vipps", "on My Page or by support", "the general consent, and Vipps chosen for eFakturas there",
            ("email",), _PAY, True),
    Channel("digipost", "on My Page or by support", "a mailbox at Digipost", ("email",), _ALL, False),
    Channel("eboks", "on My Page or by support", "a mailbox at e-Boks", ("email",), _ALL, False),
    Channel("email", "from the start", "an e-mail address that takes our mail", (), _ALL, False),
    Channel("paper", "on My Page or by support", "a postal address", ("email",), _ALL, False),
)  # fmt: skip

BY_NAME = {channel.name: channel for channel in TABLE}


SAME = {"efaktura": "vipps", "vipps": "efaktura"}
"""Channels behind one partner: what one of them refused, the other does too."""


def order(choice: str, kind: Kind, listed: Sequence[str] = LIST) -> tuple[str, ...]:
    """Return the channels to consider, in order: EHF for a business, what was chosen, the list.

    ``listed`` is the configured list. A choice that is not for this kind of customer is left out.
    """
    first = ("ehf",) if kind == "business" else ()
    chosen = () if choice == BEST else (choice,)
    ways = dict.fromkeys((*first, *chosen, *listed))
    return tuple(name for name in ways if kind in BY_NAME[name].for_)


def carries(channel: str, what: What) -> bool:
    """Return whether a channel can carry such a document."""
    return what in BY_NAME[channel].carries


def table() -> str:
    """Return the table as Markdown, for people."""
    rows = ["| channel | for | chosen | needs | ends | carries | can be taken back |", "|---|---|---|---|---|---|---|"]
    for one in TABLE:
        rows.append(
            f"| {one.name} | {', '.join(sorted(one.for_))} | {one.chosen} | {one.needs} "
            f"| {', '.join(one.ends) or '–'} | {', '.join(sorted(one.carries))} | {'yes' if one.takes_back else 'no'} |"
        )
    return "\n".join(rows)
