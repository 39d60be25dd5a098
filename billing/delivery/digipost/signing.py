"""Digipost's signatures: what is signed, by whom, and whether it is right.

Source: https://digipost.github.io/digipost-technical-docs/API/security.html, chapters 2 to 4. SHA256WithRSAEncryption
(RSASSA PKCS#1 v1.5) over a few lines, each ended by one newline, the last too.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
from collections.abc import Mapping
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

LEAST_BITS = 2048
CLOCKS_APART = dt.timedelta(minutes=5)
"""How far two clocks may differ; Digipost refuses what is further off, and so do we."""

HASH = "X-Content-SHA256"
SENDER = "X-Digipost-UserId"
SIGNATURE = "X-Digipost-Signature"
_SIGNED_OF_ANSWERS = ("content-md5", "date", "x-content-sha256", "x-digipost-userid")  # in the order they are signed in


class KeyFileError(ValueError):
    """The file of our key cannot be used; the text says why, without anything of what is in it."""


def content_hash(body: bytes) -> str:
    """Return base64 of the SHA-256 of a body."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def date_header(now: dt.datetime) -> str:
    """Return an instant as HTTP has it: ``Wed, 29 Jun 2011 14:58:11 GMT``."""
    return format_datetime(now.astimezone(dt.UTC), usegmt=True)


def request_string(method: str, path: str, query: str, *, date: str, sender: str, hashed: str | None) -> str:
    """Return what is signed of a request. ``query`` is as the address has it, encoded, without ``?``; ``hashed`` is
    the content's hash, None for a request without content."""
    lines = [method.upper(), path.lower(), f"date: {date}"]
    if hashed is not None:
        lines.append(f"x-content-sha256: {hashed}")
    lines += [f"x-digipost-userid: {sender}", query.lower()]
    return "".join(f"{line}\n" for line in lines)


def answer_string(status: int, path: str, headers: Mapping[str, str]) -> str:
    """Return what is signed of an answer: ``headers`` in any case, of the request's ``path``."""
    told = {name.lower(): value for name, value in headers.items()}
    lines = [str(status), path.lower(), *(f"{name}: {told[name]}" for name in _SIGNED_OF_ANSWERS if name in told)]
    return "".join(f"{line}\n" for line in lines)


def load_key(path: Path, password: str) -> RSAPrivateKey:
    """Return the private key of a PEM or PKCS#12 file; an empty password is none. Raises KeyFileError."""
    secret = password.encode() or None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read ({error.strerror})") from None
    key: object
    try:
        if b"-----BEGIN" in content:
            key = load_pem_private_key(content, secret)
        else:
            key = pkcs12.load_key_and_certificates(content, secret)[0]
    except (ValueError, TypeError):
        raise KeyFileError(f"the key file {path} holds no key that its password opens") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST_BITS:
        raise KeyFileError(f"the key file {path} must hold an RSA key of {LEAST_BITS} bits or more")
    return key


def sign(key: RSAPrivateKey, text: str) -> str:
    """Return the signature of a text, in base64."""
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def public_key(certificate: str) -> RSAPublicKey:
    """Return the key of a certificate (PEM, blanks around it allowed). Raises ValueError."""
    lines = "\n".join(line.strip() for line in certificate.strip().splitlines())
    key = x509.load_pem_x509_certificate(lines.encode()).public_key()
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the certificate holds no RSA key")
    return key


def verify(key: RSAPublicKey, text: str, signature: str) -> bool:
    """Say whether a signature (base64) of a text is the key's."""
    try:
        key.verify(base64.b64decode(signature, validate=True), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def wrong_with(
    key: RSAPublicKey, status: int, path: str, headers: Mapping[str, str], body: bytes, now: dt.datetime
) -> str | None:
    """Say what is wrong with a signed answer, None when nothing is: its date, its hash, its signature."""
    told = {name.lower(): value for name, value in headers.items()}
    try:
        dated = parsedate_to_datetime(told.get("date", ""))
        if dated.tzinfo is None or abs(now - dated) > CLOCKS_APART:
            return "clock"
    except (ValueError, IndexError, TypeError):
        return "date"
    if (body or HASH.lower() in told) and told.get(HASH.lower()) != content_hash(body):
        return "hash"
    if not verify(key, answer_string(status, path, headers), told.get(SIGNATURE.lower(), "")):
        return "signature"
    return None
