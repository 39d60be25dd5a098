"""The roadside: files of chargers, what is missing or waits, and a record from what was sent to what is in force."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.access import trail
from accounts.access.principal import principal
from accounts.chargers import queries as chargers
from accounts.chargers.models import Charger
from billing.roadside import files, listed
from billing.roadside.complaints import queries as complaints
from billing.roadside.contest import contest
from billing.roadside.exchange import queries as exchange
from billing.roadside.files import Gap
from billing.roadside.files_api import note_contest
from billing.roadside.listed import File
from billing.roadside.record_story import story
from config import http
from config.problems import Conflict, Invalid, NotFound
from web import words
from web.mypage import explain, forms
from web.mypage.dispute import dispute_word, kind_word
from web.support.blueprint import Page, blp, only, staff
from web.support.roadside_words import action_of, answer_tone, answer_word, cause_word, state_word, way_word

PAGE = 50
DAYS = 7
"""Refused records are counted of files that came in the last so many days."""
DECIDERS = ("agent", "lead", "operator")
FIRST = "0"


@dataclass(frozen=True)
class Stand:
    """How things stand with one charger."""

    charger: Charger
    last: File | None
    gaps: Sequence[Gap]
    unfinished: Sequence[File]
    waiting: int
    refused: Counter[str]
    trouble: exchange.Trouble | None
    complaints: int
    promised: int


def _words() -> dict[str, Any]:
    return {
        "answer_word": answer_word, "answer_tone": answer_tone, "state_word": state_word, "way_word": way_word,
        "cause_word": cause_word, "action_of": action_of, "flags": explain.flags,
    }  # fmt: skip


@blp.get("/roadside")
@staff
def roadside() -> Page:
    """Show how things stand with each charger, and find a record."""
    session, now = http.current_session(), http.request_now()
    unanswered = complaints.of_charger(session, None, now, after=None, limit=PAGE, show="unanswered").items
    late = complaints.of_charger(session, None, now, after=None, limit=PAGE, show="uncorrected").items
    return render_template(
        "support/roadside.html",
        stands=_stands(session, now),
        late=[one for one in late if one.overdue],
        unanswered=unanswered,
        dispute_word=dispute_word,
        kind_word=kind_word,
        days=DAYS,
        **_words(),
    )


def _stands(session: Session, now: dt.datetime) -> list[Stand]:
    last, waiting = listed.last_files(session), listed.count_waiting(session)
    refused = listed.refused_since(session, now - DAYS * dt.timedelta(days=1))
    troubles = exchange.troubles(session)
    open_ones, gaps = complaints.counts(session), files.gaps(session)
    unfinished = listed.page(session, None, after=None, limit=PAGE, state="receiving").items
    return [
        Stand(
            one,
            last.get(one.code),
            [gap for gap in gaps if gap.charger == one.code],
            [file for file in unfinished if file.charger == one.code],
            waiting.get(one.code, 0),
            refused.get(one.code, Counter()),
            troubles.get(one.code),
            *open_ones.get(one.code, (0, 0)),
        )
        for one in session.scalars(select(Charger).order_by(Charger.name))
    ]


@blp.get("/roadside/<string:code>")
@staff
def roadside_charger(code: str) -> Page:
    """Show a charger's files, what is missing, what waits, and what was decided anew."""
    session, now, after = http.current_session(), http.request_now(), request.args.get("after") or None
    charger = chargers.charger(session, code)
    page = listed.page(session, charger.id, after=after, limit=PAGE)
    return render_template(
        "support/roadside_charger.html",
        charger=charger,
        files=page.items,
        next=page.next,
        after=after,
        gaps=files.gaps(session, charger.id),
        trouble=exchange.troubles(session).get(code, exchange.Trouble()),
        waiting=listed.waiting(session, charger.id, now, after=None, limit=PAGE).items,
        amendments=listed.amendments(session, charger.id, after=None, limit=PAGE).items,
        **_words(),
    )


@blp.get("/roadside/files/<int:batch>")
@staff
def roadside_file(batch: int) -> Page:
    """Show a file, and which of its records were refused or flagged."""
    session = http.current_session()
    after = request.args.get("after", FIRST)
    position = int(after) if after.isascii() and after.isdecimal() and len(after) < 10 else 0
    return render_template(
        "support/roadside_file.html",
        file=listed.one(session, batch),
        said=listed.noteworthy(session, batch, position, PAGE),
        position=position,
        **_words(),
    )


@blp.get("/roadside/records")
@staff
def roadside_record() -> Page:
    """Show a record by its charger and id."""
    return _record(request.args.get("charger", "")[:20], request.args.get("id", "")[:64].strip(), {"reason": ""}, {})


def _record(code: str, source_id: str, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    session, now = http.current_session(), http.request_now()
    found = None
    if code and source_id and "\0" not in code + source_id:
        try:
            found = story(session, code, source_id)
            trail.record(session, principal(), "look_up_record", f"record:{code}:{source_id}", now)
        except NotFound:
            found = None
    page = render_template(
        "support/roadside_record.html",
        chargers=session.scalars(select(Charger).order_by(Charger.name)).all(),
        code=code,
        source_id=source_id,
        story=found,
        decides=found is not None and found.decidable and principal().role in DECIDERS,
        values=values,
        errors=errors,
        **_words(),
    )
    return (page, 422) if errors else page


@blp.post("/roadside/records/decide-again")
@only(*DECIDERS)
def do_decide_again() -> Page:
    """Decide a refused record anew, which its charger contests."""
    values = forms.given("charger", "id", "reason", "any_age", "double", "despite")
    code, source_id, who = values["charger"][:20], values["id"][:64], principal()
    session, now = http.current_session(), http.request_now()
    how = {name: bool(values[name]) for name in ("any_age", "double")}
    how["despite"] = bool(values["despite"]) and who.role == "lead"
    try:
        charger = chargers.charger(session, code)
        done = contest(session, charger, source_id, reason=values["reason"], actor=who.key, now=now, **how)
    except Invalid as problem:
        session.rollback()
        return _record(code, source_id, values, forms.said(problem, values))
    except (Conflict, NotFound) as problem:
        session.rollback()
        return _record(code, source_id, values, {forms.GENERAL: _refusal(problem)})
    note_contest(code, done, values["reason"], how)
    if done.changed:
        said = words.t("Avgjort på nytt: {word}.", "Decided anew: {word}.", word=answer_word(done.code).lower())
        flash(said, "good" if done.code in ("accepted", "other_agreement") else "warn")
    else:
        flash(words.t("Svaret blir det samme.", "The answer stays the same."), "warn")
    return redirect(url_for("support.roadside_record", charger=code, id=source_id), 303)


def _refusal(problem: Conflict | NotFound) -> str:
    slug = problem.type.removeprefix("/problems/")
    said = {
        "accepted": ("Posten er godtatt. Bare operatøren kan rette den.",
                     "The record is accepted. Only the operator can correct it."),
        "superseded": ("En senere rettelse gjelder i stedet.", "A later correction counts instead."),
        "still-changing": ("Kjøretøyene endres akkurat nå. Prøv igjen.", "Its vehicles are being changed. Try again."),
    }  # fmt: skip
    return words.pick(said.get(slug, ("Fant ikke posten.", "The record was not found.")))
