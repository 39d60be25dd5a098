"""The page behind the link of an e-mail: a document is opened without signing in, for a limited time.

The page is a button. Only pressing it opens the document and counts as opened: scanners, previews and browsers that
fetch ahead ask for addresses and send no forms (nor have they the form's token). Neither the address nor the page says
whose document it is; nothing is kept by browsers or search engines.
"""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template, session

from billing.delivery import links, tokens
from billing.delivery.copies import form_of_copy
from billing.invoices.render import pdf
from config import http
from config.clock import now_utc
from config.problems import NotFound
from web import words

blp = Blueprint("links", __name__, url_prefix=links.PATH.rstrip("/"))


@blp.after_request
def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@blp.get("/<token>")
def page(token: str) -> Response:
    """Show the button; for a link whose time is over, where the document is found. Nothing is recorded."""
    named, opening = _named(token)
    if session.get("language") not in words.LANGUAGES:
        words.choose(opening.language)
    shown = render_template("links/document.html", opening=opening, token=token, expired=named.expired)
    return make_response(shown, 410 if named.expired else 200)


@blp.post("/<token>")
def open_document(token: str) -> Response:
    """Record that a person opened the document, and serve it."""
    named, opening = _named(token)
    if named.expired:
        return page(token)
    links.opened(http.current_session(), opening.delivery_id, now=http.request_now())
    form = form_of_copy(http.current_session(), opening.delivery_id)
    http.current_session().commit()  # making the page takes a while: nothing is held open meanwhile
    body = pdf(http.current_sessions(), opening.document_id, form=form)
    name = f"brikke-{opening.number}.pdf"
    return Response(
        body, content_type="application/pdf", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _named(token: str) -> tuple[tokens.Named, links.Opening]:
    try:
        named = tokens.read(http.current_settings(), links.PURPOSE, token, real=now_utc())
    except tokens.BadTokenError:
        raise NotFound("There is nothing at this address.") from None
    opening = links.opening(http.current_session(), named.id)
    if opening is None:
        raise NotFound("There is nothing at this address.")
    return named, opening
