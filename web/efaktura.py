"""The page that a bank opens for its customer: the document of an eFaktura, without signing in.

The address was sent with the eFaktura; its token is signed, names a document and lives for a limited time. Neither the
address nor what is logged of it says whose document it is; nothing is kept by browsers or search engines.
"""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template

from billing.delivery.efaktura import page
from billing.invoices.forms import Form
from billing.invoices.render import pdf
from config import http
from config.clock import now_utc

blp = Blueprint("efaktura", __name__, url_prefix=page.PATH.rstrip("/"))

SHOWN = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What browsers let a PDF do: their viewers are pages themselves."""


@blp.after_request
def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@blp.get("/<token>")
def document(token: str) -> Response:
    """Show the document that a token names: as it was to be paid, with its latest due date."""
    try:
        opened = page.opened(http.current_settings(), token, now_utc())
    except page.WrongTokenError:
        return _nothing(404)
    except page.OldTokenError:
        return _nothing(410)
    shown = page.shown(http.current_session(), opened.document_id)
    if shown is None:
        return _nothing(404)
    http.current_session().rollback()  # making the page takes a while: nothing is held open meanwhile
    body = pdf(http.current_sessions(), opened.document_id, form=Form(opened.form, shown.details))
    response = Response(body, content_type="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="brikke-{shown.number}.pdf"'
    response.headers["Content-Security-Policy"] = SHOWN
    return response


def _nothing(status: int) -> Response:
    return make_response(render_template("efaktura.html", expired=status == 410), status)
