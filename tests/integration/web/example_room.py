"""A room of the tests' own: what config.http and accounts.access promise, shown on endpoints without business."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from accounts.access import trail
from accounts.access.guard import principal, public, require
from accounts.access.idempotency import idempotent
from accounts.access.models import TrailEntry
from config import http
from config.problems import NotFound

VERSION = 3


class PartSchema(http.Schema):
    """One part of an order."""

    count = http.whole("How many.", 2, low=1, high=10)


class OrderSchema(http.Schema):
    """Something to be paid."""

    word = http.text("What it is.", "thing", max_length=20)
    amount_ore = http.ore("What it costs.", 4500, low=0)
    at = http.instant("When.", load_default=None, allow_none=True)
    parts = http.many(PartSchema, "Its parts.", load_default=list)


class EntrySchema(http.Schema):
    """One entry of the trail."""

    id = http.whole("Its number.", 1)
    action = http.text("What was done.", "order")


class EntryQuery(http.PageQuery):
    """A list's query."""


blp = http.Blueprint("example", __name__, url_prefix="/v1/example", description="Only in tests.")


@blp.route("/orders")
class Orders(MethodView):
    @require("agent")
    @idempotent
    @blp.arguments(OrderSchema)
    @blp.response(201, OrderSchema)
    def post(self, order: dict[str, Any]) -> Any:
        """Order."""
        trail.record(http.current_session(), principal(), order["word"], "order:1", http.request_now())
        if order["word"] == "missing":
            raise NotFound("There is no such thing.")
        return order, {"Location": "/v1/example/orders/1"}

    @require("agent", "customer")
    @blp.arguments(EntryQuery, location="query")
    @blp.response(200, http.page_of(EntrySchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List what was done."""
        return http.paged(http.current_session(), select(TrailEntry), [TrailEntry.at, TrailEntry.id], **query)


@blp.route("/orders/<int:number>")
class Order(MethodView):
    @require("agent")
    @http.if_match
    @blp.arguments(OrderSchema(partial=True))
    @blp.response(200, OrderSchema)
    def patch(self, change: dict[str, Any], number: int) -> Any:
        """Change an order."""
        http.check_if_match(VERSION)
        return change, http.etag(VERSION + 1)

    @require("agent")
    @blp.response(200, OrderSchema)
    def get(self, number: int) -> Any:
        """Show an order."""
        return {"word": "thing", "amount_ore": number, "at": http.request_now(), "parts": []}, http.etag(VERSION)


@blp.route("/broken/<string:how>")
class Broken(MethodView):
    @public
    @blp.response(204)
    def post(self, how: str) -> None:
        """Break."""
        session = http.current_session()
        session.execute(
            text("INSERT INTO audit_trail (at, actor, role, action, subject) VALUES (now(), 'a', 'b', 'broken', 'd')")
        )
        if how == "raise":
            raise RuntimeError("kari@example.no broke it")
        if how == "constraint":
            try:
                session.execute(text("INSERT INTO audit_trail (at) VALUES (now())"))
            except IntegrityError:
                return  # the transaction cannot be committed, and must not be taken for done
        if how == "connection":
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
