"""`brikke audit`: prove the books."""

from __future__ import annotations

import sys

import click

from billing.audit.audit import AuditReport
from billing.audit.audit import audit as prove
from commands import base


@click.command()
@base.as_json
@base.guarded
def audit(as_json: bool) -> None:
    """Prove ledger = balances = passages = claims = documents = payments; exit code 1 names the first difference."""
    with base.runtime() as runtime, runtime.sessions() as session:
        report = prove(session)
    base.show(report.as_dict(), as_json=as_json, line=_lines(report))
    if not report.ok:
        sys.exit(1)


def _lines(report: AuditReport) -> str:
    width = max(len(check.name) for check in report.checks)
    lines = [f"{'ok   ' if check.ok else 'WRONG'} {check.name:<{width}}  {check.detail}" for check in report.checks]
    verdict = "Everything agrees." if report.ok else f"First difference: {report.first_difference}"
    return "\n".join([*lines, "", verdict])
