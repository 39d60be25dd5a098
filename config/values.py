"""Readers of setting values: text in, a typed value out; ValueError says what is wrong, without the value's
name (config/settings.py adds it) and without repeating a secret."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stdnum.exceptions import ValidationError
from stdnum.no import kontonr, orgnr


@dataclass(frozen=True)
class MailTarget:
    """Where e-mail goes: ``folder`` when set, else an SMTP server.

    ``security`` is "none", "tls" (from the first byte) or "starttls" (demanded, not merely tried).
    """

    folder: Path | None = None
    host: str = ""
    port: int = 0
    security: str = "none"
    username: str = ""
    password: str = ""


@dataclass(frozen=True)
class Issuer:
    """Somebody whose tokens are taken: the ``iss`` claim and where the public keys are (JWKS; https or file:)."""

    name: str
    jwks_url: str


def text(value: str) -> str:
    """Return the value as it is."""
    return value


def filled(value: str) -> str:
    """Return the value; it must not be empty."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def provider(value: str) -> str:
    """Return who we are in messages: two letters of the country, a colon, our identifier there."""
    kept = value.strip()
    country, _, identifier = kept.partition(":")
    if not (re.fullmatch("[A-Z]{2}", country) and re.fullmatch(r"[^\s:<&]{1,40}", identifier)):
        raise ValueError(f"must be a country and an identifier, such as NO:BRIKKE, not {value!r}")
    return kept


def yes_or_no(value: str) -> bool:
    """Return a truth value."""
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return known[value.strip().lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def between(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``low`` to ``high``."""

    def read(value: str) -> int:
        try:
            number = int(value.strip().replace("_", ""))
        except ValueError:
            raise ValueError(f"must be a whole number, not {value!r}") from None
        if not low <= number <= high:
            raise ValueError(f"must be between {low} and {high}, not {number}")
        return number

    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader that takes these words, in either case."""

    def read(value: str) -> str:
        for choice in choices:
            if value.strip().lower() == choice.lower():
                return choice
        raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")

    return read


def comma_list(value: str) -> tuple[str, ...]:
    """Return what stands between commas, without empty parts."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


CHANNELS = ("ehf", "avtalegiro", "efaktura", "vipps", "digipost", "eboks", "email", "paper")
"""What documents can go by."""


def channels(value: str) -> tuple[str, ...]:
    """Channels with commas between, each once."""
    found = comma_list(value)
    if not found or len(set(found)) != len(found) or not set(found) <= set(CHANNELS):
        raise ValueError(f"must be some of {', '.join(CHANNELS)}, each once, with commas between")
    return found


def sealing_key(value: str) -> bytes:
    """Return the 32 bytes of a key that is written in base64, either alphabet."""
    try:
        key = base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("takes keys of 32 bytes in base64, such as `openssl rand -base64 32` gives")
    return key


def sealing_keys(value: str) -> tuple[str, ...]:
    """Return keys as they are written, several with commas between; each is looked at, none is repeated in an error."""
    keys = comma_list(value)
    for key in keys:
        sealing_key(key)
    return keys


def partner_address(value: str) -> str:
    """Return the base URL of somebody we call: https, except on this machine; empty stays empty."""
    if "@" in value or "?" in value or "#" in value:
        raise ValueError("must be an address without a query, a fragment or a password")
    address = web_address(value)
    if address.startswith("http:") and not is_loopback(urlsplit(address).hostname or ""):
        raise ValueError(f"must be called by https, not {value!r}")
    return address


def sender_id(value: str) -> str:
    """Return our number at a partner: digits; empty stays empty."""
    kept = value.strip()
    if kept and not re.fullmatch("[0-9]{1,18}", kept):
        raise ValueError(f"must be a number, not {value!r}")
    return kept


def database_url(value: str) -> str:
    """Return a ``postgresql://`` URL; empty means the embedded server."""
    if not value:
        return ""
    scheme, separator, rest = value.partition("://")
    if not separator or scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError("must begin with postgresql://")
    url = f"postgresql://{rest}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL ({error})") from None
    if not parts.path.strip("/") and "dbname=" not in parts.query:
        raise ValueError("must name a database: postgresql://user:password@host:5432/name")
    return url


def web_address(value: str) -> str:
    """Return an http(s) origin or base URL without a slash at its end; empty stays empty."""
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"must be a web address like https://example.no, not {value!r}")
    return value.rstrip("/")


def origins(value: str) -> tuple[str, ...]:
    """Return web origins: scheme, host and port, nothing after."""
    found = tuple(web_address(part) for part in comma_list(value))
    for origin in found:
        if urlsplit(origin).path:
            raise ValueError(f"takes origins like https://my.example.no without a path, not {origin!r}")
    return found


def issuers(value: str) -> tuple[Issuer, ...]:
    """Return issuers written as ``NAME JWKS_URL``, several with commas between."""
    found = []
    for part in comma_list(value):
        words = part.split()
        if len(words) != 2:
            raise ValueError("must be an issuer and the address of its keys with a space between, several with commas")
        found.append(Issuer(words[0], _key_address(words[1])))
    return tuple(found)


def _key_address(value: str) -> str:
    """Return where keys are read: a file, or https. Over plain http anybody between could put keys of their own."""
    if value.startswith("file:"):
        if not Path(value.removeprefix("file:")).is_absolute():
            raise ValueError(f"must name the file of keys with its whole path, not {value!r}")
        return value
    address = web_address(value)
    if address.startswith("http:") and not is_loopback(urlsplit(address).hostname or ""):
        raise ValueError(f"must fetch keys by https, not {value!r}")
    return address


def mail_target(value: str) -> MailTarget:
    """Return where mail goes: ``folder:PATH``, ``smtp://``, ``smtps://`` or ``smtp+starttls://``."""
    if value.startswith("folder:"):
        return MailTarget(folder=Path(filled(value.removeprefix("folder:"))))
    kinds = {"smtp": ("none", 25), "smtps": ("tls", 465), "smtp+starttls": ("starttls", 587)}
    scheme = value.partition("://")[0]
    if scheme not in kinds:
        raise ValueError("must begin with folder:, smtp://, smtps:// or smtp+starttls://")
    security, port = kinds[scheme]
    try:
        parts = urlsplit(value)
        port = parts.port or port
    except ValueError:
        raise ValueError("has a port that is not a number from 1 to 65535") from None
    if not parts.hostname:
        raise ValueError("names no host")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user and security == "none" and not is_loopback(parts.hostname):
        raise ValueError("would send the password unprotected; use smtps:// or smtp+starttls://")
    return MailTarget(None, parts.hostname, port, security, user, password)


def bank_account(value: str) -> str:
    """Return a Norwegian account number of 11 digits with a right check digit."""
    digits = value.replace(".", "").replace(" ", "")
    # stdnum also takes the old seven digits, which no payment file has room for.
    if len(digits) != 11 or not digits.isascii() or not digits.isdecimal():
        raise ValueError("must be an account number of 11 digits")
    if not kontonr.is_valid(digits):
        raise ValueError("is not an account number: the check digit is wrong")
    return digits


def bic(value: str) -> str:
    """Return a BIC (ISO 9362), 8 or 11 characters in capitals; empty stays empty."""
    kept = value.strip().upper()
    if kept and not re.fullmatch(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", kept):
        raise ValueError(f"must be a BIC of 8 or 11 characters, not {value!r}")
    return kept


def organisation(value: str) -> str:
    """Return a Norwegian organisation number of nine digits."""
    try:
        return orgnr.validate(value)
    except ValidationError:
        raise ValueError("is not an organisation number") from None


def email(value: str) -> str:
    """Return an e-mail address; only its shape is looked at."""
    name, at, domain = value.strip().rpartition("@")
    if not at or not name or "." not in domain or any(c.isspace() for c in value.strip()):
        raise ValueError(f"must be an e-mail address, not {value!r}")
    return value.strip()


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def avtalegiro_sender(text: str) -> str:
    """An id at the clearing house for files: eight digits. Empty is allowed."""
    if text and not re.fullmatch(r"[0-9]{8}", text):
        raise ValueError(f"must be 8 digits, not {text!r}")
    return text
