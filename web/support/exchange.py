"""Files between us and a charger: how they go, what went out and did not arrive, and what came that is no records.

Files of records are on the charger's own page (web.support.roadside), what lists say under Lists (web.support.lists).
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash, redirect, render_template, request, url_for

from accounts.chargers import queries as chargers
from accounts.chargers.models import ListVersion
from billing.roadside.exchange import queries
from billing.roadside.exchange.api import note_resend
from billing.roadside.exchange.models import Exchange, Incoming, Outgoing
from billing.roadside.exchange.outgoing import resend
from billing.roadside.lists import queries as lists
from config import http
from web.support.blueprint import Page, blp, only, staff
from web.support.roadside_words import way_word
from web.words import pick, t

PAGE, LISTS = 30, 8
SENDERS = ("operator", "lead")

_OUT: Mapping[str, tuple[str, str, str]] = {
    "waiting": ("venter", "waits", "warn"),
    "sent": ("sendt", "sent", "good"),
    "failed": ("kommer ikke frem", "does not get through", "bad"),
}
_LISTS: Mapping[str, tuple[str, str, str]] = {
    "made": ("ikke hentet", "not fetched", "warn"),
    "sent": ("uten svar ennå", "no answer yet", "warn"),
    "acknowledged": ("bekreftet", "acknowledged", "good"),
    "rejected": ("avvist", "rejected", "bad"),
    "superseded": ("avløst", "superseded", ""),
}
_KINDS: Mapping[str, tuple[str, str]] = {
    "answers": ("svar", "answers"),
    "amended_answers": ("endrede svar", "amended answers"),
    "refusal": ("beskjed om avvist fil", "notice of a refused file"),
    "complaints": ("klager", "complaints"),
    "list": ("statusliste", "status list"),
    "records": ("poster", "records"),
    "ack": ("kvittering", "acknowledgement"),
    "claim": ("krav", "claim"),
    "complaint_responses": ("svar på klager", "answers to complaints"),
}


@blp.get("/roadside/<string:code>/exchange")
@staff
def exchange(code: str) -> Page:
    """Show how files go to and from a charger, and what became of each."""
    session, after = http.current_session(), request.args.get("after") or None
    charger = chargers.charger(session, code)
    how = session.get(Exchange, charger.id)
    state = "failed" if request.args.get("state") == "failed" else None
    sent = queries.outgoing(charger, state)
    out = http.paged(session, sent, [Outgoing.id], after=after, limit=PAGE, descending=True)
    came = http.paged(session, queries.besides(charger), [Incoming.id], after=None, limit=PAGE, descending=True)
    told = http.paged(
        session, lists.versions(charger.id, None), [ListVersion.id], after=None, limit=LISTS, descending=True
    )
    return render_template(
        "support/exchange.html",
        charger=charger,
        how=how,
        trouble=queries.troubles(session).get(code, queries.Trouble()),
        out=out.items,
        next=out.next,
        after=after,
        state=state,
        came=came.items,
        told=told.items,
        sends=SENDERS,
        out_word=out_word,
        in_word=in_word,
        list_word=list_word,
        kind_word=kind_word,
        way_word=way_word,
    )


@blp.post("/roadside/<string:code>/exchange/<int:outgoing_id>/again")
@only(*SENDERS)
def do_resend(code: str, outgoing_id: int) -> Page:
    """Have a file sent to a charger again."""
    session, now = http.current_session(), http.request_now()
    charger = chargers.charger(session, code)
    row = resend(session, queries.of_charger(session, charger, outgoing_id).id, now=now)
    note_resend(code, row)
    how = session.get(Exchange, charger.id)
    if how is not None and not how.enabled:
        said = t("Utvekslingen er slått av: {name} venter til den slås på.",
                 "The exchange is switched off: {name} waits until it is switched on.", name=row.name)  # fmt: skip
        flash(said, "warn")
    else:
        flash(t("{name} sendes på nytt innen et minutt.", "{name} is sent again within a minute.", name=row.name),
              "good")  # fmt: skip
    return redirect(url_for("support.exchange", code=code), 303)


def out_word(row: Outgoing) -> tuple[str, str]:
    """Return how a file out stands, and its tone."""
    nb, en, tone = _OUT[row.state]
    return pick((nb, en)), tone


def list_word(row: ListVersion) -> tuple[str, str]:
    """Return how a version of a list stands, and its tone."""
    nb, en, tone = _LISTS[row.state]
    return pick((nb, en)), tone


def in_word(row: Incoming) -> tuple[str, str]:
    """Return how a file that came stands, and its tone."""
    if row.state == "left":
        return t("for stor, ikke hentet", "too large, not fetched"), "bad"
    if row.outcome == "refused":
        return t("avvist", "refused"), "bad"
    if row.outcome == "gone":
        return t("tatt bort før den var lest", "taken away before it was read"), "warn"
    if row.state == "coming":
        return t("ikke lest ennå", "not read yet"), "warn"
    return t("lest", "read"), "good"


def kind_word(kind: str | None) -> str:
    """Say what a file is."""
    pair = _KINDS.get(kind or "")
    return pick(pair) if pair else t("ukjent innhold", "unknown contents")
