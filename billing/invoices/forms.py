"""The forms a document is rendered in. What it says is the same in all of them; how it is to be paid, whether its
passages stand on it, and until when, is not. A kept page is known by its form's key. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from billing.invoices.presentation import DocumentView, Settlement

MOST_LINES = 5_000
"""So many passages stand on a page at most; of a longer document they are left out in every form. 5,000 take some 600
MB and three seconds to set, and fill 120 pages in 2 MB; My Page and the API list any number."""


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for. ``settlement`` None: as it was issued. Without ``details`` the passages are left out.

    A later due date is not asked for: the latest there is counts in every form.
    """

    settlement: Settlement | None = None
    details: bool = True


PLAIN = Form()


def key(settlement: Settlement, *, details: bool, due_on: dt.date | None) -> str:
    """Return the key of a form: ``transfer``, ``avtalegiro-short``, ``transfer-due:2026-03-02``.

    ``due_on`` is the later due date where there is one. Of what is not to be paid the settlement is transfer.
    """
    return f"{settlement}{'' if details else '-short'}{f'-due:{due_on:%Y-%m-%d}' if due_on else ''}"


def key_of(view: DocumentView) -> str:
    """Return the key of the form that a view is in."""
    return key(view.settlement, details=view.details, due_on=view.due_on if view.due_was else None)
