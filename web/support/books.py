"""Whether everything agrees and runs: the audit, the invoice runs, jobs that failed, the business clock."""

from __future__ import annotations

import datetime as dt

from flask import flash, redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import desk as customers
from billing.audit.audit import AuditReport, audit
from billing.invoices import runs
from billing.invoices.candidates import MONTHLY
from billing.invoices.preview import preview
from billing.invoices.run import release
from config import http
from config.clock import business_date, now_utc
from config.jobs import troubled
from web import words
from web.support.blueprint import Page, blp, only, staff

AUDITORS = ("accountant", "operator")
RELEASERS = ("lead", "operator")
RUNS = 12
FAULTS = 50
JOBS = 50
MOVED = dt.timedelta(seconds=5)
"""Business time that is further from real time than this has been moved."""


@blp.get("/books")
@staff
def books() -> Page:
    """Show the runs; to those who keep the books and the machinery also what failed, and the audit to be run."""
    wanted = principal().role in AUDITORS and "audit" in request.args
    return _page(_audited() if wanted else None)


@blp.post("/books/runs/<int:run_id>/release")
@only(*RELEASERS)
def release_run(run_id: int) -> Page:
    """Let a run go on that looked odd."""
    session, now = http.current_session(), http.request_now()
    if release(session, run_id, actor=principal().key, now=now).released_at == now:
        trail.record(session, principal(), "run.release", f"run:{run_id}", now)
        flash(words.t("Kjøringen er frigitt og går videre.", "The run is released and goes on."), "good")
    return redirect(url_for("support.books"), 303)


def _odd() -> dict[str, str]:
    return {
        "sum": words.t("summen er langt over det vanlige", "the sum is far above what is usual"),
        "large": words.t("mange store fakturaer", "many large invoices"),
    }


@blp.post("/books/audit")
@only(*AUDITORS)
def run_audit() -> Page:
    """Write down that the books are checked, and go where that is done and shown: checking changes nothing."""
    trail.record(http.current_session(), principal(), "audit", "books", http.request_now())
    return redirect(url_for("support.books", audit="now"), 303)


def _audited() -> AuditReport:
    # A session of its own: the request's has begun, and this wants one snapshot.
    with http.current_sessions()() as session:
        return audit(session)


def _page(report: AuditReport | None) -> Page:
    session, now = http.current_session(), http.request_now()
    auditor = principal().role in AUDITORS
    page = runs.runs(session, after=request.args.get("after") or None, limit=RUNS)
    faults = runs.open_faults(session, FAULTS)
    return render_template(
        "support/books.html",
        report=report,
        auditor=auditor,
        runs=page.items,
        next=page.next,
        odd=_odd(),
        releases=principal().role in RELEASERS,
        preview=preview(session, MONTHLY, business_date(now), now) if "preview" in request.args else None,
        faults=faults,
        held=customers.held(session, [one.agreement_id for one in faults]),
        jobs=troubled(session, JOBS) if auditor else (),
        clock=now if principal().role == "operator" and http.current_settings().demo else None,
        moved=abs(now_utc() - now) > MOVED,
    )
