"""What was typed, and what was wrong with it, said beside the field in the page's language."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from flask import request

from config.problems import Problem
from web.words import pick, t

GENERAL = ""
"""The field of a mistake that is no single field's."""

LONGEST = 1_000
"""Characters of a field that are looked at; the rooms' own limits are far below."""

_SENTENCES: Mapping[str, tuple[str, str]] = {
    "empty": ("Dette må fylles ut.", "This must be filled in."),
    "missing": ("Dette må fylles ut.", "This must be filled in."),
    "too_long": ("Teksten er for lang.", "The text is too long."),
    "control_characters": ("Her er det tegn som ikke kan brukes.", "Some characters here cannot be used."),
    "email": (
        "Skriv en e-postadresse, for eksempel kari@eksempel.no.",
        "Write an e-mail address, for example kari@example.com.",
    ),
    "phone": (
        "Skriv et telefonnummer, for eksempel 912 34 567 eller +46 70 123 45 67.",
        "Write a phone number, for example 912 34 567 or +44 20 7946 0000.",
    ),
    "organisation_number": (
        "Dette er ikke et organisasjonsnummer. Det har ni sifre, og det siste er et kontrollsiffer.",
        "This is not an organisation number. It has nine digits, the last being a check digit.",
    ),
    "postal_code": ("Et norsk postnummer har fire sifre.", "A Norwegian postal code has four digits."),
    "country": ("Velg et land fra listen.", "Choose a country from the list."),
    "kind": ("Velg privat eller bedrift.", "Choose private or business."),
    "language": ("Velg bokmål eller engelsk.", "Choose Bokmål or English."),
    "not_wanted": ("Dette gjelder bare bedrifter.", "This is for businesses only."),
    "plate": (
        "Skriv kjennemerket med bokstaver og tall, høyst 15 tegn.",
        "Write the plate with letters and digits, at most 15 characters.",
    ),
    "date": ("Velg en dato.", "Choose a date."),
    "past": ("Velg i dag eller en senere dag.", "Choose today or a later day."),
    "far": ("Datoen ligger for langt fram.", "That date is too far ahead."),
}

_PROBLEMS: Mapping[str, tuple[str, str]] = {
    "on-another-agreement": (
        "Kjøretøyet står på en annen avtale. Den som har avtalen, må fjerne det først. Nettopp kjøpt bilen? Be "
        "selgeren fjerne den, eller ta kontakt med oss.",
        "The vehicle is on another agreement. Whoever holds that must remove it first. Just bought the car? Ask the "
        "seller to remove it, or contact us.",
    ),
    "registered-meanwhile": (
        "Kjøretøyet står allerede på avtalen din i en del av denne tiden.",
        "The vehicle is on your agreement already for a part of that time.",
    ),
    "agreement-closing": (
        "Avtalen er avsluttet, eller skal avsluttes, så det kan ikke legges til kjøretøy.",
        "The agreement is closed, or about to be, so no vehicle can be added.",
    ),
    "not-a-tag-agreement": (
        "Kjøretøy legges til på brikkeavtalen, ikke på fergeavtalen.",
        "Vehicles are added to the tag agreement, not to the ferry agreement.",
    ),
    "changed-meanwhile": (
        "Dette ble endret et annet sted i mellomtiden. Se over og prøv igjen.",
        "This was changed elsewhere in the meantime. Look it over and try again.",
    ),
}


def given(*names: str) -> dict[str, str]:
    """Return what was typed in fields, without blanks around it; nothing where a field was not sent."""
    return {name: request.form.get(name, "")[:LONGEST].strip() for name in names}


def said(problem: Problem, values: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence per field that a problem is about; what is nobody's field stands under GENERAL."""
    found: dict[str, str] = {}
    for error in problem.errors:
        field = str(error.get("field", GENERAL))
        found.setdefault(field if field in values else GENERAL, sentence(error, values.get(field)))
    if not found:
        found[GENERAL] = problem_sentence(problem)
    return found


def sentence(error: Mapping[str, Any], value: str | None = None) -> str:
    """Return what is wrong with a field, in the page's language where we have words for it."""
    code = "empty" if value == "" else str(error.get("code", ""))
    pair = _SENTENCES.get(code)
    return pick(pair) if pair else str(error.get("message", t("Dette kan ikke brukes.", "This cannot be used.")))


def mistake(code: str) -> str:
    """Return the sentence of a mistake that a page finds by itself."""
    return pick(_SENTENCES[code])


def problem_sentence(problem: Problem) -> str:
    """Return what is in the way, in the page's language where we have words for it."""
    pair = _PROBLEMS.get(problem.type.removeprefix("/problems/"))
    return pick(pair) if pair else problem.detail


def date_of(value: str) -> dt.date | None:
    """Return the date of ``<input type=date>``; None for what is no date."""
    try:
        return dt.date.fromisoformat(value) if len(value) == 10 else None
    except ValueError:
        return None
