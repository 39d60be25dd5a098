"""Over TLS the hub must be who it says; what is not sent for that reason was surely not taken."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from billing.delivery.efaktura.soap import Account
from billing.delivery.port import Asked, Delivered, Later, NoAnswer, Unsure
from simulator.efaktura import HubServer
from tests.integration.billing.delivery.efaktura.conftest import channel_on
from tests.unit.billing.delivery.efaktura.made import parcel, reader

TODAY = dt.date(2026, 3, 1)


def certificate(folder: Path, address: str) -> Path:
    """A certificate of an address, signed by itself, with its key; return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    begins = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{address}.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.fixture(params=["127.0.0.1"])
def secure(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HubServer, Path]]:
    """A hub over TLS and its certificate, of this address or another."""
    file = certificate(tmp_path, request.param)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with HubServer(tls=context) as hub:
        hub.consumer("100000001")
        yield hub, file


def test_a_hub_whose_certificate_is_known(
    secure: tuple[HubServer, Path], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, file = secure
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    assert isinstance(channel_on(replace(account, url=hub.url)).hand_over([parcel(1)])[1], Delivered)


@pytest.mark.parametrize("secure", ["127.0.0.1", "127.0.0.2"], indirect=True)
def test_a_hub_that_is_not_who_it_says(
    secure: tuple[HubServer, Path], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, file = secure
    if "127.0.0.2" in file.name:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    channel = channel_on(replace(account, url=hub.url))
    assert channel.look_up([reader(1)], TODAY) == {1: Unsure("certificate")}
    assert channel.hand_over([parcel(1)]) == {1: Later("certificate", unreachable=True)}
    assert channel.ask([Asked(1, parcel(1).key, None)]) == {1: NoAnswer("certificate")}
    assert hub.bodies == []
