"""Whether everything agrees and runs: the audit, the invoice runs, jobs that failed, the business clock."""

from __future__ import annotations

import datetime as dt

from flask import redirect, render_template, request, url_for

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import desk as customers
from billing.audit.audit import AuditReport, audit
from billing.invoices import runs
from config import http
from config.clock import now_utc
from config.jobs import troubled
from web.support.blueprint import Page, blp, only, staff

AUDITORS = ("accountant", "operator")
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
        faults=faults,
        held=customers.held(session, [one.agreement_id for one in faults]),
        jobs=troubled(session, JOBS) if auditor else (),
        clock=now if principal().role == "operator" and http.current_settings().demo else None,
        moved=abs(now_utc() - now) > MOVED,
    )
