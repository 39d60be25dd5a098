"""The hosted pages where a customer gives a card or pays with one: a choice of test cards instead of a number."""

from __future__ import annotations

from html import escape
from typing import Any

from werkzeug.wrappers import Request, Response

from simulator.gateway import checkout
from simulator.gateway.cards import CARDS
from simulator.gateway.errors import ApiError
from simulator.gateway.setups import give_card, session_now
from simulator.gateway.world import World

_WORDS = {
    "nb": {
        "title": "Registrer kort",
        "note": "Dette er en øveversjon. Velg et kort i stedet for å skrive et nummer.",
        "save": "Lagre kortet",
        "cancel": "Avbryt og gå tilbake",
        "over": "Denne siden er ikke lenger åpen.",
        "declined": "Banken avviste kortet. Velg et annet.",
        "pay_title": "Bekreft betalingen",
        "pay": "Betal {sum} kr",
        "fail": "La banken si nei",
    },
    "en": {
        "title": "Register a card",
        "note": "This is for practice. Choose a card instead of typing a number.",
        "save": "Save the card",
        "cancel": "Cancel and go back",
        "over": "This page is no longer open.",
        "declined": "The bank declined the card. Choose another.",
        "pay_title": "Confirm the payment",
        "pay": "Pay NOK {sum}",
        "fail": "Let the bank say no",
    },
}

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430 }
label { display: flex; gap: .75rem; padding: .6rem .75rem; border: 1px solid #cfd6e0; border-radius: .5rem;
        margin: .35rem 0 }
label:focus-within { outline: 3px solid #2463eb }
button { font: inherit; padding: .7rem 1.2rem; border: 0; border-radius: .5rem; background: #1d4fd8; color: #fff }
small { color: #566070 } .error { color: #a11; font-weight: 600 }
"""


def answer(world: World, request: Request, mode: str, session_id: str) -> Response:
    """Show a page (GET), or take the card and send the customer back (POST). ``mode``: setup or payment."""
    session = session_now(world, session_id)
    if session is None or session["mode"] != mode:
        return _page(_WORDS["en"], "en", f"<p>{_WORDS['en']['over']}</p>", 404)
    language = _language(request, session)
    words = _WORDS[language]
    if mode == "payment":
        words = words | {"title": words["pay_title"]}
    if session["status"] != "open":
        return _page(words, language, f"<p>{words['over']}</p>", 410)
    error = ""
    if request.method == "POST":
        card, fails = request.form.get("card", ""), request.form.get("do") == "fail"
        try:
            if mode == "payment":
                checkout.pay(world, session_id, card, fails=fails)
            else:
                give_card(world, session_id, card)
        except ApiError as refused:
            if refused.status != 402:
                return _page(words, language, f'<p class="error">{escape(str(refused))}</p>', refused.status)
            error = f'<p class="error" role="alert">{words["declined"]}</p>'
        else:
            back = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session_id)
            return Response(status=303, headers={"Location": back})
    return _page(words, language, error + _form(words, session), 402 if error else 200)


def _language(request: Request, session: dict[str, Any]) -> str:
    """Return the page's language: the one it was made in, else the browser's."""
    told = session["locale"]
    if told == "auto":
        told = request.accept_languages.best_match(["nb", "no", "en"], "nb")
    return "en" if told == "en" else "nb"


def _form(words: dict[str, str], session: dict[str, Any]) -> str:
    choices = "".join(
        f'<label><input type="radio" name="card" value="{card.name}"{" checked" if number == 0 else ""}>'
        f"<span>{escape(card.label)}<br><small>{card.brand.title()} •••• {card.number[-4:]}</small></span></label>"
        for number, card in enumerate(CARDS.values())
    )
    cancel = ""
    if session["cancel_url"]:
        cancel = f'<p><a href="{escape(session["cancel_url"])}">{words["cancel"]}</a></p>'
    buttons = f"<p><button type='submit'>{words['save']}</button></p>"
    if session["mode"] == "payment":
        sum_ = f"{session['amount_total'] // 100},{session['amount_total'] % 100:02d}"
        pay = words["pay"].format(sum=sum_)
        buttons = (
            f"<p><button type='submit' name='do' value='pay'>{pay}</button></p>"
            f"<p><button type='submit' name='do' value='fail'>{words['fail']}</button></p>"
        )
    return f"<p>{words['note']}</p><form method='post'>{choices}{buttons}</form>{cancel}"


def _page(words: dict[str, str], language: str, content: str, status: int) -> Response:
    html = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{words["title"]}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{words['title']}</h1>{content}</body></html>"
    )
    return Response(html, status=status, content_type="text/html; charset=utf-8")
