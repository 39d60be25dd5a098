"""Customers over HTTP, and closing an agreement, of which its holder is told.

A customer sees and changes their own; support everybody's, and every look-up is logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.agreements.api import shown as agreement_shown
from accounts.agreements.queries import by_number as agreement_by_number
from accounts.agreements.queries import of_customers
from accounts.agreements.schemas import AgreementSchema
from accounts.agreements.seen import seen
from accounts.customers import queries
from accounts.customers.change import change
from accounts.customers.close import close_agreement
from accounts.customers.models import Customer
from accounts.customers.national_id import keep
from accounts.customers.rules import FIELDS
from accounts.customers.schemas import (
    CloseSchema,
    ContactSchema,
    CustomerSchema,
    NationalIdSchema,
    NewCustomerSchema,
    SearchQuery,
)
from accounts.customers.seen import seen as seen_customer
from accounts.customers.sign_up import add_agreement, sign_up
from accounts.vehicles.when import instant_of
from config import http
from config.sealed import sealing

blp = http.Blueprint("customers", __name__, url_prefix="/v1", description="Who holds agreements.")
WHO = ("customer", "agent", "lead")


def shown(customers: Sequence[Customer]) -> list[dict[str, Any]]:
    """Return customers with their agreements, as CustomerSchema shows them."""
    held: dict[int, list[Any]] = {one.id: [] for one in customers}
    for agreement in of_customers(http.current_session(), list(held)):
        held[agreement.customer_id].append(agreement)
    names = (*FIELDS, "number", "kind", "channel", "created_at")
    return [
        {name: getattr(one, name) for name in names}
        | {"agreements": held[one.id], "has_national_id": one.national_id is not None}
        for one in customers
    ]


@blp.route("/customers")
class Customers(MethodView):
    """All customers."""

    @require("agent", "lead")
    @blp.arguments(SearchQuery, location="query")
    @blp.response(200, http.page_of(CustomerSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """Find customers.

        By number, name, e-mail address, plate, tag or agreement; by customer number. Each one shown is logged as
        looked up.
        """
        session, now = http.current_session(), http.request_now()
        page = http.paged(session, queries.search(query.pop("query")), [Customer.number], **query)
        for customer in page.items:
            trail.looked_up(session, principal(), f"customer:{customer.number}", now, "search")
        return http.Page(shown(page.items), page.next)

    @require("agent", "lead")
    @blp.arguments(NewCustomerSchema)
    @blp.response(201, CustomerSchema)
    def post(self, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Make a customer, with a tag agreement.

        They are welcomed by e-mail, which is how documents go out from the start.
        """
        session, now = http.current_session(), http.request_now()
        made = sign_up(session, given.pop("kind"), given, now=now, actor=principal().key)
        trail.record(session, principal(), "customer.sign_up", f"customer:{made.customer.number}", now)
        location = {"Location": f"/v1/customers/{made.customer.number}"}
        return shown([made.customer])[0], http.etag(made.customer.version) | location


@blp.route("/customers/<int:number>")
class OneCustomer(MethodView):
    """One customer."""

    @require(*WHO)
    @blp.response(200, CustomerSchema)
    def get(self, number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Show a customer and their agreements."""
        customer = seen_customer(number)
        return shown([customer])[0], http.etag(customer.version)

    @require(*WHO)
    @http.if_match
    @blp.arguments(ContactSchema(partial=True))
    @blp.response(200, CustomerSchema)
    def patch(self, given: dict[str, Any], number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Change a customer's name, addresses or language.

        What is left out stays. The kind cannot be changed: a business is another customer than its owner.
        """
        session = http.current_session()
        customer = seen_customer(number, lock=True)
        http.check_if_match(customer.version)
        before = customer.version
        customer = change(session, customer.id, given, version=before)
        if customer.version != before:
            detail = {"fields": sorted(given)}
            subject = f"customer:{number}"
            trail.record(session, principal(), "customer.change", subject, http.request_now(), detail=detail)
        return shown([customer])[0], http.etag(customer.version)


@blp.route("/customers/<int:number>/national-id")
class NationalId(MethodView):
    """A customer's national id."""

    @require(*WHO)
    @blp.arguments(NationalIdSchema)
    @blp.response(200, CustomerSchema)
    def put(self, given: dict[str, Any], number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Keep a customer's national id, in place of one that was kept before.

        It is encrypted, used to look the customer up in eFaktura, Digipost and e-Boks, and never shown again.
        """
        return _kept(number, given["national_id"])

    @require(*WHO)
    @blp.response(200, CustomerSchema)
    def delete(self, number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Forget a customer's national id."""
        return _kept(number, None)


def _kept(number: int, value: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Keep or forget a national id; what goes into the trail is that it was done, not the id."""
    session, settings = http.current_session(), http.current_settings()
    customer = seen_customer(number, lock=True)
    synthetic = settings.takes_synthetic_ids()
    if keep(session, customer, value, sealing=sealing(settings), synthetic=synthetic):
        act = "customer.national_id.forget" if value is None else "customer.national_id.keep"
        trail.record(session, principal(), act, f"customer:{number}", http.request_now())
    return shown([customer])[0], http.etag(customer.version)


@blp.route("/customers/<int:number>/agreements")
class Agreements(MethodView):
    """A customer's agreements."""

    @require(*WHO)
    @blp.response(201, AgreementSchema)
    def post(self, number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Open a further tag agreement for a customer."""
        session, now = http.current_session(), http.request_now()
        agreement = add_agreement(session, seen_customer(number).id, now=now, actor=principal().key)
        trail.record(session, principal(), "agreement.open", f"agreement:{agreement.number}", now)
        location = {"Location": f"/v1/agreements/{agreement.number}"}
        return agreement_shown(agreement), http.etag(agreement.version) | location


@blp.route("/agreements/<int:number>/close")
class Close(MethodView):
    """Closing an agreement."""

    @require(*WHO)
    @http.if_match
    @blp.arguments(CloseSchema)
    @blp.response(200, AgreementSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], number: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Close an agreement and those additional to it, from now or from a later day.

        Its vehicles leave it then. Passages from before are still taken and invoiced by the next run. A closing
        that lies ahead can be moved to an earlier day.
        """
        session, now = http.current_session(), http.request_now()
        seen(number)
        agreement = agreement_by_number(session, number, lock=True)
        http.check_if_match(agreement.version)
        at = instant_of(given["day"], None, now, past=False)
        done = close_agreement(session, agreement.id, at=at, now=now, actor=principal().key)
        if not done.already:
            trail.record(session, principal(), "agreement.close", f"agreement:{number}", now)
        session.refresh(agreement)
        return agreement_shown(agreement), http.etag(agreement.version)
