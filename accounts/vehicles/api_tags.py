"""Tags of an agreement over HTTP; part of the vehicles' blueprint."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access.guard import require
from accounts.vehicles import queries, rules, tags
from accounts.vehicles.blueprint import WHO, blp, held, note, when
from accounts.vehicles.models import Tag
from accounts.vehicles.queries import TagStory
from accounts.vehicles.schemas import MoveTagSchema, NewTagSchema, TagSchema, TagStateSchema
from config import http


def shown(story: TagStory) -> dict[str, Any]:
    """Return a tag as TagSchema shows it."""
    tag = story.tag
    return {
        "id": tag.id,
        "printed_number": tag.printed_number,
        "pan": tag.pan,
        "issuer": rules.issuer_of(tag.pan, rules.issuers()),
        "obu_id": tag.obu_id,
        "state": tag.state,
        "issued_at": tag.issued_at,
        "mounts": story.mounts,
    }


@blp.route("/agreements/<int:number>/tags")
class Tags(MethodView):
    """The tags of an agreement."""

    @require(*WHO)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(TagSchema))
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List tags, with the vehicles each was in."""
        session = http.current_session()
        page = http.paged(session, queries.tags_query(held(number).id), [Tag.id], **query)
        return http.Page([shown(story) for story in queries.stories(session, page.items)], page.next)

    @require("agent", "lead")
    @blp.arguments(NewTagSchema)
    @blp.response(201, TagSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], number: int) -> tuple[dict[str, Any], int]:
        """Issue a tag to the agreement.

        200 when this very tag was issued to it before; 409 when one of its numbers is another tag's.
        """
        session, agreement = http.current_session(), held(number)
        done = tags.issue(
            session, agreement.id, given["printed_number"], given["pan"], given["obu_id"], now=http.request_now()
        )
        if not done.already:
            note("tag.issue", number, None, tag=done.tag.id)
        return shown(queries.tag(session, agreement.id, done.tag.id)), 200 if done.already else 201


@blp.route("/agreements/<int:number>/tags/<int:tag>")
class OneTag(MethodView):
    """One tag of an agreement."""

    @require(*WHO)
    @blp.response(200, TagSchema)
    def get(self, number: int, tag: int) -> dict[str, Any]:
        """Show a tag."""
        return shown(queries.tag(http.current_session(), held(number).id, tag))


@blp.route("/agreements/<int:number>/tags/<int:tag>/vehicle")
class TagInVehicle(MethodView):
    """Where a tag is mounted."""

    @require(*WHO)
    @blp.arguments(MoveTagSchema)
    @blp.response(200, TagSchema)
    @blp.problems(409)
    def put(self, given: dict[str, Any], number: int, tag: int) -> dict[str, Any]:
        """Move a tag into a vehicle, or out of any.

        As long as a vehicle is registered its passages are the holder's: taking the tag out changes nothing.
        """
        session, agreement = http.current_session(), held(number)
        at = when(given)
        queries.tag(session, agreement.id, tag)
        done = tags.mount(session, tag, given["vehicle"], at=at, now=http.request_now())
        if not done.already:
            note("tag.move", number, given["reason"], tag=tag, vehicle=given["vehicle"])
        return shown(queries.tag(session, agreement.id, tag))


@blp.route("/agreements/<int:number>/tags/<int:tag>/state")
class TagState(MethodView):
    """What became of a tag."""

    @require(*WHO)
    @blp.arguments(TagStateSchema)
    @blp.response(200, TagSchema)
    @blp.problems(409)
    def put(self, given: dict[str, Any], number: int, tag: int) -> dict[str, Any]:
        """Say that a tag is lost, stolen, returned, or found again.

        But for one that was found, it counts as in no vehicle from now on.
        """
        session, agreement = http.current_session(), held(number)
        before = queries.tag(session, agreement.id, tag).tag.state
        after = tags.set_state(session, tag, given["state"], now=http.request_now()).state
        if after != before:
            note("tag.state", number, None, tag=tag, before=before, after=after)
        return shown(queries.tag(session, agreement.id, tag))
