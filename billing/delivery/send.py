"""Send what waits to be sent: plan, take a chunk, call, record.

A chunk is marked ``sending`` and committed before anything leaves the house; each outcome is its own transaction.
Retries, repeats and what counts as left behind go by real time: the business clock may stand still in a demo, and a
mail server knows no other. What the letters say and ``sent_at`` are business time.

What got no answer is ``unknown`` and settled later: in a folder one looks for the file; an SMTP server does not tell,
so the mail goes once more, ten minutes later, with the same Message-ID. The customer may then have it twice, and
many mail programs show such a pair as one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import structlog

from billing.delivery import links, rules
from billing.delivery.copies import form_of_copy
from billing.delivery.costs import add_cost
from billing.delivery.mail import Attachment, BadAddressError, compose
from billing.delivery.plan import fall_back, plan
from billing.delivery.record import given_up, later, lost, put_back, sent, settle_unknown, take_left_behind
from billing.delivery.transports import (
    LaterError,
    NoAnswerError,
    RefusedError,
    Transport,
    UnreachableError,
)
from billing.delivery.waiting import Chunk, Taken, take
from billing.delivery.words import Link, Sender, UnknownTemplateError, letter
from billing.invoices.pdf.processes import Renderer, RenderError
from billing.invoices.render import pdf
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.settings import Settings

log = structlog.get_logger(__name__)

CHUNK = 20
PDF_NAMES = {
    ("invoice", "nb"): "faktura",
    ("card_failed", "nb"): "faktura",
    ("receipt", "nb"): "kvittering",
    ("invoice", "en"): "invoice",
    ("card_failed", "en"): "invoice",
    ("receipt", "en"): "receipt",
    ("reissued", "nb"): "faktura",
    ("reissued", "en"): "invoice",
    ("receipt_reissued", "nb"): "kvittering",
    ("receipt_reissued", "en"): "receipt",
    **{(name, "nb"): "kreditnota" for name in ("credit_note", "credit", "credit_closed", "credit_even")},
    **{(name, "en"): "credit-note" for name in ("credit_note", "credit", "credit_closed", "credit_even")},
}


def run(sessions: SessionFactory, settings: Settings, transport: Transport, renderer: Renderer) -> dict[str, int | str]:
    """Plan and send mail until nothing waits, over a transport and a renderer given; say how many of each outcome."""
    counts: Counter[str] = Counter()
    while planned := _plan(sessions):
        counts["planned"] += planned
    with sessions.begin() as session:
        take_left_behind(session, real=now_utc())
    with sessions() as session:
        now = business_now(session)
    counts.update(settle_unknown(sessions, transport, now=now, real=now_utc()))
    reachable = True
    while reachable and (chunk := _take(sessions, settings)):
        counts["dropped"] += chunk.dropped
        reachable = _Round(sessions, settings, transport, renderer, counts).work(chunk)
    return dict(counts)


def _plan(sessions: SessionFactory) -> int:
    with sessions.begin() as session:
        return plan(session, now=business_now(session), real=now_utc())


def _take(sessions: SessionFactory, settings: Settings) -> Chunk:
    with sessions.begin() as session:
        return take(
            session,
            CHUNK,
            sender=settings.mail_from,
            account=settings.bank_account,
            now=business_now(session),
            real=now_utc(),
        )


class _Round:
    """A taken chunk on its way out: PDFs are made side by side, mails leave in order over one connection."""

    def __init__(
        self,
        sessions: SessionFactory,
        settings: Settings,
        transport: Transport,
        renderer: Renderer,
        counts: Counter[str],
    ) -> None:
        self.sessions, self.settings, self.transport, self.renderer = sessions, settings, transport, renderer
        self.counts = counts
        self.began = time.monotonic()
        with sessions() as session:
            self.now = business_now(session)
        self.sender = Sender(settings.seller_name, settings.seller_phone, settings.seller_email)

    def work(self, chunk: Chunk) -> bool:
        """Send the chunk; return whether mail can be sent at all. What was not come to is put back."""
        reachable = True
        rest = list(chunk.taken)
        for one, ready in self._prepared(chunk.taken):
            if time.monotonic() - self.began > rules.LEASE_SECONDS:
                break
            rest.remove(one)
            outcome = self._one(one, ready)
            self.counts[outcome] += 1
            if outcome == "unreachable":
                reachable = False
                break
        if rest:
            with self.sessions.begin() as session:
                put_back(session, [one.delivery_id for one in rest], unreachable=not reachable, real=now_utc())
        return reachable

    def _prepared(self, taken: list[Taken]) -> Iterator[tuple[Taken, Future[bytes]]]:
        with ThreadPoolExecutor(self.renderer.processes, thread_name_prefix="mail") as threads:
            futures = [(one, threads.submit(self._mail, one)) for one in taken]
            try:
                yield from futures
            finally:
                for _, future in futures:
                    future.cancel()

    def _mail(self, one: Taken) -> bytes:
        """Make the mail; nothing is open in the database while its page is made."""
        told, attachment = one.told, None
        named = PDF_NAMES.get((one.template, one.told.language))
        if named is not None:
            if one.document_id is None:
                raise UnknownTemplateError(f"the template {one.template!r} needs a document, which the message has not")
            with self.sessions() as session:
                form = form_of_copy(session, one.delivery_id)
            content = pdf(self.sessions, one.document_id, form=form, renderer=self.renderer)
            if self.settings.mail_documents == "link":  # the page is made now, so that what is wrong with it shows
                told = replace(told, link=self._link(one.delivery_id))
            else:
                attachment = Attachment(f"{named}-{one.told.invoice}.pdf", content)
        return compose(
            letter(one.template, told, self.sender),
            sender_name=self.settings.seller_name,
            sender=self.settings.mail_from,
            reply_to=self.settings.seller_email,
            recipient_name=one.told.name,
            recipient=one.email,
            rfc_message_id=one.rfc_message_id,
            template=one.template,
            language=one.told.language,
            now=self.now,
            attachment=attachment,
        )

    def _link(self, delivery_id: int) -> Link:
        with self.sessions.begin() as session:
            return links.make(session, self.settings, delivery_id, real=now_utc())

    def _one(self, one: Taken, ready: Future[bytes]) -> str:
        """Send one mail and record what became of it; whatever goes wrong is this one's matter only."""
        try:
            mail = ready.result()
            self.transport.send(one.delivery_id, one.email, mail)
        except (RefusedError, BadAddressError, UnknownTemplateError) as error:
            outcome, why = "failed", str(error)
        except NoAnswerError as error:
            outcome, why = "unknown", str(error)
        except UnreachableError as error:
            outcome, why = "unreachable", str(error)
        except (LaterError, RenderError) as error:
            outcome, why = "later", str(error)
        except Exception as error:  # a fault of ours in one letter: seen in its row, the others go out
            log.exception("delivery.fault", delivery=one.delivery_id, template=one.template)
            outcome, why = "later", f"{type(error).__name__}: {error}"
        else:
            outcome, why = "sent", ""
        if outcome != "sent":
            log.warning("delivery.not_sent", delivery=one.delivery_id, template=one.template, outcome=outcome)
        return self._record(one, outcome, why)

    def _record(self, one: Taken, outcome: str, why: str) -> str:
        with self.sessions.begin() as session:
            if outcome == "sent":
                if sent(session, one.delivery_id, one.attempt, now=(now := business_now(session))):
                    add_cost(session, [one.delivery_id], "email", now=now)
            elif outcome == "failed":
                given_up(session, one.delivery_id, one.attempt, why)
            elif outcome == "unknown":
                lost(session, one.delivery_id, one.attempt, why, real=now_utc())
            elif not later(session, one.delivery_id, one.attempt, why, real=now_utc()):
                outcome = "failed" if outcome == "later" else outcome
            if outcome == "failed":
                fall_back(session, one.message_id, now=business_now(session), real=now_utc())
        return outcome
