"""Digipost's side of its signatures: checks requests, signs answers. Written from its documentation, apart from the
product's own."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from email.utils import format_datetime, parsedate_to_datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from simulator import clock
from simulator.partner import Asked, Told

WINDOW = 300


def new_key() -> rsa.RSAPrivateKey:
    """Return a fresh key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> bytes:
    """Return a key as a file for whoever signs with it, without a password."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def certificate(key: rsa.RSAPrivateKey) -> str:
    """Return a certificate of a key, by itself, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Digipost stand-in")])
    now = clock.wall()
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def refuse(asked: Asked, senders: dict[str, rsa.RSAPublicKey], now: dt.datetime) -> tuple[int, str] | None:
    """Return the status and code that a request is refused with, None where its signature is right."""
    sender = asked.headers.get("x-digipost-userid", "")
    if not sender.isdecimal():
        return 400, "INVALID_USER_ID_HEADER"
    if sender not in senders:
        return 403, "UNKNOWN_USER_ID"
    date = asked.headers.get("date")
    if date is None:
        return 400, "MISSING_DATE_HEADER"
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return 400, "INVALID_DATE_HEADER"
    if not date.endswith(" GMT") or at.tzinfo is None:
        return 400, "INVALID_DATE_HEADER"
    if abs((now - at).total_seconds()) > WINDOW:
        return 400, "DATE_HEADER_OUTSIDE_ACCEPTED_INTERVAL"
    hashed = asked.headers.get("x-content-sha256")
    if asked.body and hashed is None:
        return 400, "MISSING_SHA256"
    if hashed is not None and hashed != base64.b64encode(hashlib.sha256(asked.body).digest()).decode():
        return 400, "INVALID_SHA256"
    signature = asked.headers.get("x-digipost-signature")
    if not signature:
        return 403, "MISSING_SIGNATURE"
    text = f"{asked.method}\n{asked.path.lower()}\ndate: {date}\n"
    if hashed is not None:
        text += f"x-content-sha256: {hashed}\n"
    text += f"x-digipost-userid: {sender}\n{asked.query.lower()}\n"
    try:
        senders[sender].verify(base64.b64decode(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return 403, "INVALID_SIGNATURE"
    return None


def signed(key: rsa.RSAPrivateKey, asked: Asked, told: Told, now: dt.datetime) -> Told:
    """Return an answer with its date, hash and signature."""
    date = format_datetime(now, usegmt=True)
    lines = f"{told.status}\n{asked.path.lower()}\ndate: {date}\n"
    headers = {**told.headers, "Date": date}
    if told.body:
        headers["X-Content-SHA256"] = base64.b64encode(hashlib.sha256(told.body).digest()).decode()
        lines += f"x-content-sha256: {headers['X-Content-SHA256']}\n"
    signature = key.sign(lines.encode(), padding.PKCS1v15(), hashes.SHA256())
    return Told(told.status, told.body, headers | {"X-Digipost-Signature": base64.b64encode(signature).decode()})
