"""The hub's SOAP: what is asked, read strictly; who asks; what is answered."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hmac
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from lxml import etree

from simulator.efaktura.hub import MAX, TEXTS, TOO_MANY, Consumer, Hub, Refused, Transaction

SPACE = "urn:brikke:efaktura-atg:1"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
TEXT = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"
SHAPE = 1000
"""The hub's number for a call that is not of its schema."""

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = ("keyId", "nationalId", "organisationNumber", "efakturaId", "email", "phone", "name", "street", "postalCode")
_TRANSACTION = (
    "transactionId", "efakturaIdentifier", "paymentType", "documentType", "invoiceNumber", "issueDate", "dueDate",
    "amount", "kid", "account", "presentationUrl", "pdf",
)  # fmt: skip
_OPTIONAL = {*_KEY[1:], "kid", "pdf"}


class SoapFault(Exception):
    """What is answered instead: ``code`` (Client, Server, or a qualified one of WS-Security), the hub's number."""

    def __init__(self, code: str, text: str, number: int | None = None) -> None:
        super().__init__(text)
        self.code, self.number = code, number


def read(body: bytes, user: str, password: str) -> etree._Element:
    """Return what is in an envelope's body. Raises SoapFault for what is no envelope, or not from whom we know."""
    try:
        envelope = etree.fromstring(
            body, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        )
    except etree.XMLSyntaxError:
        raise SoapFault("Client", "That is not XML", SHAPE) from None
    if b"<!DOCTYPE" in body or envelope.tag != f"{{{ENVELOPE}}}Envelope":
        raise SoapFault("Client", "That is not SOAP", SHAPE)
    _known(envelope, user, password)
    found = envelope.find(f"{{{ENVELOPE}}}Body")
    if found is None or len(found) != 1:
        raise SoapFault("Client", "There is not one thing in the body", SHAPE)
    return found[0]


def _known(envelope: etree._Element, user: str, password: str) -> None:
    token = envelope.find(f"{{{ENVELOPE}}}Header/{{{SECURITY}}}Security/{{{SECURITY}}}UsernameToken")
    if token is None:
        raise SoapFault("wsse:InvalidSecurity", "There is no UsernameToken")
    secret = token.find(f"{{{SECURITY}}}Password")
    given = token.findtext(f"{{{SECURITY}}}Username") or ""
    if secret is None or secret.get("Type") != TEXT:
        raise SoapFault("wsse:UnsupportedSecurityToken", "The password must be text")
    right = hmac.compare_digest(given.encode(), user.encode())
    if not (hmac.compare_digest((secret.text or "").encode(), password.encode()) and right):
        raise SoapFault("wsse:FailedAuthentication", "User name or password is wrong")


def operation_of(asked: etree._Element) -> str:
    """Return the name of a call. Raises SoapFault for none of the hub's."""
    name = etree.QName(asked)
    if name.namespace != SPACE or name.localname not in OPERATIONS:
        raise SoapFault("Client", "There is no such call", SHAPE)
    return name.localname


def answer(hub: Hub, asked: etree._Element) -> etree._Element:
    """Do what is asked; return what the answer's body holds. Raises SoapFault."""
    name = operation_of(asked)
    try:
        hub.check_issuer(_one(asked, "issuerId"))
        made: etree._Element = OPERATIONS[name](hub, asked)
        return made
    except Refused as refused:
        raise SoapFault("Client", str(refused), refused.code) from None


def fault(told: SoapFault) -> bytes:
    """Return an envelope with a fault."""
    node = etree.Element(f"{{{ENVELOPE}}}Fault", nsmap={"soap": ENVELOPE, "wsse": SECURITY})
    etree.SubElement(node, "faultcode").text = told.code if ":" in told.code else f"soap:{told.code}"
    etree.SubElement(node, "faultstring").text = str(told)
    if told.number is not None:
        detail = etree.SubElement(etree.SubElement(node, "detail"), f"{{{SPACE}}}hubFault")
        _add(detail, "code", str(told.number))
        _add(detail, "text", str(told))
    return envelope_of(node)


def envelope_of(node: etree._Element) -> bytes:
    """Return an envelope as bytes."""
    envelope = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap={"soap": ENVELOPE, "b": SPACE})
    etree.SubElement(envelope, f"{{{ENVELOPE}}}Body").append(node)
    return etree.tostring(envelope, xml_declaration=True, encoding="utf-8")


def _identifiers(hub: Hub, asked: etree._Element) -> etree._Element:
    keys = [_read(node, _KEY) for node in asked.findall(f"{{{SPACE}}}key")]
    if not keys:
        raise SoapFault("Client", "key is missing", SHAPE)
    if len(keys) > MAX:
        raise Refused(TOO_MANY)
    made = _element("getEfakturaIdentifiersResponse")
    _add(made, "issuerId", hub.issuer)
    for key in keys:
        line = _add(made, "answer")
        _add(line, "keyId", key["keyId"])
        found = hub.look_up(key)
        words = {0: "NOT_FOUND", 1: "UNIQUE_FOUND"}
        _add(line, "result", "KEY_LACKS_DATA" if found is None else words.get(len(found), "SEVERAL_FOUND"))
        if found is not None and len(found) == 1:
            _flags(line, found[0])
    return made


def _flags(line: etree._Element, consumer: Consumer) -> None:
    _add(line, "efakturaIdentifier", consumer.identifier)
    _add(line, "autoAccept", str(consumer.yes_to_all).lower())
    _add(line, "agreement", str(consumer.agreement).lower())
    _add(line, "issuerBlocked", str(consumer.blocked).lower())


def _shipment(hub: Hub, asked: etree._Element) -> etree._Element:
    shipment = _uuid(_one(asked, "shipmentId"))
    transactions = [_transaction(node, shipment) for node in asked.findall(f"{{{SPACE}}}transaction")]
    if not transactions:
        raise SoapFault("Client", "transaction is missing", SHAPE)
    made = _element("addShipmentResponse")
    _add(made, "shipmentId", shipment)
    for id_, taken in hub.add(shipment, transactions):
        line = _add(made, "result")
        _add(line, "transactionId", id_)
        if isinstance(taken, int):
            error = _add(line, "error")
            _add(error, "code", str(taken))
            _add(error, "text", TEXTS.get(taken, "Refused"))
        else:
            _state(line, taken)
    return made


def _shipment_status(hub: Hub, asked: etree._Element) -> etree._Element:
    shipment = _uuid(_one(asked, "shipmentId"))
    made = _element("getShipmentStatusResponse")
    _add(made, "shipmentId", shipment)
    _lines(made, hub, hub.shipments.get(shipment, []))
    return made


def _transaction_status(hub: Hub, asked: etree._Element) -> etree._Element:
    ids = [_uuid(node.text or "") for node in asked.findall(f"{{{SPACE}}}transactionId")]
    if not ids:
        raise SoapFault("Client", "transactionId is missing", SHAPE)
    if len(ids) > MAX:
        raise Refused(TOO_MANY)
    made = _element("getTransactionStatusResponse")
    _add(made, "issuerId", hub.issuer)
    _lines(made, hub, ids)
    return made


def _cancel(hub: Hub, asked: etree._Element) -> etree._Element:
    id_ = _uuid(_one(asked, "transactionId"))
    result, reason = hub.cancel(id_)
    made = _element("cancelTransactionResponse")
    _add(made, "transactionId", id_)
    _add(made, "result", result)
    if reason:
        _add(made, "reason", reason)
    return made


OPERATIONS = {
    "getEfakturaIdentifiers": _identifiers,
    "addShipment": _shipment,
    "getShipmentStatus": _shipment_status,
    "getTransactionStatus": _transaction_status,
    "cancelTransaction": _cancel,
}


def _lines(made: etree._Element, hub: Hub, ids: Sequence[str]) -> None:
    for id_ in ids:
        line = _add(made, "result")
        _add(line, "transactionId", id_)
        one = hub.transactions.get(id_)
        if one is None:
            _add(line, "unknown", "true")
        else:
            _state(line, one)


def _state(line: etree._Element, one: Transaction) -> None:
    state = _add(line, "state")
    _add(state, "status", "ACCEPTED" if one.status == "PAID" else one.status)
    if one.reason:
        _add(state, "reason", one.reason)


def _transaction(node: etree._Element, shipment: str) -> Transaction:
    told = _read(node, _TRANSACTION)
    try:
        amount = Decimal(told["amount"])
        if amount <= 0 or amount != round(amount, 2):
            raise ValueError("amount")
        return Transaction(
            id=_uuid(told["transactionId"]),
            shipment=shipment,
            identifier=told["efakturaIdentifier"],
            payment_type=told["paymentType"],
            document_type=told["documentType"],
            number=told["invoiceNumber"],
            issued_on=dt.date.fromisoformat(told["issueDate"]),
            due_on=dt.date.fromisoformat(told["dueDate"]),
            amount_ore=int(amount * 100),
            kid=told.get("kid", ""),
            account=told["account"],
            url=told["presentationUrl"],
            pdf=base64.b64decode(told.get("pdf", ""), validate=True),
        )
    except (ValueError, InvalidOperation, binascii.Error) as error:
        raise SoapFault("Client", f"A transaction cannot be read: {error}", SHAPE) from None


def _read(node: etree._Element, names: Sequence[str]) -> Mapping[str, str]:
    """Return a node's fields: those named, in that order, none twice."""
    told = {etree.QName(one).localname: one.text or "" for one in node}
    order = [names.index(name) for name in told if name in names]
    lacking = [name for name in names if name not in told and name not in _OPTIONAL]
    if len(told) != len(node) or len(order) != len(told) or order != sorted(order) or lacking:
        raise SoapFault("Client", f"A {etree.QName(node).localname} is not of the schema", SHAPE)
    return told


def _one(node: etree._Element, name: str) -> str:
    found = node.findtext(f"{{{SPACE}}}{name}")
    if not found:
        raise SoapFault("Client", f"{name} is missing", SHAPE)
    return found


def _uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise SoapFault("Client", "That is not a UUID", SHAPE)
    return text


def _element(name: str) -> etree._Element:
    return etree.Element(f"{{{SPACE}}}{name}", nsmap={"b": SPACE})


def _add(node: etree._Element, name: str, text: str | None = None) -> etree._Element:
    made = etree.SubElement(node, f"{{{SPACE}}}{name}")
    made.text = text
    return made
