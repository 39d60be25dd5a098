"""The front page, signing in by choosing a person, signing out, choosing a language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts.access import browser
from accounts.access.principal import Principal
from accounts.customers import queries
from accounts.customers.queries import Person
from config import http
from config.problems import Invalid, NotFound
from web import words
from web.signin.blueprint import blp

EACH = 4
"""How many customers of each sort are offered; a search finds the others."""
FOUND = 20


@dataclass(frozen=True)
class Colleague:
    """One of ours to sign in as, and what they do (Bokmål, English)."""

    subject: str
    role: str
    name: str
    what: tuple[str, str]


STAFF = (
    Colleague(
        "kari",
        "agent",
        "Kari Kundeservice",
        ("Kundebehandler: finner avtaler og gjenåpner dem", "Support agent: finds agreements and reopens them"),
    ),
    Colleague("lars", "lead", "Lars Leder", ("Leder i kundeservice: godkjenner også", "Support lead: approves too")),
    Colleague(
        "reidun",
        "accountant",
        "Reidun Regnskap",
        ("Regnskap: ser hovedbok og avstemming", "Accountant: reads the books"),
    ),
    Colleague(
        "odd",
        "operator",
        "Odd Operatør",
        ("Drift: klokke, jobber og kontroll av regnskapet", "Operator: clock, jobs and the audit of the books"),
    ),
)


@blp.get("/")
def front() -> str:
    """Say what this is and where to go."""
    return render_template("signin/front.html", who=browser.signed_in_principal(), demo=http.current_settings().demo)


@blp.get("/signin")
def choose() -> str:
    """Offer people to sign in as; outside a demo, say where signing in comes from."""
    signed_out = "signed_out" in request.args
    if not http.current_settings().demo:
        return render_template("signin/provider.html", settings=http.current_settings(), signed_out=signed_out)
    query = " ".join(request.args.get("q", "").split())[: queries.LONGEST_QUERY]
    return render_template(
        "signin/choose.html",
        people=_people(query),
        staff=() if query else STAFF,
        query=query,
        next=browser.safe_next(request.args.get("next"), ""),
        signed_out=signed_out,
    )


def _people(query: str) -> Sequence[Person]:
    session = http.current_session()
    if not query:
        return queries.examples(session, EACH)
    try:
        return queries.people(session, query, FOUND)
    except Invalid:
        return ()


@blp.post("/signin")
def sign_in() -> Response:
    """Begin a session as the person chosen. Only in a demo: elsewhere this address does not exist."""
    if not http.current_settings().demo:
        raise NotFound("There is nothing at this address.")
    colleague = next((one for one in STAFF if one.subject == request.form.get("staff")), None)
    language = words.language()
    if colleague is not None:
        browser.sign_in(Principal(colleague.subject, colleague.role, name=colleague.name))
        words.choose(language)
        return redirect(_landing("/support", request.form.get("next")), 303)
    number = request.form.get("customer", "")
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise NotFound("There is no such person.")
    customer = queries.by_number(http.current_session(), int(number))
    browser.sign_in(Principal(f"customer-{customer.id}", "customer", customer.id, name=customer.name))
    words.choose(customer.language)
    return redirect(_landing(url_for("mypage.agreements"), request.form.get("next")), 303)


def _landing(home: str, wanted: str | None) -> str:
    """Return where one lands: where one wanted to go, when that is on one's own site, else at home."""
    target = browser.safe_next(wanted, home)
    return target if target == home or target.startswith(home.rstrip("/") + "/") else home


@blp.post("/signout")
def sign_out() -> Response:
    """End the session."""
    language = words.language()
    browser.sign_out()
    words.choose(language)
    flash(words.t("Du er logget ut.", "You are signed out."), "good")
    return redirect(url_for("signin.front"), 303)


@blp.post("/language")
def choose_language() -> Response:
    """Change the language of the pages, and go on where one was."""
    words.choose(request.form.get("language", ""))
    return redirect(browser.safe_next(request.form.get("next"), url_for("signin.front")), 303)
