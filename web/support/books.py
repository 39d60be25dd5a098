"""Whether everything agrees and runs: the audit, the invoice runs, jobs that failed, the business clock."""

from __future__ import annotations

import datetime as dt

from flask import render_template, request

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
    return _page(None)


@blp.post("/books/audit")
@only(*AUDITORS)
def run_audit() -> Page:
    """Prove the books now and show what was found. It changes nothing, so reloading the answer does no harm."""
    trail.record(http.current_session(), principal(), "audit", "books", http.request_now())
    # A session of its own: the request's has begun, and this wants one snapshot.
    with http.current_sessions()() as session:
        report = audit(session)
    return _page(report)


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
