"""What a customer's name, numbers and addresses may look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from stdnum.exceptions import ValidationError
from stdnum.no import fodselsnummer

from config.checks import Checks, Wrong, email, one_line, organisation_number, phone

KINDS = ("private", "business")
LANGUAGES = ("nb", "en")
FIELDS = ("name", "org_no", "email", "phone", "street", "postal_code", "city", "country", "language")
"""What a customer can change. The kind stays: a business is another customer than the person who runs it."""

SYNTHETIC_MONTHS = (80, 65)
"""What is added to the month of birth in national ids that are nobody's."""

_NOT_COUNTRIES = frozenset({"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"})


@cache
def countries() -> frozenset[str]:
    """Return the ISO 3166 alpha-2 codes that post goes to (CLDR's territories)."""
    from babel import Locale

    codes = map(str, Locale("en").territories)
    return frozenset(code for code in codes if re.fullmatch("[A-Z]{2}", code)) - _NOT_COUNTRIES


def country(value: str) -> str:
    """Return a country code in capitals. Raises Wrong."""
    kept = value.strip().upper()
    if kept not in countries():
        raise Wrong("country", "is not a country code of two letters, such as NO")
    return kept


def postal_code(land: str, value: str) -> str:
    """Return a postal code: four digits in Norway (Posten), at most 12 characters elsewhere, where it may be
    empty because some countries have none. Raises Wrong."""
    if land == "NO":
        kept = value.strip()
        if not re.fullmatch(r"[0-9]{4}", kept):
            raise Wrong("postal_code", "must have four digits")
        return kept
    if not value.strip():
        return ""
    return one_line(12)(value)


def national_id(value: str, *, synthetic: bool) -> str:
    """Return a Norwegian national id: 11 digits (fødselsnummer or D-nummer), a space after the sixth allowed.

    ``synthetic``: made-up ones are taken too; they have 80 (Skatteetaten's) or 65 added to the month. Raises Wrong,
    which does not repeat what was given.
    """
    kept = value.strip()
    kept = kept[:6] + kept[7:] if re.fullmatch(r"[0-9]{6} [0-9]{5}", kept) else kept
    if not re.fullmatch(r"[0-9]{11}", kept):
        raise Wrong("national_id", "must be a national id of 11 digits")
    month = int(kept[2:4])
    added = next((more for more in SYNTHETIC_MONTHS if 1 <= month - more <= 12), 0)
    if added and not synthetic:
        raise Wrong("synthetic", "is a made-up national id, which is not taken here")
    if (kept[9], kept[10]) != (fodselsnummer.calc_check_digit1(kept), fodselsnummer.calc_check_digit2(kept)):
        raise Wrong("national_id", "is not a national id: the check digits are wrong")
    try:
        fodselsnummer.get_birth_date(f"{kept[:2]}{month - added:02}{kept[4:]}")
    except ValidationError:
        raise Wrong("national_id", "is not a national id: it holds no date") from None
    return kept


def checked(kind: str, given: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the values to keep of a whole customer (``FIELDS``), normalised.

    Raises Invalid with every field that is wrong: ``{"field", "code", "message"}``.
    """
    checks = Checks()
    if kind not in KINDS:
        checks.note("kind", "kind", "must be private or business")
    land = checks.take("country", country, given.get("country") or "NO", "")
    kept: dict[str, str | None] = {
        "name": checks.take("name", one_line(200), given.get("name") or "", ""),
        "org_no": _org_no(checks, kind, given.get("org_no") or ""),
        "email": checks.take("email", email, given.get("email") or "", ""),
        "phone": _phone(checks, given.get("phone") or ""),
        "street": checks.take("street", one_line(200), given.get("street") or "", ""),
        "postal_code": checks.take("postal_code", lambda v: postal_code(land, v), given.get("postal_code") or "", ""),
        "city": checks.take("city", one_line(100), given.get("city") or "", ""),
        "country": land,
        "language": given.get("language") or "nb",
    }
    if kept["language"] not in LANGUAGES:
        checks.note("language", "language", "must be nb or en")
    checks.done()
    return kept


def _org_no(checks: Checks, kind: str, value: str) -> str | None:
    if kind == "business":
        return checks.take("org_no", organisation_number, value, "")
    if value:
        checks.note("org_no", "not_wanted", "is only for a business")
    return None


def _phone(checks: Checks, value: str) -> str | None:
    return checks.take("phone", phone, value, "") if value.strip() else None
