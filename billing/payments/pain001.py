"""Payment orders to the bank: ISO 20022 pain.001.001.03, as Norwegian banks take it for domestic transfers.

Accounts are BBAN of 11 digits, the service level is NURG (not urgent), the currency NOK; a KID goes as
a structured reference (SCOR), anything else as free text. The same values give the same bytes: what is stored with its
hash can be made again and compared.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from config.settings import Settings
from config.values import bank_account

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.03"
MOST = 100_000
"""Transfers a file; a larger one no bank takes."""

_ID = re.compile(r"[A-Za-z0-9/?:().,'+ -]{1,35}")
"""What a bank gives back unchanged: the Latin set of SWIFT."""
_KID = re.compile(r"[0-9]{1,24}[0-9-]")
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
_NAME, _TEXT = 70, 140


@dataclass(frozen=True)
class Transfer:
    """One transfer to be. ``end_to_end_id`` (≤ 35 characters) names it to us, the bank and the creditor; ``account``
    is 11 digits; ``text`` is shown to the creditor, unless there is a ``kid``."""

    end_to_end_id: str
    creditor_name: str
    account: str
    amount_ore: int
    text: str
    kid: str | None = None


@dataclass(frozen=True)
class Debtor:
    """Who pays: name, account of 11 digits, organisation number as agreed with the bank, and the bank's BIC."""

    name: str
    account: str
    org_no: str = ""
    bic: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Debtor:
        """Return us, as settings have it: SELLER_NAME, BANK_ACCOUNT, SELLER_ORG_NO and BANK_BIC."""
        return cls(settings.seller_name, settings.bank_account, settings.seller_org_no, settings.bank_bic)


def build(
    message_id: str, debtor: Debtor, transfers: Sequence[Transfer], *, made_at: dt.datetime, execute_on: dt.date
) -> bytes:
    """Return the file of one order: all transfers from one account, on bank day ``execute_on``.

    Raises ValueError for what no bank would take: no transfer, an amount that is not positive, an id twice or with
    other characters than the bank's, an account or KID that cannot be.
    """
    _check(message_id, debtor, transfers)
    if made_at.tzinfo is None:
        raise ValueError("made_at has no zone")
    number, total = str(len(transfers)), _kroner(sum(one.amount_ore for one in transfers))
    root = etree.Element(f"{{{NAMESPACE}}}Document", nsmap={None: NAMESPACE})  # type: ignore[dict-item]  # lxml takes None as the default prefix
    order = _add(root, "CstmrCdtTrfInitn")
    header = _add(order, "GrpHdr")
    _add(header, "MsgId", message_id)
    _add(header, "CreDtTm", f"{made_at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}Z")
    _add(header, "NbOfTxs", number)
    _add(header, "CtrlSum", total)
    _party(_add(header, "InitgPty"), debtor)
    payment = _add(order, "PmtInf")
    _add(payment, "PmtInfId", message_id)
    _add(payment, "PmtMtd", "TRF")
    _add(payment, "NbOfTxs", number)
    _add(payment, "CtrlSum", total)
    _add(_add(_add(payment, "PmtTpInf"), "SvcLvl"), "Cd", "NURG")
    _add(payment, "ReqdExctnDt", execute_on.isoformat())
    _party(_add(payment, "Dbtr"), debtor)
    _account(_add(payment, "DbtrAcct"), debtor.account)
    bank = _add(_add(payment, "DbtrAgt"), "FinInstnId")
    if debtor.bic:
        _add(bank, "BIC", debtor.bic)
    else:  # the element must be there; the bank knows itself
        _add(_add(bank, "Othr"), "Id", "NOTPROVIDED")
    _add(payment, "ChrgBr", "SLEV")
    for one in transfers:
        _transfer(_add(payment, "CdtTrfTxInf"), one)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _check(message_id: str, debtor: Debtor, transfers: Sequence[Transfer]) -> None:
    if not 0 < len(transfers) <= MOST:
        raise ValueError(f"an order has 1 to {MOST} transfers, not {len(transfers)}")
    if len({one.end_to_end_id for one in transfers}) != len(transfers):
        raise ValueError("two transfers have the same end-to-end id")
    for name in (message_id, *(one.end_to_end_id for one in transfers)):
        if not _ID.fullmatch(name) or name.strip() != name:
            raise ValueError(f"an id of 1 to 35 plain characters, not {name!r}")
    bank_account(debtor.account)
    for one in transfers:
        bank_account(one.account)
        if one.amount_ore <= 0:
            raise ValueError(f"{one.end_to_end_id}: an order moves more than 0 øre, not {one.amount_ore}")
        if one.kid is not None and not _KID.fullmatch(one.kid):
            raise ValueError(f"{one.end_to_end_id}: no KID: {one.kid!r}")


def _transfer(parent: etree._Element, one: Transfer) -> None:
    _add(_add(parent, "PmtId"), "EndToEndId", one.end_to_end_id)
    amount = _add(_add(parent, "Amt"), "InstdAmt", _kroner(one.amount_ore))
    amount.set("Ccy", "NOK")
    _add(_add(parent, "Cdtr"), "Nm", _shown(one.creditor_name, _NAME))
    _account(_add(parent, "CdtrAcct"), one.account)
    said = _add(parent, "RmtInf")
    if one.kid is None:
        _add(said, "Ustrd", _shown(one.text, _TEXT))
        return
    reference = _add(_add(said, "Strd"), "CdtrRefInf")
    _add(_add(_add(reference, "Tp"), "CdOrPrtry"), "Cd", "SCOR")
    _add(reference, "Ref", one.kid)


def _party(parent: etree._Element, debtor: Debtor) -> None:
    _add(parent, "Nm", _shown(debtor.name, _NAME))
    if debtor.org_no:
        number = _add(_add(_add(parent, "Id"), "OrgId"), "Othr")
        _add(number, "Id", debtor.org_no)
        _add(_add(number, "SchmeNm"), "Cd", "CUST")


def _account(parent: etree._Element, account: str) -> None:
    number = _add(_add(parent, "Id"), "Othr")
    _add(number, "Id", bank_account(account))
    _add(_add(number, "SchmeNm"), "Cd", "BBAN")


def _add(parent: etree._Element, name: str, value: str | None = None) -> etree._Element:
    element = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    element.text = value
    return element


def _shown(value: str, most: int) -> str:
    """Return text as the file can hold it: no control characters, never empty."""
    return " ".join(_NOT_TEXT.sub(" ", value).split())[:most].rstrip() or "-"


def _kroner(ore: int) -> str:
    """Return øre as kroner with two decimals: 123456 → 1234.56."""
    return f"{ore // 100}.{ore % 100:02d}"
