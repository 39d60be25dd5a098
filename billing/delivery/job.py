"""The job that delivers: what failed is followed, what waits for a channel is chosen for, each channel carries its
own. Mail goes over one connection (`send.py`), partners are called by batches (`carry.py`), and those who take files
get them by jobs of their own, at the bank's and the print house's hours."""

from __future__ import annotations

import datetime as dt
from collections import Counter

from billing.delivery import send
from billing.delivery.bills import Pages
from billing.delivery.carry import carry
from billing.delivery.channels import Channels, channels_of
from billing.delivery.choose import Means, choose_all
from billing.delivery.plan import follow, plan
from billing.delivery.port import Form
from billing.delivery.record import take_left_behind
from billing.delivery.transports import transport_of
from billing.invoices import forms
from billing.invoices.pdf.processes import Renderer, shared
from billing.invoices.render import pdf
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext
from config.sealed import sealing
from config.settings import Settings


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Plan, choose and deliver until nothing waits; say how many of each outcome."""
    del scheduled_for
    transport = transport_of(ctx.settings)
    try:
        # The worker's own renderer: this job runs every minute, and starting processes costs more than most letters.
        channels, renderer = channels_of(ctx.settings), shared()
        counts = choose(ctx.sessions, ctx.settings, channels)
        counts.update(send.run(ctx.sessions, ctx.settings, transport, renderer))
        counts.update(call(ctx.sessions, ctx.settings, channels, renderer))
    finally:
        transport.close()
    return dict(counts)


def choose(sessions: SessionFactory, settings: Settings, channels: Channels) -> Counter[str]:
    """Plan what goes by mail in any case, follow what failed, choose for the rest; return how many by channel."""
    planned = 1
    while planned:
        with sessions.begin() as session:
            planned = plan(session, now=business_now(session), real=now_utc())
    with sessions.begin() as session:
        follow(session, now=business_now(session))
        take_left_behind(session, real=now_utc())
    means = Means(channels.look_ups, settings.fallback_channels, sealing(settings))
    return Counter({f"chosen_{word}": number for word, number in choose_all(sessions, means).items()})


def call(sessions: SessionFactory, settings: Settings, channels: Channels, renderer: Renderer) -> Counter[str]:
    """Have each partner's channel carry its deliveries; return how many of each outcome."""

    def page(document_id: int, form: Form, details: bool) -> bytes:
        return pdf(sessions, document_id, form=forms.Form(settlement=form, details=details), renderer=renderer)

    pages = Pages(page, sealing(settings))
    counts: Counter[str] = Counter()
    for channel in channels.calls.values():
        counts.update(carry(sessions, channel, pages, settings.issuer_id))
    return counts
