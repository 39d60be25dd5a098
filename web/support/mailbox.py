"""The mail that went out: the list, and each as it was sent."""

from __future__ import annotations

from flask import Response, flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import desk as customers
from accounts.customers.channel import mandates_of
from accounts.customers.models import Customer
from billing.delivery import choices
from billing.delivery import desk as room
from billing.delivery import mailbox as folder
from billing.delivery.again import send_again
from billing.delivery.carried import carried
from billing.delivery.desk import Told
from billing.delivery.reach import offered
from billing.delivery.send_by import possible, send_by
from config import http
from config.clock import now_utc
from config.problems import Conflict, Invalid, NotFound, Problem
from web import channels
from web.mypage import forms
from web.support import words
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
    return render_template(
        "support/delivery.html",
        one=one,
        held=held,
        mail=_mail(one),
        carried=carried(session, delivery_id),
        decisions=choices.of_message(session, one.message_id),
        ways=_ways(held.customer, one),
        channel_name=channels.name,
        why=channels.why,
        cause_word=words.cause_word,
        verdict_word=words.verdict_word,
        step_word=words.step_word,
        file_word=words.file_word,
    )


def _ways(customer: Customer, one: Told) -> list[str]:
    """Return by what else a document may be sent to a customer: what carries it, is in use, or has a mandate."""
    used = set(offered(http.current_settings(), customer.kind))
    if any(mandate.agreement_id == one.agreement_id for mandate, _ in mandates_of(http.current_session(), customer.id)):
        used.add("avtalegiro")
    return [name for name in possible(customer.kind, one.template) if name in used - {one.channel}]


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
    one, channel = acted_on(number), forms.given("channel")["channel"]
    session, now = http.current_session(), http.request_now()
    try:
        if channel:
            done = send_by(session, one.id, delivery_id, channel, now=now, real=now_utc())
        else:
            done = send_again(session, one.id, delivery_id, now=now, real=now_utc())
    except (Conflict, Invalid) as problem:
        session.rollback()
        flash(_not_again(problem))
    else:
        if done:
            detail = {"delivery": delivery_id} | ({"channel": channel} if channel else {})
            trail.record(session, principal(), "delivery.again", subject(one), now, None, detail)
            flash(_again(channel), "good")
        else:
            flash(t("Meldingen er alt på vei, eller sendt på nytt.",
                    "The message is on its way or sent again already."))  # fmt: skip
    return redirect(url_for("support.agreement", number=number), 303)


def _again(channel: str) -> str:
    if not channel:
        return t("Meldingen sendes på nytt.", "The message is being sent again.")
    return t("Sendes som {name} når det som viser den nå, er trukket tilbake. Når den ikke fram, følger neste måte.",
             "It goes by {name} once what presents it now is taken back. Where that does not get there, the next way "
             "follows.", name=channels.name(channel))  # fmt: skip


def _not_again(problem: Problem) -> str:
    slug = problem.type.removeprefix("/problems/")
    if slug == "avtalegiro-at-your-bank":
        return channels.refusal(problem)
    if slug == "no-longer-true":
        return t("Den sendes ikke igjen: det den sier, er ikke lenger sant.",
                 "It is not sent again: what it says is no longer true.")  # fmt: skip
    return t("Den kan ikke sendes på den måten.", "It cannot be sent that way.")


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
