"""What is signed, to the byte, and which answers are Digipost's own."""

from __future__ import annotations

import datetime as dt
import stat
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.delivery.digipost import signing
from simulator.digipost import signatures
from simulator.partner import Asked, Told

DATE = "Wed, 29 Jun 2011 14:58:11 GMT"
NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
HASH = "q1MKE+RZFJgrefm34/uplM/R8/si9xzqGvvwK0YMbR0="


@cache
def key() -> rsa.RSAPrivateKey:
    return signatures.new_key()


def test_a_request_with_content_is_signed_as_documented() -> None:
    text = signing.request_string("post", "/Messages", "", date=DATE, sender="9999", hashed=HASH)
    assert text == f"POST\n/messages\ndate: {DATE}\nx-content-sha256: {HASH}\nx-digipost-userid: 9999\n\n"


def test_a_request_without_content_has_no_line_for_it() -> None:
    text = signing.request_string("GET", "/", "Parameter1=58&parameter2=A%C3%86", date=DATE, sender="9999", hashed=None)
    assert text == f"GET\n/\ndate: {DATE}\nx-digipost-userid: 9999\nparameter1=58&parameter2=a%c3%86\n"


def test_an_answer_is_signed_as_documented() -> None:
    headers = {"X-Content-SHA256": HASH, "Content-Type": "text/xml", "Date": DATE, "X-Digipost-Signature": "x"}
    text = signing.answer_string(200, "/Messages", headers)
    assert text == f"200\n/messages\ndate: {DATE}\nx-content-sha256: {HASH}\n"


def test_a_date_is_of_http_whatever_the_zone() -> None:
    at = dt.datetime(2011, 6, 29, 16, 58, 11, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert signing.date_header(at) == DATE


def test_a_hash_is_of_the_bytes() -> None:
    assert signing.content_hash(b"") == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


names = st.text(alphabet="abcXYZ019-._~%&=", max_size=20)


@given(st.sampled_from(["GET", "POST"]), names, names, st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_other_side_finds_right_what_we_sign_and_nothing_else(
    method: str, path: str, query: str, body: bytes
) -> None:
    hashed = signing.content_hash(body) if body else None
    date = signing.date_header(NOW)
    text = signing.request_string(method, f"/{path}", query, date=date, sender="7", hashed=hashed)
    headers = {"date": date, "x-digipost-userid": "7", "x-digipost-signature": signing.sign(key(), text)}
    if hashed is not None:
        headers["x-content-sha256"] = hashed
    senders = {"7": key().public_key()}
    assert signatures.refuse(Asked(method, f"/{path}", query, headers, body), senders, NOW) is None
    for other in (
        Asked("PUT", f"/{path}", query, headers, body),
        Asked(method, f"/{path}x", query, headers, body),
        Asked(method, f"/{path}", f"{query}x", headers, body),
        Asked(method, f"/{path}", query, headers, body + b"x"),
    ):
        assert signatures.refuse(other, senders, NOW) is not None


@given(st.sampled_from([200, 201, 404]), names, st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_an_answer_of_theirs_is_right_until_it_is_changed(status: int, path: str, body: bytes) -> None:
    asked = Asked("GET", f"/{path}", "", {}, b"")
    told = signatures.signed(key(), asked, Told(status, body, {"Content-Type": "text/xml"}), NOW)
    public = key().public_key()
    assert signing.wrong_with(public, status, f"/{path}", told.headers, body, NOW) is None
    assert signing.wrong_with(public, status + 1, f"/{path}", told.headers, body, NOW) == "signature"
    assert signing.wrong_with(public, status, f"/{path}x", told.headers, body, NOW) == "signature"
    assert signing.wrong_with(public, status, f"/{path}", told.headers, body + b"x", NOW) == "hash"


@pytest.mark.parametrize(
    ("headers", "seconds", "wrong"),
    [
        ({}, 0, None),
        ({}, 300, None),
        ({}, -300, None),
        ({}, 301, "clock"),
        ({}, -301, "clock"),
        ({"Date": "yesterday"}, 0, "date"),
        ({"Date": ""}, 0, "date"),
        ({"Date": "Mon, 02 Mar 2026 09:00:00 -0000"}, 0, "clock"),
        ({"X-Content-SHA256": HASH}, 0, "hash"),
        ({"X-Digipost-Signature": "eA=="}, 0, "signature"),
        ({"X-Digipost-Signature": "not base64 æ"}, 0, "signature"),
        ({"X-Digipost-Signature": ""}, 0, "signature"),
    ],
)
def test_what_is_wrong_with_an_answer(headers: dict[str, str], seconds: int, wrong: str | None) -> None:
    told = signatures.signed(key(), Asked("GET", "/x", "", {}, b""), Told(200, b"<a/>"), NOW)
    now = NOW + dt.timedelta(seconds=seconds)
    assert signing.wrong_with(key().public_key(), 200, "/x", told.headers | headers, b"<a/>", now) == wrong


def test_an_answer_without_its_hash_is_not_taken() -> None:
    told = signatures.signed(key(), Asked("GET", "/x", "", {}, b""), Told(200, b""), NOW)
    assert signing.wrong_with(key().public_key(), 200, "/x", told.headers, b"", NOW) is None
    assert signing.wrong_with(key().public_key(), 200, "/x", told.headers, b"<a/>", NOW) == "hash"


def test_a_certificate_is_read_with_blanks_around_its_lines() -> None:
    lines = signatures.certificate(key()).splitlines()
    assert (
        signing.public_key("\n   " + "\n   ".join(lines) + "\n ").public_numbers()
        == key().public_key().public_numbers()
    )
    for garbage in ("", "x", "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----"):
        with pytest.raises(ValueError):
            signing.public_key(garbage)


# The file of our key


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return path


def test_a_key_is_read_from_pem_and_pkcs12_with_and_without_a_password(tmp_path: Path) -> None:
    secret = BestAvailableEncryption(b"hush")
    files = {
        "": (
            key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            pkcs12.serialize_key_and_certificates(b"x", key(), None, None, NoEncryption()),
        ),
        "hush": (
            key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret),
            pkcs12.serialize_key_and_certificates(b"x", key(), None, None, secret),
        ),
    }
    for password, contents in files.items():
        for number, content in enumerate(contents):
            file = written(tmp_path / f"{bool(password)}{number}", content)
            assert signing.load_key(file, password).private_numbers() == key().private_numbers()
            if password:
                for wrong in ("", "wrong"):
                    with pytest.raises(signing.KeyFileError) as caught:
                        signing.load_key(file, wrong)
                    assert "hush" not in str(caught.value)


def test_a_file_that_holds_no_such_key_is_refused(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    short = small.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"", b"garbage", curve, short, signatures.certificate(key()).encode()):
        with pytest.raises(signing.KeyFileError):
            signing.load_key(written(tmp_path / "key", content), "")
    with pytest.raises(signing.KeyFileError, match="cannot be read"):
        signing.load_key(tmp_path / "none", "")
