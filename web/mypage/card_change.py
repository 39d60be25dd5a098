"""What a customer changes about their cards: which one is charged, removing one, paying by invoice, receipts."""

from __future__ import annotations

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.method import set_receipts
from billing.cards.cards import make_default
from billing.cards.methods import choose_method
from billing.cards.page_ended import end_page
from billing.cards.removal import take_away
from billing.invoices.seller import seller_of
from billing.invoices.words import brand
from config import http
from config.problems import Conflict, NotFound, Problem, Unavailable
from web import words
from web.mypage.blueprint import blp, customers_only, own


def _back(number: int) -> Response:
    return redirect(url_for("mypage.card", number=number), 303)


def _refused(number: int, refused: Problem) -> Response:
    """Say why it is not done, and do nothing."""
    http.current_session().rollback()
    flash(refusal(refused), "warn")
    return _back(number)


def refusal(refused: Problem) -> str:
    """Say in a sentence why a change of cards is refused."""
    slug = refused.type.removeprefix("/problems/")
    if slug in ("only-way-to-pay", "charge-open"):
        return words.t(
            "Et trekk på kortet er ikke avsluttet ennå. Registrer et annet kort først, eller velg faktura også for det "
            "som er åpent.",
            "A charge on the card is not settled yet. Register another card first, or choose an invoice for what is "
            "open too.",
        )
    if slug == "charge-unknown":
        return words.t(
            "Et trekk på kortet er ikke avsluttet ennå: banken har ikke svart. Vi spør igjen selv; prøv igjen om "
            "noen minutter.",
            "A charge on the card is not settled yet: the bank has not answered. We ask again by ourselves; try again "
            "in some minutes.",
        )
    if slug == "charge-paid":
        return words.t("Trekket er nettopp betalt.", "The charge has just been paid.")
    if slug == "page-open":
        return words.t(
            "Betalingssiden er åpen, og kortleverandøren svarer ikke akkurat nå. Prøv igjen om et minutt.",
            "The payment page is open, and the card provider does not answer just now. Try again in a minute.",
        )
    if slug == "card-provider-refuses":
        return words.t(
            "Kortleverandøren tar ikke imot kort fra oss akkurat nå. Feilen er ikke din. Prøv igjen senere, eller velg "
            "faktura så lenge.",
            "The card provider takes no cards from us just now. The mistake is not yours. Try again later, or choose "
            "an invoice meanwhile.",
        )
    if slug == "card-refused":
        return words.t(
            "Banken har avvist dette kortet for godt. Registrer det på nytt, eller et annet.",
            "The bank has declined this card for good. Register it anew, or another one.",
        )
    if slug == "no-card":
        return words.t("Registrer et kort først.", "Register a card first.")
    return words.t("Avtalen er avsluttet. Det som er igjen, faktureres.",
                   "The agreement is closed. What is left is invoiced.")  # fmt: skip


@blp.post("/<int:number>/card/remove")
@customers_only
def remove_card(number: int) -> Response:
    """Stop using the card that is charged."""
    return _remove(number, None)


@blp.post("/<int:number>/card/<int:card_id>/remove")
@customers_only
def remove_one_card(number: int, card_id: int) -> Response:
    """Stop using one of the cards."""
    return _remove(number, card_id)


def _remove(number: int, card_id: int | None) -> Response:
    agreement = own(number)
    try:
        take_away(agreement, card_id, instead=request.form.get("instead") == "yes")
    except NotFound:
        flash(words.t("Det er ikke noe kort på avtalen.", "There is no card on the agreement."))
        return _back(number)
    except (Conflict, Unavailable) as refused:
        return _refused(number, refused)
    gone = words.t("Kortet er fjernet.", "The card is removed.")
    if agreement.payment_method != "card":
        gone += " " + words.t("Fra nå av får du faktura.", "From now on you get invoices.")
    flash(gone, "good")
    return _back(number)


@blp.post("/<int:number>/card/<int:card_id>/default")
@customers_only
def default_card(number: int, card_id: int) -> Response:
    """Let another card be the one that is charged."""
    agreement = own(number)
    session, now = http.current_session(), http.request_now()
    try:
        card = make_default(session, agreement.id, card_id, now=now)
    except Conflict as conflict:
        return _refused(number, conflict)
    trail.record(session, principal(), "card.default", f"agreement:{number}", now, detail={"card": card_id})
    flash(
        words.t(
            "{brand} som slutter på {last4} betaler fra nå av.",
            "{brand} ending in {last4} pays from now on.",
            brand=brand(card.brand),
            last4=card.last4,
        ),
        "good",
    )
    return _back(number)


@blp.post("/<int:number>/card/method")
@customers_only
def change_method(number: int) -> Response:
    """Pay by invoice, or by the registered card again."""
    agreement = own(number)
    session, now, settings = http.current_session(), http.request_now(), http.current_settings()
    method = "card" if request.form.get("method") == "card" else "invoice"
    instead = request.form.get("instead") == "yes"
    try:
        if instead:
            end_page(agreement.id)
        choose_method(session, agreement.id, method, version=None, seller=seller_of(settings), now=now, instead=instead)
    except (Conflict, Unavailable) as refused:
        return _refused(number, refused)
    trail.record(session, principal(), "payment_method", f"agreement:{number}", now, detail={"to": method})
    flash(
        words.t("Kortet betaler fra nå av.", "The card pays from now on.")
        if method == "card"
        else words.t("Fra nå av får du faktura.", "From now on you get invoices."),
        "good",
    )
    return _back(number)


@blp.post("/<int:number>/card/receipts")
@customers_only
def change_receipts(number: int) -> Response:
    """Have receipts by e-mail, or only here."""
    agreement = own(number)
    session, now = http.current_session(), http.request_now()
    by_mail = request.form.get("by_mail") == "yes"
    _, already = set_receipts(session, agreement.id, by_mail)
    if not already:
        trail.record(session, principal(), "receipts", f"agreement:{number}", now, detail={"by_mail": by_mail})
    flash(
        words.t("Kvitteringer kommer på e-post.", "Receipts come by e-mail.")
        if by_mail
        else words.t("Kvitteringer finner du bare her på Min side.", "You find receipts only here, on My Page."),
        "good",
    )
    return _back(number)
