"""Disputing a passage for a customer who calls."""

from __future__ import annotations

from flask import redirect, url_for

from web.mypage import dispute
from web.support.blueprint import Page, acted_on, actors, blp, looked_at

_TEMPLATE = "support/dispute.html"


@blp.get("/agreements/<int:number>/passages/<int:passage_id>/dispute")
@actors
def dispute_form(number: int, passage_id: int) -> Page:
    """Ask what is wrong with a passage; where that was said, show what came of it."""
    return dispute.form(_TEMPLATE, looked_at(number, "look_up_passages"), passage_id, {"kind": "", "text": ""}, {})


@blp.post("/agreements/<int:number>/passages/<int:passage_id>/dispute")
@actors
def do_dispute(number: int, passage_id: int) -> Page:
    """Dispute the passage for the customer."""
    refused = dispute.make(acted_on(number), passage_id)
    if refused is not None:
        return dispute.form(_TEMPLATE, acted_on(number), passage_id, *refused)
    return redirect(url_for("support.dispute_form", number=number, passage_id=passage_id), 303)
