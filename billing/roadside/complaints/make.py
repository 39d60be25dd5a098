"""Make a complaint: a customer, or somebody of ours for them, disputes a passage."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Select, select
from sqlalchemy import text as text_of
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.passages.held import hold
from billing.passages.models import Passage, Reversal
from billing.roadside.complaints.models import Complaint
from billing.roadside.complaints.rules import PROMISES, checked
from config.checks import Checks
from config.jobs import ring
from config.problems import Conflict, NotFound

_HOLDS = "state <> 'answered' AND let_go_at IS NULL"


def dispute(
    session: Session,
    agreement_id: int,
    passage_id: int,
    kind: str,
    text: str,
    *,
    actor: str,
    now: dt.datetime,
    again: bool = False,
) -> tuple[Complaint, bool]:
    """Dispute a passage of an agreement; return the complaint, and whether it is new: one that is open stays as it is.

    The charger decides, once: what was disputed before holds its passage back no more, unless somebody of ours
    (``again``) says why, and unless a correction is promised that has not come yet. What is not billed is held back
    meanwhile. Raises Invalid by field; NotFound; Conflict for a counter-row, for what is settled elsewhere, for what
    was taken back, and for what was disputed before.
    """
    said_kind, said_text = checked(kind, text)
    passage = session.scalar(select(Passage).where(Passage.agreement_id == agreement_id, Passage.id == passage_id))
    if passage is None:
        raise NotFound("There is no such passage on this agreement.")
    _check(session, passage)
    known = session.scalar(_open(passage_id))
    if known is not None:
        return known, False
    _check_again(session, passage_id, said_text, again)
    values = {
        "agreement_id": agreement_id, "passage_id": passage_id, "charger_id": passage.charger_id,
        "source_id": passage.source_id, "kind": said_kind, "text": said_text, "made_at": now, "made_by": actor,
    }  # fmt: skip
    fresh = insert(Complaint).values(values)
    only_one = fresh.on_conflict_do_nothing(index_elements=["passage_id"], index_where=text_of(_HOLDS))
    made = session.scalar(only_one.returning(Complaint))
    if made is not None:
        hold(session, passage, now)  # what is billed already is paid, and comes back with the correction
        ring(session, "complaints")
        return made, True
    known = session.scalar(_open(passage_id))  # somebody made one at this moment
    if known is None:  # answered at this moment
        raise Conflict("Your last complaint of this passage has just been answered.", slug="just-answered")
    return known, False


def _open(passage_id: int) -> Select[Complaint]:
    return select(Complaint).where(Complaint.passage_id == passage_id, text_of(_HOLDS))


def _check_again(session: Session, passage_id: int, said: str, again: bool) -> None:
    # One that is open was made at this moment, and is found when ours is not inserted.
    ended = select(Complaint.id).where(Complaint.passage_id == passage_id, text_of(f"NOT ({_HOLDS})"))
    if session.scalar(ended.limit(1)) is None:
        return
    if not again:
        raise Conflict(
            "This passage has been disputed before; contact us if it is still wrong.", slug="disputed-before"
        )
    if not said:
        checks = Checks()
        checks.note("text", "empty", "is needed: say why it is disputed again")
        checks.done()


def _check(session: Session, passage: Passage) -> None:
    if passage.reverses_id is not None:
        raise Conflict("This takes a passage back; there is nothing to dispute.", slug="counter-row")
    if passage.external:
        raise Conflict("This journey is settled by its operator; ask them.", slug="settled-elsewhere")
    if session.get(Reversal, passage.id) is not None:
        raise Conflict("This passage has been taken back.", slug="taken-back")
    promised = select(Complaint.id).where(
        Complaint.passage_id == passage.id, Complaint.outcome.in_(PROMISES), Complaint.correction_id.is_(None)
    )
    if session.scalar(promised) is not None:
        raise Conflict("The operator has agreed, and its correction is on its way.", slug="being-corrected")
