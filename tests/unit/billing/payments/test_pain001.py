"""Payment orders: what of the standard we write, to the øre, and what no bank would take."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from billing.payments.pain001 import NAMESPACE, Debtor, Transfer, build

SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).with_name("pain001.xsd"))))
US = Debtor("Brikke Eksempel AS", "15030012345", "999999980", "DNBANOKK")
THEM = "15030054323"
MADE = dt.datetime(2026, 4, 1, 7, 30, tzinfo=dt.UTC)
DAY = dt.date(2026, 4, 7)
NS = {"p": NAMESPACE}


def one(**changes: object) -> Transfer:
    said = {"end_to_end_id": "S1-1", "creditor_name": "Fjellvegen AS", "account": THEM, "amount_ore": 123456,
            "text": "Oppgjør mars"}  # fmt: skip
    return Transfer(**(said | changes))  # type: ignore[arg-type]  # of several types


def order(*transfers: Transfer, debtor: Debtor = US) -> etree._Element:
    root = etree.fromstring(build("BRIKKE-S1-1", debtor, transfers, made_at=MADE, execute_on=DAY))
    SCHEMA.assertValid(root)
    return root


def said(root: etree._Element, path: str) -> list[str]:
    found = root.xpath(path + "/text()", namespaces=NS)
    assert isinstance(found, list)
    return [str(text) for text in found]


def test_an_order_says_who_pays_whom_what_and_when() -> None:
    root = order(one(), one(end_to_end_id="S2-1", amount_ore=5, kid="100000011000000016"))
    assert said(root, "//p:InstdAmt") == ["1234.56", "0.05"]
    assert said(root, "//p:CtrlSum") == ["1234.61", "1234.61"]
    assert said(root, "//p:NbOfTxs") == ["2", "2"]
    assert said(root, "//p:ReqdExctnDt") == ["2026-04-07"]
    assert said(root, "//p:CreDtTm") == ["2026-04-01T07:30:00Z"]
    assert said(root, "//p:DbtrAcct//p:Othr/p:Id") == [US.account]
    assert said(root, "//p:DbtrAgt//p:BIC") == ["DNBANOKK"]
    assert said(root, "//p:CdtrAcct//p:Othr/p:Id") == [THEM, THEM]
    assert said(root, "//p:EndToEndId") == ["S1-1", "S2-1"]
    assert said(root, "//p:Ustrd") == ["Oppgjør mars"]
    assert said(root, "//p:Strd//p:Ref") == ["100000011000000016"]


def test_a_bank_without_bic_knows_itself() -> None:
    assert said(order(one(), debtor=Debtor("Vi", US.account)), "//p:DbtrAgt//p:Othr/p:Id") == ["NOTPROVIDED"]


def test_the_same_order_is_the_same_bytes() -> None:
    first, again = (build("B-1", US, [one()], made_at=MADE, execute_on=DAY) for _ in range(2))
    assert first == again


@settings(max_examples=60)
@given(st.text(max_size=200), st.text(max_size=200), st.lists(st.integers(1, 10**13), min_size=1, max_size=8))
def test_whatever_names_and_texts_hold_it_is_an_order(name: str, text: str, sums: list[int]) -> None:
    rows = [one(end_to_end_id=f"S{n}", creditor_name=name, text=text, amount_ore=ore) for n, ore in enumerate(sums)]
    root = order(*rows)
    assert said(root, "//p:GrpHdr/p:CtrlSum") == [f"{sum(sums) // 100}.{sum(sums) % 100:02d}"]
    assert [int(kroner.replace(".", "")) for kroner in said(root, "//p:InstdAmt")] == sums


@pytest.mark.parametrize(
    "change",
    [
        {"amount_ore": 0},
        {"amount_ore": -1},
        {"account": "15030054321"},  # its check digit
        {"account": "1503005"},
        {"account": "١٥٠٣٠٠٥٤٣٢٣"},
        {"end_to_end_id": ""},
        {"end_to_end_id": " S1"},
        {"end_to_end_id": "Å1"},
        {"end_to_end_id": "x" * 36},
        {"kid": "12a4"},
    ],
)
def test_what_no_bank_would_take(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        build("B-1", US, [one(**change)], made_at=MADE, execute_on=DAY)


def test_nothing_and_the_same_twice() -> None:
    with pytest.raises(ValueError, match="1 to"):
        build("B-1", US, [], made_at=MADE, execute_on=DAY)
    with pytest.raises(ValueError, match="same end-to-end"):
        build("B-1", US, [one(), one()], made_at=MADE, execute_on=DAY)
    with pytest.raises(ValueError, match="zone"):
        build("B-1", US, [one()], made_at=MADE.replace(tzinfo=None), execute_on=DAY)
