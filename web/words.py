"""What pages say: Bokmål and English side by side, and how money, days, plates and numbers are written.

A text stands where it is used, as a pair: ``{{ t('Fjern', 'Remove') }}``; so both can be read beside each other and
neither can be missing. The language is the one chosen on the page, else the customer's, else Bokmål.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from babel.dates import format_date, format_datetime
from flask import Blueprint, session

from config.clock import business_date, to_oslo

LANGUAGES = ("nb", "en")
_LOCALES = {"nb": "nb_NO", "en": "en_GB"}
_NARROW = "\u00a0"
_MINUS = "\u2212"
_NORWEGIAN_PLATE = re.compile(r"([A-ZÆØÅ]{2})([0-9]{4,5})")


def language() -> str:
    """Return the language of this page: nb or en."""
    chosen = session.get("language")
    return chosen if chosen in LANGUAGES else "nb"


def choose(chosen: str) -> None:
    """Let pages of this browser be in a language from now on; anything unknown is ignored."""
    if chosen in LANGUAGES:
        session["language"] = chosen


def t(nb: str, en: str, **values: Any) -> str:
    """Return the text of a pair in this page's language, its ``{names}`` filled in."""
    text = en if language() == "en" else nb
    return text.format(**values) if values else text


def pick(pair: tuple[str, str], **values: Any) -> str:
    """Return the text of a pair that is kept in a table."""
    return t(*pair, **values)


def amount(ore: int) -> str:
    """Write øre as a number of kroner: ``1 234,50``, in English ``1,234.50``."""
    kroner, rest = divmod(abs(ore), 100)
    sign = _MINUS if ore < 0 else ""
    if language() == "en":
        return f"{sign}{kroner:,}.{rest:02d}"
    return f"{sign}{kroner:,}".replace(",", _NARROW) + f",{rest:02d}"


def kroner(ore: int) -> str:
    """Write øre as a sum of money: ``1 234,50 kr``, in English ``NOK 1,234.50``; it never breaks over a line."""
    return t(f"{amount(ore)}{_NARROW}kr", f"NOK{_NARROW}{amount(ore)}")


def round_kroner(ore: int) -> str:
    """Write a figure of whole kroner without its zeros: ``8 000 kr``, in English ``NOK 8,000``."""
    if ore % 100:
        return kroner(ore)
    whole = amount(ore)[:-3]
    return t(f"{whole}{_NARROW}kr", f"NOK{_NARROW}{whole}")


def percent(basis_points: int) -> str:
    """Write basis points: 1200 is ``12 %``, 1250 is ``12,5 %``."""
    whole, rest = divmod(basis_points, 100)
    text = f"{whole}.{rest:02d}".rstrip("0").rstrip(".")
    return t(f"{text.replace('.', ',')}{_NARROW}%", f"{text}%")


def day(value: dt.date | dt.datetime) -> str:
    """Write a date in full: ``1. februar 2026``. An instant is taken as its Oslo date."""
    return format_date(_date(value), "long", locale=_locale())


def short_day(value: dt.date | dt.datetime) -> str:
    """Write a date for a table: ``1. feb. 2026``."""
    return format_date(_date(value), "medium", locale=_locale())


def month(value: dt.date) -> str:
    """Write a month: ``februar 2026``."""
    return format_date(value, "LLLL y", locale=_locale())


def clock(instant: dt.datetime) -> str:
    """Write an instant's Oslo time of day: ``07:42``; in the hour that an autumn night has twice, which of them."""
    local = to_oslo(instant)
    text = f"{local:%H:%M}"
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return text
    summer = local.dst() != dt.timedelta(0)
    return f"{text} {t('sommertid', 'summer time') if summer else t('vintertid', 'winter time')}"


def moment(instant: dt.datetime) -> str:
    """Write an instant as Oslo date and time: ``1. feb. 2026 kl. 07:42``."""
    return f"{short_day(instant)} {t('kl.', 'at')}{_NARROW}{clock(instant)}"


def weekday(instant: dt.datetime) -> str:
    """Write an instant's Oslo day as one says it: ``fredag 6. februar``."""
    return format_datetime(to_oslo(instant), t("EEEE d. MMMM", "EEEE d MMMM"), locale=_locale())


def plate(value: str | None, country: str | None = "NO") -> str:
    """Write a plate as it stands on the car: ``EL 12345``, another country's with its letters behind."""
    if not value:
        return t("ukjent", "unknown")
    found = _NORWEGIAN_PLATE.fullmatch(value) if country in (None, "NO") else None
    shown = f"{found[1]}{_NARROW}{found[2]}" if found else value
    return shown if country in (None, "NO") else f"{shown}{_NARROW}({country})"


def account(digits: str) -> str:
    """Write a bank account as ``1503.00.12345``."""
    return f"{digits[:4]}.{digits[4:6]}.{digits[6:]}" if len(digits) == 11 else digits


def phone(number: str) -> str:
    """Write a telephone number in groups: ``+47 21 00 00 00``."""
    bare = number.replace(" ", "")
    if re.fullmatch(r"\+47[0-9]{8}", bare):
        return _NARROW.join([bare[:3], bare[3:5], bare[5:7], bare[7:9], bare[9:]])
    return number


def org_no(digits: str) -> str:
    """Write an organisation number as ``999 999 980``."""
    return _NARROW.join([digits[:3], digits[3:6], digits[6:]]) if len(digits) == 9 else digits


def iso(instant: dt.datetime) -> str:
    """Return an instant for ``<time datetime>``: Oslo time with its offset."""
    return to_oslo(instant).isoformat(timespec="minutes")


def _date(value: dt.date | dt.datetime) -> dt.date:
    return business_date(value) if isinstance(value, dt.datetime) else value


def _locale() -> str:
    return _LOCALES[language()]


def teach(blueprint: Blueprint) -> None:
    """Let every template of the application write in this way."""
    for function in (
        t, pick, amount, kroner, round_kroner, percent, day, short_day, month, clock, moment, weekday, plate,
        account, phone, org_no, iso,
    ):  # fmt: skip
        blueprint.add_app_template_global(function)
    blueprint.app_context_processor(_context)


def _context() -> dict[str, Any]:
    return {"language": language()}
