"""Words of the support desk: who did it, by which channel, what was told, why money has no owner."""

from __future__ import annotations

from collections.abc import Mapping

from billing.delivery.desk import Told
from web.words import pick, t

CONTACTS: tuple[tuple[str, tuple[str, str]], ...] = (
    ("phone", ("Telefon", "Telephone")),
    ("email", ("E-post", "E-mail")),
    ("chat", ("Chat", "Chat")),
    ("in_person", ("Besøk", "Visit")),
    ("letter", ("Brev", "Letter")),
)
"""How a customer makes contact, in the order it is offered."""

_TEMPLATES: Mapping[str, tuple[str, str]] = {
    "invoice": ("Faktura", "Invoice"),
    "receipt": ("Kvittering", "Receipt"),
    "card_failed": ("Kortet ble avvist", "The card was declined"),
    "card_confirm": ("Kortbetaling må bekreftes", "Card payment to be confirmed"),
    "card_next": ("Et annet kort betaler", "Another card pays"),
    "card_expiring": ("Kortet utløper snart", "The card expires soon"),
    "reminder": ("Påminnelse før forfall", "Reminder before the due date"),
    "blocked": ("Avtalen er sperret", "The agreement is blocked"),
    "paid_call_us": ("Betalt – ta kontakt", "Paid – contact us"),
    "reopened": ("Avtalen er åpnet igjen", "The agreement is open again"),
    "unblocked": ("Sperringen er opphevet", "The block is undone"),
    "welcome": ("Velkommen", "Welcome"),
    "closed": ("Avtalen er avsluttet", "The agreement is closed"),
    "credit_note": ("Kreditnota", "Credit note"),
    "reissued": ("Ny faktura", "New invoice"),
    "receipt_reissued": ("Ny kvittering", "New receipt"),
    "credit": ("Kreditnota, til gode", "Credit note, in credit"),
    "credit_closed": ("Kreditnota etter avslutning", "Credit note after the end"),
    "credit_even": ("Kreditnota, går opp", "Credit note, comes to nothing"),
    "nothing_due_call_us": ("Ikke lenger forfalt – ta kontakt", "Nothing due any more – contact us"),
    "mass_corrected": ("Passeringer rettet", "Passages corrected"),
    "mass_undone": ("En rettelse trukket tilbake", "A correction withdrawn"),
    "backlog": ("Eldre passeringer deles opp", "Older passages billed in parts"),
    "tag_mismatch": ("Brikke lest i et annet kjøretøy", "Tag read in another vehicle"),
    "tag_mismatch_refused": ("Brikke avvist i et annet kjøretøy", "Tag refused in another vehicle"),
    "dispute_upheld": ("Innsigelse: operatøren er enig", "Dispute: the operator agrees"),
    "dispute_rejected": ("Innsigelse: operatøren er ikke enig", "Dispute: the operator does not agree"),
    "dispute_let_go": ("Innsigelse: operatøren har ikke svart", "Dispute: the operator has not answered"),
    "payout_paid": ("Utbetalt", "Paid out"),
    "payout_rejected": ("Utbetalingen ble avvist", "The payout was rejected"),
    "card_refunded": ("Betalt tilbake til kortet", "Refunded to the card"),
    "card_refund_failed": ("Tilbakebetaling til kortet feilet", "A refund to the card failed"),
    "vipps_credit": ("Vipps-betaling satt til gode", "Vipps payment in credit"),
    "vipps_refunded": ("Betalt tilbake med Vipps", "Refunded by Vipps"),
    "vipps_refund_failed": ("Tilbakebetaling med Vipps feilet", "A refund by Vipps failed"),
    "card_dispute_lost": ("Banken tok kortbetalingen tilbake", "The bank took the card payment back"),
    "card_dispute_returned": ("Banken ga kortbetalingen tilbake igjen", "The bank gave the card payment back again"),
}

_ABOUT_ONE = (
    "invoice", "receipt", "card_failed", "reminder", "credit_note", "reissued", "receipt_reissued", "credit",
    "credit_closed", "credit_even",
)  # fmt: skip
"""Messages about one document; others may name a document, but are about the agreement."""

_WHYS: Mapping[str, tuple[str, str]] = {
    "no_kid": ("uten KID", "without KID"),
    "bad_kid": ("KID-en stemmer ikke, trolig skrevet feil", "the KID fails its check, most likely mistyped"),
    "unknown_kid": ("ingen faktura har denne KID-en", "no invoice has this KID"),
    "unreadable": ("et felt kunne ikke leses", "a field could not be read"),
    "foreign_account": ("betalt til en konto som ikke er vår", "paid to an account that is not ours"),
    "reversal_unmatched": (
        "banken tar penger tilbake, men vi finner ikke betalingen det gjelder",
        "the bank takes money back, and we know no payment it is about",
    ),
    "credit_spent": (
        "banken tok tilbake en betaling der det overskytende alt var brukt",
        "the bank took a payment back whose surplus had been used",
    ),
}

_ACTORS: Mapping[str, tuple[str, str]] = {
    "system": ("systemet", "the system"),
    "overdue": ("forfallskontrollen", "the overdue check"),
    "schedule": ("timeplanen", "the schedule"),
    "bank": ("bankens fil", "the bank's file"),
    "card gateway": ("kortløsningen", "the card provider"),
    "rulebook": ("mottakerens regler", "the receiver's rulebook"),
}

_ROLES: Mapping[str, tuple[str, str]] = {
    "customer": ("kunden", "the customer"),
    "agent": ("kundebehandler", "agent"),
    "lead": ("leder", "lead"),
    "accountant": ("regnskap", "accountant"),
    "operator": ("drift", "operator"),
    "charger": ("operatøren", "the charger"),
}


_ACTIONS: Mapping[str, tuple[str, str]] = {
    "look_up": ("så på", "looked"),
    "look_up_passages": ("så på passeringer", "looked at passages"),
    "look_up_validity": ("så på hva operatørene visste", "looked at what chargers knew"),
    "look_up_document": ("åpnet et dokument", "opened a document"),
    "look_up_mail": ("leste e-post", "read mail"),
    "look_up_trail": ("så på sporet", "looked at the trail"),
    "agreement.reopen": ("gjenåpnet", "reopened"),
    "agreement.close": ("avsluttet", "closed"),
    "payment.assign": ("plasserte en innbetaling", "placed a payment"),
    "delivery.again": ("sendte e-post på nytt", "sent mail again"),
    "passage.dispute": ("meldte en innsigelse", "disputed a passage"),
    "dispute.withdraw": ("trakk en innsigelse", "withdrew a dispute"),
    "record.decide_again": ("avgjorde en post på nytt", "decided a record anew"),
    "look_up_record": ("så på en post", "looked at a record"),
    "look_up_file": ("hentet en fil", "fetched a file"),
    "look_up_complaints": ("så på klager", "looked at complaints"),
    "complaint.answer": ("svarte på en klage", "answered a complaint"),
    "exchange.resend": ("sendte en fil til en operatør på nytt", "sent a file to an operator again"),
    "charger.projects": ("endret prosjekter", "changed projects"),
    "passage.credit": ("krediterte en passering", "credited a passage"),
    "invoice.reissue": ("krediterte en faktura og laget ny", "credited an invoice and made a new one"),
    "mass.preview": ("talte opp en masserettelse", "counted a mass correction"),
    "mass.confirm": ("bekreftet en masserettelse", "confirmed a mass correction"),
    "mass.undo": ("gjorde om en masserettelse", "undid a mass correction"),
    "agreement.credit_note": ("laget kreditnota", "made a credit note"),
    "card_refund.request": ("ba om tilbakebetaling til kort", "asked for a refund to a card"),
    "card_refund.approve": ("godkjente en tilbakebetaling til kort", "approved a refund to a card"),
    "card_refund.cancel": ("stanset en tilbakebetaling til kort", "stopped a refund to a card"),
    "payout.request": ("ba om utbetaling", "asked for a payout"),
    "payout.approve": ("godkjente en utbetaling", "approved a payout"),
    "payout.cancel": ("stanset en utbetaling", "stopped a payout"),
    "payout.paid": ("bekreftet en utbetaling", "confirmed a payout"),
    "payout.rejected": ("førte tilbake en avvist utbetaling", "took a rejected payout back"),
    "additional.add": ("la til tilleggsavtale", "added an additional agreement"),
    "vehicle.add": ("la til kjøretøy", "added a vehicle"),
    "vehicle.remove": ("fjernet kjøretøy", "removed a vehicle"),
    "register_card": ("registrerte kort", "registered a card"),
    "confirm_charge": ("gikk for å bekrefte et trekk", "went to confirm a charge"),
    "remove_card": ("fjernet kort", "removed the card"),
    "card.default": ("valgte et annet kort", "chose another card"),
    "card.segment": ("bestemte korttypen", "set the kind of card"),
    "charge.retry": ("prøvde et trekk på nytt", "tried a charge again"),
    "charge.cancel": ("stoppet et trekk", "called a charge off"),
    "charge.card": ("valgte et annet kort for et trekk", "took a charge by another card"),
    "charge.invoice": ("la et trekk på faktura", "put a charge on an invoice"),
    "charge.now": ("satte i gang et trekk", "had the card charged"),
    "payment_method": ("endret betalingsmåten", "changed how it is paid"),
    "receipts": ("endret kvitteringer på e-post", "changed receipts by e-mail"),
    "customer.change": ("endret opplysninger", "changed details"),
    "customer.channel": ("valgte måte å få fakturaer på", "chose how invoices come"),
    "customer.payment_term": ("endret betalingsfristen", "changed the time to pay"),
    "customer.national_id.keep": ("lagret fødselsnummer", "kept the national id"),
    "customer.national_id.forget": ("slettet fødselsnummer", "deleted the national id"),
}


def action_word(action: str) -> str:
    """Say what the trail says was done."""
    return pick(_ACTIONS[action]) if action in _ACTIONS else action.replace("_", " ").replace(".", " ")


def actor(key: str) -> str:
    """Say who did something: ``agent:kari`` is «kundebehandler kari»; a customer is the customer."""
    role, _, who = key.partition(":")
    if not who:
        return pick(_ACTORS[key]) if key in _ACTORS else key
    name = pick(_ROLES[role]) if role in _ROLES else role
    return name if role == "customer" else f"{name} {who}"


def role_word(role: str) -> str:
    """Say a role."""
    return pick(_ROLES[role]) if role in _ROLES else role


def contact_word(channel: str) -> str:
    """Say how a customer made contact."""
    pair = dict(CONTACTS).get(channel)
    return pick(pair) if pair else channel


def contacts() -> list[tuple[str, str]]:
    """Return how a customer can have made contact, for a choice."""
    return [(code, pick(pair)) for code, pair in CONTACTS]


def template_word(template: str) -> str:
    """Say what a message is about."""
    return pick(_TEMPLATES[template]) if template in _TEMPLATES else template.replace("_", " ")


def why_in_suspense(why: str) -> str:
    """Say why a payment has no owner."""
    return pick(_WHYS[why]) if why in _WHYS else why.replace("_", " ")


def delivery_word(state: str) -> tuple[str, str]:
    """Return how a delivery stands in a word, and its tone."""
    return {
        "queued": (t("Venter på å bli sendt", "Waits to be sent"), ""),
        "sending": (t("Sendes nå", "Being sent"), ""),
        "sent": (t("Sendt", "Sent"), ""),
        "unknown": (t("Uten svar, prøves igjen", "No answer, tried again"), "warn"),
        "delivered": (t("Levert", "Delivered"), ""),
        "ending": (t("Trekkes tilbake", "Being taken back"), ""),
        "ended": (t("Trukket tilbake", "Taken back"), ""),
        "failed": (t("Kom ikke fram", "Did not arrive"), "bad"),
        "dropped": (t("Ikke sendt: ikke lenger sant", "Not sent: no longer true"), ""),
    }.get(state, (state, ""))


def subject_word(one: Told) -> str:
    """Say what a message is about; of an invoice or receipt, or what is about one, with its number."""
    word = template_word(one.template)
    return f"{word} {one.invoice}" if one.invoice and one.template in _ABOUT_ONE else word


_BY = {
    "avtalegiro": ("AvtaleGiro", "AvtaleGiro"),
    "efaktura": ("eFaktura", "eFaktura"),
    "vipps": ("eFaktura i Vipps", "eFaktura in Vipps"),
    "digipost": ("Digipost", "Digipost"),
    "eboks": ("e-Boks", "e-Boks"),
    "paper": ("Brev", "Letter"),
    "ehf": ("EHF", "EHF"),
}


def cause_word(cause: str) -> str:
    """Say why a channel had to be chosen."""
    return {
        "first": t("Første sending", "First sending"),
        "fallback": t("Neste måte", "The next way"),
        "agent": t("Sendt på en annen måte av kundeservice", "Sent another way by support"),
    }.get(cause, cause)


def verdict_word(verdict: str) -> tuple[str, str]:
    """Say what was found of a channel, and its tone."""
    return {
        "yes": (t("når fram", "reaches"), "good"),
        "no": (t("når ikke fram", "does not reach"), ""),
        "unsure": (t("uten svar", "no answer"), "warn"),
        "passed": (t("forbigått", "passed over"), ""),
    }.get(verdict, (verdict, ""))


def step_word(step: str) -> str:
    """Say what happened to a delivery."""
    return {
        "queued": t("Satt i kø", "Queued"),
        "sent": t("Sendt", "Sent"),
        "delivered": t("Levert", "Delivered"),
        "opened": t("Åpnet", "Opened"),
        "ended": t("Trukket tilbake", "Taken back"),
    }.get(step, step)


def file_word(state: str) -> str:
    """Say how a file stands with the partner it is for."""
    return {
        "made": t("skrevet", "written"),
        "put": t("levert, venter på kvittering", "handed in, waits for its receipt"),
        "accepted": t("godtatt", "accepted"),
        "refused": t("avvist", "refused"),
    }.get(state, state)


def delivery_sentence(one: Told) -> tuple[str, str]:
    """Say what was told and how that went, and its tone."""
    what = subject_word(one)
    to = one.recipient or t("kunden", "the customer")
    by = pick(_BY.get(one.channel or "", ("E-post", "Mail")))
    if one.state == "sent":
        return t("{by} «{what}» sendt til {to}.", "{by} “{what}” sent to {to}.", by=by, what=what, to=to), ""
    if one.state is None:
        if one.planned:
            return t("«{what}» ble ikke sendt.", "“{what}” was not sent.", what=what), ""
        return t("«{what}» sendes snart.", "“{what}” will be sent soon.", what=what), ""
    word, tone = delivery_word(one.state)
    text = t("{by} «{what}» til {to}: {word}.", "{by} “{what}” to {to}: {word}.", by=by, what=what, to=to,
             word=word[:1].lower() + word[1:])  # fmt: skip
    return text, tone
