"""`brikke token`: a bearer token signed by ourselves, for scripts, partners and trying things out."""

from __future__ import annotations

import datetime as dt

import click

from accounts.access import tokens
from accounts.access.principal import ROLES
from accounts.agreements.queries import by_number
from accounts.chargers.queries import charger as charger_by_code
from commands import base


@click.command()
@click.option("--role", required=True, type=click.Choice(ROLES))
@click.option("--agreement", type=int, metavar="N", help="For a customer: the one who has this agreement.")
@click.option("--charger", metavar="CODE", help="For a charger.")
@click.option(
    "--hours", type=click.IntRange(1, 24 * 365), default=8, show_default=True, help="How long it is good for."
)
@base.as_json
@base.guarded
def token(role: str, agreement: int | None, charger: str | None, hours: int, as_json: bool) -> None:
    """Print a token for the API: Authorization: Bearer TOKEN."""
    if (role == "customer") != (agreement is not None):
        raise click.UsageError("--agreement goes with --role customer, and only with it")
    if (role == "charger") != (charger is not None):
        raise click.UsageError("--charger goes with --role charger, and only with it")
    with base.runtime() as runtime, runtime.sessions() as session:
        customer = by_number(session, agreement).customer_id if agreement is not None else None
        if charger is not None:
            charger_by_code(session, charger)
        lasts = dt.timedelta(hours=hours)
        made = tokens.issue(runtime.settings, role, customer_id=customer, charger=charger, ttl=lasts)
    base.show({"token": made, "role": role, "hours": hours}, as_json=as_json, line=made)
