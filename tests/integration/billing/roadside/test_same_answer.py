"""The same record in another format has the same answer; answers in ISO 12855 to whoever sent in another."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from billing.passages.rules import Sent
from billing.roadside.formats import FORMATS
from billing.roadside.formats.iso12855 import read_header
from billing.roadside.formats.iso12855.names import Header, Provider
from billing.roadside.formats.iso12855.write import write_details
from tests.integration.billing.passages.conftest import NOW, Road, road
from tests.integration.billing.roadside.test_receive import agreement, record
from tests.integration.conftest import Bearer

__all__ = ["agreement", "road"]

PASSAGE = record("C", lane="2", flags=["hour_rule"])
CANCEL = {"id": "C", "action": "cancel", "original": "A", "version": 1}
MORE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "some of it": {"station": "S1", "plate": "EV10001"},
    "all of it": PASSAGE,
    "what no record may": PASSAGE | {"amount": -1, "station": "nowhere"},
}


def as_jsonl(one: dict[str, Any]) -> bytes:
    return json.dumps(one).encode()


def as_array(one: dict[str, Any]) -> bytes:
    return json.dumps([one]).encode()


def as_csv(one: dict[str, Any]) -> bytes:
    row = {name: " ".join(value) if isinstance(value, list) else value for name, value in one.items()}
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys([*PASSAGE, *CANCEL])))
    writer.writeheader()
    writer.writerow(row)
    return out.getvalue().encode()


def as_xml(one: dict[str, Any]) -> bytes:
    """A whole passage, without what ``one`` does not say, and with what it corrects."""
    fjell = Provider.read("FJELL")
    header = Header(fjell, fjell, Provider.read("BRIKKE"), 1, "BillingDetails", 1, NOW)
    whole = b"".join(write_details([msgspec.convert(PASSAGE | one, Sent)], header)).decode()
    gone = {"amount": "amount", "station": "usageDetail"}
    for field, element in gone.items():
        if field not in one:
            start, end = whole.index(f"<{element}>"), whole.index(f"</{element}>") + len(element) + 3
            whole = whole[:start] + whole[end:]
    return whole.encode()


WRITTEN = {
    "application/x-ndjson": as_jsonl, "application/json": as_array, "text/csv": as_csv, "application/xml": as_xml,
}  # fmt: skip


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("media", WRITTEN)
def test_what_a_cancellation_says_more_is_not_looked_at(
    road: Road, agreement: int, client: FlaskClient, bearer: Bearer, media: str, more: str
) -> None:
    head = bearer("charger", charger="FJELL")
    client.post("/v1/passages", json=[record("A")], headers=head)
    body = WRITTEN[media](MORE[more] | CANCEL)
    done = client.post("/v1/passages", data=body, headers=head | {"Content-Type": media})
    assert done.status_code == 200, done.text
    assert road.ask("SELECT counts FROM batches ORDER BY id DESC LIMIT 1") == [({"accepted": 1},)], done.text
    again = client.post("/v1/passages", json=[CANCEL], headers=head)
    assert again.json is not None
    assert again.json["answers"][0]["code"] == "duplicate"  # it says the same, however much it said
    assert road.ask("SELECT sum(amount_ore) FROM passages") == [(0,)]


@pytest.mark.parametrize("more", [{"reason": "x"}, {"amount": "24.80"}, {"passed_at": "yesterday", "flags": 3}])
def test_nor_what_no_record_could_say(
    road: Road, agreement: int, client: FlaskClient, bearer: Bearer, more: dict[str, Any]
) -> None:
    head = bearer("charger", charger="FJELL")
    client.post("/v1/passages", json=[record("A")], headers=head)
    said = client.post("/v1/passages", json=[CANCEL | more], headers=head)
    assert said.json is not None
    assert said.json["answers"][0]["code"] == "accepted"


@pytest.mark.parametrize(
    ("changed", "field"), [({"original": 3}, "original"), ({"version": "one"}, "version"), ({"version": 0}, "version")]
)
def test_what_it_must_say_is(changed: dict[str, Any], field: str) -> None:
    for name, written in (("jsonl", as_jsonl), ("json", as_array)):
        (item,) = FORMATS[name].parse(io.BytesIO(written(CANCEL | {"station": "S1"} | changed)))
        assert (item.name, getattr(item.sent, "field", None)) == ("C", field)
    (other,) = FORMATS["jsonl"].parse(
        io.BytesIO(as_jsonl(PASSAGE | {"action": "adjust", "lane": "cancel", "amount": ""}))
    )
    assert getattr(other.sent, "field", None) == "amount"  # it is no cancellation, and what is wrong is its amount


@pytest.mark.parametrize(("sender", "recipient"), [("HUB SOR", "FJELL"), ("a:b:c", "FJELL"), ("DK:HUB", "DK:HUB")])
def test_answers_in_xml_go_to_a_sender_that_can_be_named_there_else_to_the_charger(
    road: Road, agreement: int, client: FlaskClient, bearer: Bearer, sender: str, recipient: str
) -> None:
    head = bearer("charger", charger="FJELL")
    body = json.dumps({"file": {"number": 1, "sender": sender}}) + "\n" + json.dumps(record("A")) + "\n"
    done = client.post("/v1/passages", data=body, headers=head | {"Content-Type": "application/x-ndjson"})
    got = client.get(f"/v1/chargers/FJELL/files/{done.headers['X-Batch']}/answers?format=iso12855", headers=head)
    assert got.status_code == 200
    assert str(read_header(io.BytesIO(got.data)).recipient) == recipient
