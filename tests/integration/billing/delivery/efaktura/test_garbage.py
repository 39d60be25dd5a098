"""Answers that are none: not one of them is taken for an answer, whatever the call was."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from billing.delivery.efaktura import soap
from billing.delivery.efaktura.channel import Efaktura
from billing.delivery.efaktura.soap import Account
from billing.delivery.port import Asked, Delivered, NoAnswer, Refused, TakenBack, Unsure, Yes
from simulator.efaktura import HubServer
from tests.integration.billing.delivery.efaktura.conftest import channel_on
from tests.unit.billing.delivery.efaktura.made import parcel, reader

TODAY = dt.date(2026, 3, 1)
KARI = reader(1, national_id="13097248022")
ASKED = [Asked(1, parcel(1).key, None)]
BODIES = {
    "html": "not_soap",
    "text": "unreadable_TransportError",
    "empty": "unreadable_TransportError",
    "truncated": "unreadable_TransportError",
    "huge": "too_large",
    "dtd": "unreadable_DTDForbidden",
    "entities": "unreadable_",
    "schema": "wrong_schema",
    "slow": "too_slow",
}


@pytest.mark.parametrize(("body", "why"), BODIES.items())
def test_garbage_is_no_answer(hub: HubServer, account: Account, body: str, why: str) -> None:
    channel = channel_on(account, seconds=0.5)
    began = time.monotonic()
    hub.fault("garbage", body=body, times=4)
    verdict = channel.look_up([KARI], TODAY)[1]
    assert isinstance(verdict, Unsure)
    assert verdict.why.startswith(why)
    for outcome in (channel.hand_over([parcel(1)])[1], channel.ask(ASKED)[1], channel.take_back(ASKED)[1]):
        assert isinstance(outcome, NoAnswer)
        assert outcome.why.startswith(why)
    assert time.monotonic() - began < 6
    # All of them were heard, and the line is as good as new.
    assert isinstance(channel.look_up([KARI], TODAY)[1], Yes)
    assert channel.take_back(ASKED) == {1: TakenBack()}


ENVELOPE = (
    "<?xml version='1.0'?><s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns='{space}'>"
    "<s:Body>{body}</s:Body></s:Envelope>"
)
FAULT = "<s:Fault><faultcode>{code}</faultcode><faultstring>x</faultstring>{detail}</s:Fault>"
ANSWER = "<getTransactionStatusResponse><issuerId>I</issuerId>{result}</getTransactionStatusResponse>"
RESULT = "<result><transactionId>{id}</transactionId>{state}</result>"


@contextmanager
def answering(raw: Callable[[str], bytes]) -> Iterator[str]:
    """A server that says the same to everybody, bytes as they are; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(2)
                connection.recv(1 << 20)
                connection.sendall(raw(f"{server.getsockname()[1]}"))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join(timeout=5)


def http(body: str, *, status: int = 200, head: str = "", kind: str = "text/xml") -> bytes:
    text = body.encode()
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


def chunked(body: str, size: str = "") -> bytes:
    text = body.encode()
    head = b"HTTP/1.1 200 X\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + f"{size or f'{len(text):x}'}\r\n".encode() + text + b"\r\n0\r\n\r\n"


def told(body: str) -> str:
    return ENVELOPE.format(space=soap.SPACE, body=body)


def one(state: str, id_: str = parcel(1).key) -> str:
    return told(ANSWER.format(result=RESULT.format(id=id_, state=state)))


DONE = one("<state><status>ACCEPTED</status></state>")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (http(one("<state><status>PAID</status></state>")), "wrong_schema"),
        (http(one("<state><status>ACCEPTED</status></state><unknown>true</unknown>")), "wrong_schema"),
        (http(one("<unknown>false</unknown>")), "wrong_schema"),
        (http(one("<state><status>ACCEPTED</status></state>", "1")), "wrong_schema"),
        (http(one("<state><status>ACCEPTED</status></state>", "0" * 8 + parcel(1).key[8:])), "not_mentioned"),
        (http(told("<cancelTransactionResponse/>")), "wrong_schema"),
        (http(told("")), "not_soap"),
        (http(told("<a/><b/>")), "not_soap"),
        (http("<x/>"), "not_soap"),
        (http(told(FAULT.format(code="", detail=""))), "fault"),
        (http(told(FAULT.format(code="s:Server.Busy", detail="<detail>?</detail>")), status=500), "fault"),
        (http(told("<x/>"), status=500), "wrong_schema"),
        (http(told("<x/>"), status=400), "wrong_schema"),
        (http("<x/>", status=401), "http_401"),
        (http(DONE, kind="text/html"), "not_soap"),
        (http(DONE, kind="multipart/related; boundary=x"), "not_soap"),
        (http(DONE, head="Content-Encoding: gzip\r\n"), "compressed"),
        (http(DONE, status=202), "http_202"),
        (http(DONE, status=302, head="Location: http://127.0.0.1:1/\r\n"), "http_302"),
        (http(DONE, status=404), "http_404"),
        (http(DONE)[:-9], "cut_off"),
        (chunked(DONE)[:-5], "cut_off"),
        (chunked(DONE, size="zz"), "cut_off"),
        (b"SSH-2.0-x\r\n", "cut_off"),
        (b"", "cut_off"),
    ],
)
def test_what_is_nearly_an_answer(account: Account, raw: bytes, why: str) -> None:
    with answering(lambda _port: raw) as url:
        assert channel_on(account, url=url).ask(ASKED) == {1: NoAnswer(why)}


@pytest.mark.parametrize("raw", [http(DONE), http(DONE, kind="application/xml"), chunked(DONE)])
def test_what_is_one(account: Account, raw: bytes) -> None:
    """So that the table above fails for the reason it names."""
    with answering(lambda _port: raw) as url:
        assert isinstance(channel_on(account, url=url).ask(ASKED)[1], Delivered)


def test_another_shipments_answer_is_not_ours(account: Account) -> None:
    body = told(f"<addShipmentResponse><shipmentId>{parcel(9).key}</shipmentId></addShipmentResponse>")
    with answering(lambda _port: http(body)) as url:
        assert channel_on(account, url=url).hand_over([parcel(1)]) == {1: NoAnswer("another_shipment")}


def test_another_transactions_answer_is_not_ours(account: Account) -> None:
    body = told(
        f"<cancelTransactionResponse><transactionId>{parcel(9).key}</transactionId><result>CANCELLED</result>"
        "</cancelTransactionResponse>"
    )
    with answering(lambda _port: http(body)) as url:
        assert channel_on(account, url=url).take_back(ASKED) == {1: NoAnswer("another_transaction")}


def test_a_fault_that_comes_with_400(account: Account) -> None:
    detail = f"<detail><hubFault xmlns='{soap.SPACE}'><code>3100</code></hubFault></detail>"
    with answering(lambda _port: http(told(FAULT.format(code="s:Client", detail=detail)), status=400)) as url:
        outcome = channel_on(account, url=url).hand_over([parcel(1)])[1]
    assert isinstance(outcome, Refused)
    assert outcome.why == "type_not_implemented"


def test_plain_http_where_tls_is_asked_for(hub: HubServer, account: Account) -> None:
    secure = channel_on(account, url=hub.url.replace("http:", "https:"))
    assert secure.ask(ASKED) == {1: NoAnswer("cut_off")}
    assert hub.calls == []


def test_a_wsdl_loads_nothing_but_its_own_files(account: Account) -> None:
    wire = soap._Wire(1.0)
    for url in ("http://127.0.0.1:9/x.xsd", "/etc/hostname", str(soap.WSDL.parent / "../../../config/rates.toml")):
        with pytest.raises((PermissionError, OSError)):
            wire.load(url)
    assert b"efaktura-atg" in wire.load(str(soap.XSD))


def test_a_message_that_cannot_be_written_is_our_mistake(account: Account) -> None:
    with pytest.raises(Exception, match="transactionId"):
        soap.call(account, "cancelTransaction", transactionId=None)


def test_threads_have_a_line_each_and_keep_it(hub: HubServer, channel: Efaktura) -> None:
    lines = []

    def work() -> None:
        for _ in range(3):
            assert isinstance(channel.look_up([KARI], TODAY)[1], Yes)
            lines.append(id(soap._line(channel._hub.account)) if channel._hub else 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines) == 12
    assert hub.calls == ["getEfakturaIdentifiers"] * 12
