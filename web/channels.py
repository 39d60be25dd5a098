"""Words of the ways to get invoices, alike on My Page and at the support desk, and the form that chooses among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accounts.customers import ways as choosable
from accounts.customers.channel import mandates_of
from accounts.customers.models import Customer
from billing.delivery import whys
from billing.delivery.choosing import Done, choose_now
from billing.delivery.port import Unsure
from billing.delivery.reach import offered
from config import http
from config.problems import Conflict, Invalid, PreconditionFailed, Problem
from web.words import language, pick, t

NAMES: Mapping[str, tuple[str, str]] = {
    "email": ("E-post", "E-mail"),
    "best_digital": ("Beste digitale måte", "The best digital way"),
    "avtalegiro": ("AvtaleGiro", "AvtaleGiro"),
    "efaktura": ("eFaktura", "eFaktura"),
    "vipps": ("Vipps", "Vipps"),
    "digipost": ("Digipost", "Digipost"),
    "eboks": ("e-Boks", "e-Boks"),
    "paper": ("Brev i posten", "A letter by post"),
    "ehf": ("EHF", "EHF"),
}

_SENTENCES: Mapping[str, tuple[str, str]] = {
    "email": (
        "Fakturaen kommer som PDF til e-postadressen {email}.",
        "The invoice comes as a PDF to {email}.",
    ),
    "best_digital": (
        "Vi finner den beste digitale måten hver gang: nettbank, Vipps, digital postkasse, ellers e-post.",
        "Each time we find the best digital way: online bank, Vipps, a digital mailbox, otherwise e-mail.",
    ),
    "efaktura": (
        "Fakturaen kommer i nettbanken. Krever norsk nettbank og «ja takk til alle» der. E-posten med faktura slutter.",
        "The invoice comes in the online bank. Needs a Norwegian online bank and “yes to all” there. Invoices by "
        "e-mail end.",
    ),
    "vipps": (
        "Fakturaen kommer i Vipps. Krever at Vipps er valgt for eFaktura der. E-posten med faktura slutter.",
        "The invoice comes in Vipps. Needs Vipps to be chosen there for eFaktura. Invoices by e-mail end.",
    ),
    "digipost": (
        "Fakturaen kommer i postkassen i Digipost. Krever konto der og fødselsnummer hos oss. E-posten med faktura "
        "slutter.",
        "The invoice comes to the mailbox at Digipost. Needs an account there and the national id with us. Invoices by "
        "e-mail end.",
    ),
    "eboks": (
        "Fakturaen kommer i postkassen i e-Boks. Krever konto der. E-posten med faktura slutter.",
        "The invoice comes to the mailbox at e-Boks. Needs an account there. Invoices by e-mail end.",
    ),
    "paper": (
        "Fakturaen kommer som brev til {address}. E-posten med faktura slutter.",
        "The invoice comes as a letter to {address}. Invoices by e-mail end.",
    ),
    "ehf": (
        "Fakturaen går rett inn i bedriftens regnskapssystem. Krever at bedriften er mottaker i ELMA.",
        "The invoice goes straight into the company's books. Needs the company to be a receiver in ELMA.",
    ),
}

_REFUSED: Mapping[str, tuple[str, str]] = {
    "avtalegiro-at-your-bank": (
        "AvtaleGiro settes opp i nettbanken av den som betaler, med KID fra en faktura. Verken vi eller andre kan "
        "gjøre det.",
        "AvtaleGiro is set up by the payer in their online bank, with the KID of any invoice. Neither we nor anybody "
        "else can do it.",
    ),
    "mandate-stands": (
        "AvtaleGiro betaler fakturaene. Den avsluttes i nettbanken først; så kan en annen måte velges her.",
        "AvtaleGiro pays the invoices. It is ended in the online bank first; then another way can be chosen here.",
    ),
}


@dataclass(frozen=True)
class Way:
    """A way that can be chosen, with its sentence."""

    channel: str
    name: str
    sentence: str


def name(channel: str | None) -> str:
    """Say a channel."""
    return pick(NAMES[channel]) if channel is not None and channel in NAMES else channel or "–"


def why(code: str) -> str:
    """Say a code of the choice, or of what happened to a delivery."""
    return whys.say(code, language())


def sentence(customer: Customer, channel: str) -> str:
    """Say in a sentence how invoices come that way, what that needs and what it ends."""
    place = " ".join(part for part in (customer.postal_code, customer.city) if part)
    return pick(_SENTENCES[channel], email=customer.email, address=f"{customer.street}, {place}")


def form(customer: Customer) -> dict[str, Any]:
    """Return what a template of the form needs: the ways, and the mandates that stand."""
    mandates = mandates_of(http.current_session(), customer.id)
    names = () if mandates else offered(http.current_settings(), customer.kind)
    if not mandates and customer.channel not in names and customer.channel in _SENTENCES:
        names = (*names, customer.channel)  # what is held is shown, also where it is not in use here any more
    return {
        "customer": customer,
        "ways": [Way(one, name(one), sentence(customer, one)) for one in names],
        "mandates": mandates,
        "beside_possible": customer.kind in choosable.kinds("efaktura"),
        "settings": http.current_settings(),
    }


def held(customer: Customer) -> dict[str, str]:
    """Return what the form shows before anything is typed."""
    return {
        "channel": customer.channel,
        "beside": "yes" if customer.efaktura_beside else "",
        "details": "yes" if customer.details_in_copy else "no",
        "version": str(customer.version),
        "anyway": "",
    }


FIELDS: Sequence[str] = ("channel", "beside", "details", "version", "anyway")


def chosen(customer: Customer, values: Mapping[str, str]) -> Done:
    """Choose what a form says. Raises what `billing.delivery.choosing.choose_now` raises."""
    version = int(values["version"]) if values["version"].isdecimal() and len(values["version"]) < 9 else 0
    mandate = bool(mandates_of(http.current_session(), customer.id))
    beside = values["beside"] == "yes" if mandate and customer.kind in choosable.kinds("efaktura") else None
    return choose_now(
        customer,
        customer.channel if mandate and not values["channel"] else values["channel"],
        version=version,
        efaktura_beside=beside,
        details_in_copy={"yes": True, "no": False}.get(values["details"]),
        anyway=values["anyway"] == "yes",
    )


def refusal(problem: Problem) -> str:
    """Say why a choice was refused."""
    slug = problem.type.removeprefix("/problems/")
    if slug == "not-reached":
        return t(
            "{name} når ikke fram nå: {why}. Velg en annen måte, eller velg den likevel: da prøver vi hver gang, og "
            "bruker neste måte når den ikke når fram.",
            "{name} does not get there now: {why}. Choose another way, or choose it anyway: then we try each time, and "
            "use the next way when it does not get there.",
            name=name(problem.extra.get("channel")),
            why=why(str(problem.extra.get("why", ""))),
        )
    if slug in _REFUSED:
        return pick(_REFUSED[slug])
    if isinstance(problem, PreconditionFailed):
        return t(
            "Dette ble endret et annet sted i mellomtiden. Se over og prøv igjen.",
            "This was changed elsewhere in the meantime. Look it over and try again.",
        )
    return t("Velg en av måtene.", "Choose one of the ways.")


REFUSALS = (Conflict, Invalid, PreconditionFailed)


def done(of: Done) -> str:
    """Say what came of a choice."""
    if isinstance(of.verdict, Unsure):
        return t(
            "Lagret. {name} svarte ikke akkurat nå; vi undersøker om den når fram før hver sending.",
            "Saved. {name} did not answer just now; we look up whether it gets there before each sending.",
            name=name(of.customer.channel),
        )
    return t("Lagret.", "Saved.")
