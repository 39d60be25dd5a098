"""Which ways of getting invoices a customer can choose, by kind, and what stands in the way of a choice. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from accounts.customers.models import CHOICES

BEST = "best_digital"
BANKS_OWN = "avtalegiro"
"""Set up, changed and ended by the payer in their own bank, and nowhere else."""

NOT_FOR: Mapping[str, frozenset[str]] = {
    "private": frozenset({"ehf"}),
    "business": frozenset({"efaktura", "vipps", "digipost"}),
}
"""What each kind of customer cannot have chosen."""

SHORTEST_TERM, LONGEST_TERM = 14, 60
"""Days. Shorter than the ordinary term is nobody's; longer is no term between businesses (forsinkelsesrenteloven, which
has 30 for public bodies)."""


def choices(kind: str) -> tuple[str, ...]:
    """Return what a customer of a kind can have chosen."""
    return tuple(name for name in CHOICES if name not in NOT_FOR[kind])


def kinds(channel: str) -> frozenset[str]:
    """Return the kinds of customers that a channel is for."""
    return frozenset(kind for kind, without in NOT_FOR.items() if channel not in without)


def in_the_way(kind: str, held: str, wanted: str, *, mandate: bool) -> str | None:
    """Return what stands in the way of another choice than the one that is held, None where nothing does.

    ``unknown``, ``not_for_kind``, ``avtalegiro-at-your-bank`` (nobody can choose it for a payer, we neither) or
    ``mandate-stands`` (AvtaleGiro pays until the payer ends it in their bank). What is held already is never refused.
    """
    if wanted == held:
        return None
    if wanted not in CHOICES:
        return "unknown"
    if wanted not in choices(kind):
        return "not_for_kind"
    if wanted == BANKS_OWN:
        return "avtalegiro-at-your-bank"
    return "mandate-stands" if mandate else None
