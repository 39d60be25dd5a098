"""Agreements over HTTP. A customer sees their own; support everybody's, and is logged.

Closing is with the customers, the payment method with the cards, reopening with collection.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.agreements import queries
from accounts.agreements.additional import add_additional
from accounts.agreements.models import Agreement
from accounts.agreements.schemas import AgreementSchema, NewAdditionalSchema, PublicationSchema, StandingSchema
from accounts.agreements.seen import seen
from accounts.chargers.queries import publications
from accounts.vehicles.additional import On
from accounts.vehicles.api import additional_rows, take_off
from accounts.vehicles.holder import holder
from accounts.vehicles.models import Registration
from accounts.vehicles.queries import registration, registrations_query
from accounts.vehicles.schemas import AdditionalRegistrationSchema, RemovalSchema, RemoveSchema
from accounts.vehicles.when import instant_of
from config import http

blp = http.Blueprint(
    "agreements", __name__, url_prefix="/v1", description="Agreements, their standing, and what is additional to them."
)
WHO = ("customer", "agent", "lead")
SHOWN = 200
"""Publications shown with the standing; the list of them has all."""


def shown(agreement: Agreement) -> dict[str, Any]:
    """Return an agreement as AgreementSchema shows it."""
    session = http.current_session()
    parent = queries.by_id(session, agreement.parent_id).number if agreement.parent_id else None
    family = [one.number for one in queries.family(session, agreement) if one.id != agreement.id]
    names = ("number", "kind", "operator", "payment_method", "standing", "opened_at", "closed_at")
    return {
        **{name: getattr(agreement, name) for name in names},
        "customer": queries.customer_number(session, agreement),
        "parent": parent,
        "additional": family,
    }


@blp.route("/agreements/<int:number>")
class OneAgreement(MethodView):
    """One agreement."""

    @require(*WHO)
    @blp.response(200, AgreementSchema)
    def get(self, number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Show an agreement."""
        agreement = seen(number)
        return shown(agreement), http.etag(agreement.version)


@blp.route("/agreements/<int:number>/standing")
class Standing(MethodView):
    """How an agreement stands."""

    @require(*WHO)
    @blp.response(200, StandingSchema)
    def get(self, number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Show the standing with its full history.

        Every change, every block and what chargers were told of it.
        """
        agreement = seen(number)
        story = queries.story(http.current_session(), agreement)
        last = story.changes[-1]
        body = {
            "agreement": agreement.number,
            "standing": agreement.standing,
            "since": last.at,
            "closed_at": agreement.closed_at,
            "history": [_without(one, "actor") for one in story.changes],
            "blocks": [_without(one, "contact") for one in story.blocks],
            "publications": _published(agreement, None, SHOWN).items,
        }
        return body, http.etag(agreement.version)


_PLAIN = {"actor": ("standing", "at", "reason"), "contact": ("at", "claims", "ended_at", "ending")}


def _without(row: Any, private: str) -> dict[str, Any]:
    """Return a row of the history; who of ours did it, and what was noted, is not for the customer."""
    names = _PLAIN[private] + ((private,) if principal().is_staff else ())
    return {name: getattr(row, name) for name in names}


@blp.route("/agreements/<int:number>/standing/publications")
class Publications(MethodView):
    """What chargers were told of an agreement."""

    @require(*WHO)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(PublicationSchema))
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List what chargers were told, newest first."""
        return _published(seen(number), **query)


def _published(agreement: Agreement, after: str | None, limit: int) -> http.Page:
    return publications(http.current_session(), agreement.id, after=after, limit=limit)


@blp.route("/agreements/<int:number>/additional-agreements")
class AdditionalAgreements(MethodView):
    """Additional ferry agreements."""

    @require(*WHO)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(AdditionalRegistrationSchema))
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List additional agreements, by plate and tag.

        Those of the past too. Journeys of that operator settle there and never on the tag agreement.
        """
        agreement, session = seen(number), http.current_session()
        statement = registrations_query([one.id for one in queries.family(session, agreement)], additional=True)
        page = http.paged(session, statement, [Registration.id], **query)
        return http.Page(additional_rows(agreement.id, page.items), page.next)

    @require(*WHO)
    @blp.arguments(NewAdditionalSchema)
    @blp.response(201, AdditionalRegistrationSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], number: int) -> tuple[dict[str, Any], int]:
        """Add an additional ferry agreement.

        From now, from a later day, or (support, with a reason) from an earlier instant: that operator's journeys
        since then move there, or with `external` are reversed and only shown. 200 when it is there already; 409 when
        the vehicle or tag has another one with that operator.
        """
        agreement, session, now = seen(number), http.current_session(), http.request_now()
        country = given["country"] if given["plate"] else None
        done = add_additional(
            session,
            agreement.id,
            given["operator"],
            On(country, given["plate"], given["pan"]),
            settlement=given["settlement"],
            external_ref=given["external_ref"],
            valid_from=_when(given, now),
            now=now,
            actor=principal().key,
            reason=given["reason"],
        )
        if not done.already:
            detail = {"registration": done.registration.id}
            subject = f"agreement:{number}"
            trail.record(session, principal(), "additional.add", subject, now, given["reason"], detail)
        return additional_rows(agreement.id, [done.registration])[0], 200 if done.already else 201


def _when(given: dict[str, Any], now: dt.datetime) -> dt.datetime:
    return instant_of(given["day"], given["at"], now, past=principal().is_staff, reason=given["reason"])


@blp.route("/agreements/<int:number>/additional-agreements/<int:additional>/remove")
class RemoveAdditional(MethodView):
    """Ending an additional agreement."""

    @require(*WHO)
    @blp.arguments(RemoveSchema)
    @blp.response(200, RemovalSchema)
    def post(self, given: dict[str, Any], number: int, additional: int) -> dict[str, Any]:
        """End an additional agreement on a plate or tag.

        The address may name the tag agreement or the ferry agreement. As with vehicles, a repeat is answered as
        done, and `also` ends others that have the same vehicle.
        """
        agreement, session = seen(number), http.current_session()
        family = [one.id for one in queries.family(session, agreement)]
        row = registration(session, family, additional, additional=True)
        return take_off(holder(session, row.agreement_id), additional, given)
