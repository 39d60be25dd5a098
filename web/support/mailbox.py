"""The mail that went out: the list, and each as it was sent."""

from __future__ import annotations

from flask import Response, flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import desk as customers
from billing.delivery import desk as room
from billing.delivery import mailbox as folder
from billing.delivery.again import send_again
from billing.delivery.desk import Told
from config import http
from config.clock import now_utc
from config.problems import Conflict, NotFound
from web.support.blueprint import Page, acted_on, actors, blp, readers, subject
from web.words import t

PAGE = 50
PDF = "application/pdf"


@blp.get("/mailbox")
@actors
def mailbox() -> Page:
    """List what was sent or is to be, the last first."""
    session, after = http.current_session(), request.args.get("after") or None
    page = room.deliveries(session, after=after, limit=PAGE)
    held = customers.held(session, [one.agreement_id for one in page.items])
    trail.looked_up(session, principal(), "mailbox", http.request_now(), "list")
    return render_template("support/mailbox.html", rows=page.items, held=held, next=page.next, after=after)


@blp.get("/deliveries/<int:delivery_id>")
@readers
def delivery(delivery_id: int) -> Page:
    """Show one delivery: what was told, to which address, how it went, and the mail's plain text."""
    session = http.current_session()
    one = room.one(session, delivery_id)
    held = customers.held(session, [one.agreement_id])[one.agreement_id]
    trail.looked_up(session, principal(), f"agreement:{held.agreement.number}", http.request_now(), "look_up_mail")
    return render_template("support/delivery.html", one=one, held=held, mail=_mail(one))


def _mail(one: Told) -> folder.Opened | None:
    """Return the mail as it lies in the folder; None when mail goes by SMTP, or it is not there."""
    place = http.current_settings().mail_url.folder
    if place is None or one.delivery_id is None:
        return None
    return folder.of_delivery(place, one.delivery_id, one.rfc_message_id)


@blp.post("/agreements/<int:number>/deliveries/<int:delivery_id>/again")
@actors
def do_send_again(number: int, delivery_id: int) -> Page:
    """Have a message sent once more, to the address the customer has now."""
    one = acted_on(number)
    session, now = http.current_session(), http.request_now()
    try:
        done = send_again(session, one.id, delivery_id, now=now, real=now_utc())
    except Conflict:
        session.rollback()
        flash(t("Den sendes ikke igjen: det den sier, er ikke lenger sant.",
                "It is not sent again: what it says is no longer true."))  # fmt: skip
    else:
        if done:
            trail.record(session, principal(), "delivery.again", subject(one), now, None, {"delivery": delivery_id})
            flash(t("E-posten sendes på nytt.", "The mail is being sent again."), "good")
        else:
            flash(t("E-posten er alt på vei, eller sendt på nytt.", "The mail is on its way or sent again already."))
    return redirect(url_for("support.agreement", number=number), 303)


@blp.get("/deliveries/<int:delivery_id>/attachments/<int:index>")
@readers
def attachment(delivery_id: int, index: int) -> Response:
    """Return an attachment of the mail, as a file to keep."""
    session = http.current_session()
    one = room.one(session, delivery_id)
    mail = _mail(one)
    if mail is None or not 0 <= index < len(mail.attachments):
        raise NotFound("The mail has no such attachment.")
    held = customers.held(session, [one.agreement_id])[one.agreement_id]
    trail.looked_up(session, principal(), f"agreement:{held.agreement.number}", http.request_now(), "look_up_mail")
    part = mail.attachments[index]
    # We attach PDFs only; whatever else should lie there is not for a browser to show.
    kind = PDF if part.content_type == PDF else "application/octet-stream"
    answer = Response(part.content, content_type=kind)
    answer.headers.set("Content-Disposition", "attachment", filename=part.name)
    return answer
