"""Who one is to us: e-mail, telephone, address, language."""

from __future__ import annotations

from collections.abc import Mapping

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import rules
from accounts.customers.change import change
from accounts.customers.models import Customer
from config import http
from config.problems import Invalid, PreconditionFailed
from web import words
from web.mypage import forms
from web.mypage.become import countries
from web.mypage.blueprint import blp, customers_only, me

FIELDS = ("email", "phone", "street", "postal_code", "city", "country", "language")
"""What is changed here. A name or organisation number is changed by support, who ask for proof."""

Page = str | tuple[str, int] | Response


@blp.get("/contact")
@customers_only
def contact() -> Page:
    """Show the details, ready to be changed."""
    customer = me()
    return _form(customer, {name: getattr(customer, name) or "" for name in FIELDS}, {})


def _form(customer: Customer, values: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    page = render_template(
        "mypage/contact.html",
        customer=customer,
        values=values,
        errors=errors,
        countries=countries(words.language()),
        settings=http.current_settings(),
    )
    return (page, 422) if errors else page


@blp.post("/contact")
@customers_only
def change_contact() -> Page:
    """Change the details, when nobody else has since the page was shown."""
    customer = me()
    values = forms.given(*FIELDS, "version")
    version = int(values["version"]) if values["version"].isdecimal() and len(values["version"]) < 9 else 0
    changes: dict[str, str | None] = {name: values[name] for name in rules.FIELDS if name in FIELDS}
    session, now = http.current_session(), http.request_now()
    try:
        changed = change(session, customer.id, changes, version=version)
    except Invalid as problem:
        return _form(customer, values, forms.said(problem, values))
    except PreconditionFailed as problem:
        return _form(customer, values, {forms.GENERAL: forms.problem_sentence(problem)})
    if changed.version != version:
        trail.record(session, principal(), "customer.change", f"customer:{changed.number}", now)
    words.choose(changed.language)
    flash(words.t("Opplysningene er lagret.", "Your details are saved."), "good")
    return redirect(url_for("mypage.contact"), 303)
