"""The HTTP shapes of disputes and complaints."""

from __future__ import annotations

from billing.roadside.complaints.rules import KINDS, LONGEST_TEXT, OUTCOMES
from config import http


class DisputeGivenSchema(http.Schema):
    """What is wrong with a passage."""

    passage = http.whole("The passage's number.", 4711)
    kind = http.choice(
        "wrong_vehicle (not mine), wrong_class, not_there (nobody passed), double, price, other (say what).", KINDS
    )
    text = http.text(
        "In one's own words; the operator reads it.", "Bilen sto på verksted", min_length=0, max_length=LONGEST_TEXT,
        load_default="",
    )  # fmt: skip


class ComplaintSchema(http.Schema):
    """A complaint about a record of a charger's, and what came of it."""

    id = http.whole("Its number.", 7)
    charger = http.text("Code of the charger.", "FJELL")
    charger_name = http.text("Its name.", "Fjellveien Bompengeselskap AS")
    record = http.text("The charger's id of the record.", "FJ-1")
    kind = http.choice("What is wrong.", KINDS)
    text = http.text("In the customer's words; may be empty.", "Bilen sto på verksted", min_length=0)
    state = http.choice(
        "made, sent (in a file, or the charger has read it), answered.", ("made", "sent", "answered"), "sent"
    )
    outcome = http.choice("upheld, adjusted or rejected, when it is answered.", OUTCOMES, allow_none=True)
    response = http.text("What the charger says.", "Feil avlest skilt", allow_none=True)
    made_at = http.instant("When it was made.")
    sent_at = http.instant("When it was sent.", allow_none=True)
    answered_at = http.instant("When it was answered.", allow_none=True)
    correction = http.text("The record by which the charger corrected the passage.", "FJ-9", allow_none=True)
    corrected_at = http.instant("When that came into force.", allow_none=True)
    unanswered = http.flag("Whether the charger should have answered by now.", False)
    let_go_at = http.instant("Since when it holds the passage back no longer, unanswered.", allow_none=True)
    let_go_why = http.choice("Why: nobody answered in time, or the customer withdrew it.", ("unanswered", "withdrawn"),
                             allow_none=True)  # fmt: skip
    overdue = http.flag("Whether a promised correction should have come by now.", False)


class DisputeSchema(ComplaintSchema):
    """A dispute of a passage, and what came of it."""

    agreement = http.agreement_number()
    passage = http.whole("The passage's number.", 4711)


class ComplaintsQuery(http.PageQuery):
    """Which complaints."""

    show = http.choice(
        "open: an answer is waited for; answered; uncorrected: the charger agreed, and its correction has not come; "
        "unanswered: for so long that the charger should be asked, or is waited for no longer.",
        ("open", "answered", "uncorrected", "unanswered"),
        load_default=None,
    )


class ComplaintResponseSchema(http.Schema):
    """A charger's answer to a complaint."""

    outcome = http.choice(
        "upheld: the customer is right; adjusted: in part; rejected. After upheld and adjusted send the record that "
        "cancels or adjusts the original.",
        OUTCOMES,
    )
    text = http.text(
        "Why; the customer reads it.", "Feil avlest skilt", min_length=0, max_length=LONGEST_TEXT, load_default=""
    )
