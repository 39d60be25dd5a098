"""Settlement through HTTP: a month from passages to paid, who may what, claims in each format."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from flask.testing import FlaskClient
from lxml import etree
from werkzeug.test import TestResponse

from billing.roadside.settlement import outbox
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.books import body
from tests.integration.billing.settlement.conftest import ACCOUNT, MARCH, OVER, World
from tests.integration.conftest import Bearer
from tests.unit.billing.roadside.iso12855.samples import message

CSV = f"/v1/chargers/FJELL/claims?number=2026-03&period_from={MARCH.first}&period_to={MARCH.last}"


class Desk:
    """Requests as somebody, each with a key of its own."""

    def __init__(self, client: FlaskClient, bearer: Bearer) -> None:
        self.client, self.bearer, self.keys = client, bearer, 0

    def post(self, role: str, path: str, said: dict[str, Any] | None = None, *, key: str = "") -> TestResponse:
        self.keys += 1
        headers = {**self._as(role), "Idempotency-Key": key or f"k{self.keys}"}
        return self.client.post(path, json=said, headers=headers)

    def get(self, role: str, path: str) -> TestResponse:
        return self.client.get(path, headers=self._as(role))

    def _as(self, role: str) -> dict[str, str]:
        role, _, who = role.partition(":")
        return self.bearer(role, charger=who) if role == "charger" else self.bearer(role, subject=who or role)


@pytest.fixture
def desk(world: World, client: FlaskClient, bearer: Bearer) -> Desk:
    """March is over; two passages of 10,000 and 5,000 øre."""
    world.drive("A", 10_000)
    world.drive("B", 5_000, station="S2")
    world.account()
    move_clock(world.session, OVER, running=False)
    world.session.commit()
    return Desk(client, bearer)


def test_a_month_from_passages_to_paid(desk: Desk, world: World, sessions: SessionFactory, settings: Settings) -> None:
    claim = {"number": "2026-03", "period_from": "2026-03-01", "period_to": "2026-03-31",
             "lines": [{"record": "A", "amount_ore": 10_000}, {"record": "X", "amount_ore": 70}]}  # fmt: skip
    checked = body(desk.post("charger:FJELL", "/v1/chargers/FJELL/claims", claim))
    assert checked["kinds"] == {"missing_here": 1, "missing_there": 1}
    listed = body(desk.get("charger:FJELL", "/v1/chargers/FJELL/claims/2026-03/differences"))
    assert [(one["kind"], one["source_id"], one["claimed_ore"], one["ours_ore"]) for one in listed["items"]] == [
        ("missing_here", "X", 70, 0),
        ("missing_there", "B", 0, 5_000),
    ]
    asked = {"charger": "FJELL", "period_from": "2026-03-01", "period_to": "2026-03-31"}
    made = body(desk.post("operator", "/v1/settlements", asked))
    assert (made["claim_ore"], made["remuneration_ore"], made["payout_ore"]) == (15_000, 263, 14_737)
    assert body(desk.post("accountant", "/v1/settlements", asked))["id"] == made["id"]
    at = f"/v1/settlements/{made['id']}"
    assert body(desk.post("accountant:kari", f"{at}/agree", {}))["type"] == "/problems/differences-unexplained"
    assert body(desk.post("accountant:kari", f"{at}/agree", {"note": "B is theirs."}))["state"] == "agreed"
    order = body(desk.post("accountant:kari", f"{at}/order", {}))
    assert (order["state"], order["amount_ore"], order["account"]) == ("waiting", 14_737, ACCOUNT)
    of = f"/v1/payment-orders/{order['id']}"
    assert desk.get("lead", f"{of}/file").status_code == 404
    assert desk.post("lead:kari", f"{of}/release").status_code == 403
    first = desk.post("lead:ola", f"{of}/release", key="once")
    again = desk.post("lead:ola", f"{of}/release", key="once")
    assert (body(first)["state"], body(again)) == ("released", body(first))
    assert outbox.job(JobContext(sessions, settings), OVER) == {"written": 1}
    file = desk.get("lead", f"{of}/file").data
    assert [path.read_bytes() for path in settings.bank_outbox.iterdir()] == [file]
    assert etree.fromstring(file).findtext(".//{*}InstdAmt") == "147.37"
    said = {"reference": "0415-778", "paid_on": "2026-04-01"}
    assert body(desk.post("accountant:kari", f"{of}/paid", said))["state"] == "paid"
    shown = body(desk.get("charger:FJELL", at))
    assert (shown["state"], shown["orders"][0]["reference"]) == ("paid", "0415-778")
    world.session.rollback()
    assert world.payable() == 0


def test_a_charger_sees_its_own_and_nobody_elses(desk: Desk) -> None:
    made = body(desk.post("operator", "/v1/settlements", {"charger": "FJELL", "period_to": "2026-03-31"}))
    at = f"/v1/settlements/{made['id']}"
    assert [one["id"] for one in body(desk.get("charger:FJELL", "/v1/settlements"))["items"]] == [made["id"]]
    assert body(desk.get("charger:FJORD", "/v1/settlements"))["items"] == []
    assert desk.get("charger:FJORD", "/v1/settlements?charger=FJELL").status_code == 403
    assert desk.get("charger:FJORD", at).status_code == 404
    claim = {"number": "1", "period_from": "2026-03-01", "period_to": "2026-03-31", "lines": []}
    assert desk.post("charger:FJORD", "/v1/chargers/FJELL/claims", claim).status_code == 404
    assert desk.post("charger:FJELL", "/v1/chargers/FJELL/claims", claim).status_code == 200
    assert desk.get("charger:FJORD", "/v1/chargers/FJELL/claims/1").status_code == 404
    assert desk.get("charger:FJORD", "/v1/chargers/FJELL/claims/1/differences").status_code == 404
    assert body(desk.get("operator", "/v1/chargers/FJELL/claims/1"))["kinds"] == {"missing_there": 2}
    for path in ("agree", "order"):
        assert desk.post("charger:FJELL", f"{at}/{path}", {}).status_code == 403


def test_a_charger_is_not_told_who_of_ours_did_what(desk: Desk) -> None:
    claim = {"number": "1", "period_from": "2026-03-01", "period_to": "2026-03-31", "lines": []}
    sent = body(desk.post("charger:FJELL", "/v1/chargers/FJELL/claims", claim))
    made = body(desk.post("operator", "/v1/settlements", {"charger": "FJELL", "period_to": "2026-03-31"}))
    at = f"/v1/settlements/{made['id']}"
    desk.post("accountant:kari", f"{at}/agree", {"note": "They always forget."})
    first = body(desk.post("accountant:kari", f"{at}/order", {}))
    desk.post("accountant:kari", f"/v1/payment-orders/{first['id']}/withdraw", {"why": "Kari mistyped."})
    second = body(desk.post("accountant:kari", f"{at}/order", {}))
    desk.post("lead:ola", f"/v1/payment-orders/{second['id']}/release")
    ours = body(desk.get("accountant", at))
    assert (ours["made_by"], ours["agreed_by"], ours["note"]) == (
        "operator:operator", "accountant:kari", "They always forget.",
    )  # fmt: skip
    assert [(one["made_by"], one["released_by"], one["why"]) for one in ours["orders"]] == [
        ("accountant:kari", "lead:ola", None),
        ("accountant:kari", None, "Kari mistyped."),
    ]
    theirs = body(desk.get("charger:FJELL", at))
    (listed,) = body(desk.get("charger:FJELL", "/v1/settlements"))["items"]
    hidden = ("made_by", "agreed_by", "note", "released_by", "why")
    assert (
        listed
        == theirs
        == {name: None if name in hidden else value for name, value in ours.items()}
        | {
            "orders": [
                {name: None if name in hidden else value for name, value in one.items()} for one in ours["orders"]
            ]
        }
    )
    everything = str([listed, theirs, sent, body(desk.get("charger:FJELL", "/v1/chargers/FJELL/claims/1"))])
    assert not any(word in everything for word in ("kari", "ola'", "Kari", "forget", "operator:"))


def test_a_claim_that_was_replaced_asks_for_no_note(desk: Desk) -> None:
    """The charger's last word on the days counts; what it says of other days stands beside it."""
    claim = {"number": "1", "period_from": "2026-03-01", "period_to": "2026-03-31", "lines": []}
    right = [{"record": "A", "amount_ore": 10_000}, {"record": "B", "amount_ore": 5_000}]
    at = "/v1/chargers/FJELL/claims"
    assert body(desk.post("charger:FJELL", at, claim))["difference_count"] == 2
    partly = {"number": "2", "period_from": "2026-03-01", "period_to": "2026-03-30", "lines": right}
    assert body(desk.post("charger:FJELL", at, partly))["difference_count"] == 0
    made = body(desk.post("operator", "/v1/settlements", {"charger": "FJELL", "period_to": "2026-03-31"}))
    agree = f"/v1/settlements/{made['id']}/agree"
    refused = body(desk.post("accountant", agree, {}))
    assert (refused["type"], "2 places" in refused["detail"]) == ("/problems/differences-unexplained", True)
    assert body(desk.post("charger:FJELL", at, {**claim, "number": "3", "lines": right}))["difference_count"] == 0
    assert body(desk.post("accountant", agree, {}))["state"] == "agreed"


def test_a_later_claim_that_differs_asks_for_one(desk: Desk) -> None:
    claim = {"number": "1", "period_from": "2026-03-01", "period_to": "2026-03-31", "lines": []}
    right = [{"record": "A", "amount_ore": 10_000}, {"record": "B", "amount_ore": 5_000}]
    for number, lines in (("1", right), ("2", right[:1])):
        desk.post("charger:FJELL", "/v1/chargers/FJELL/claims", {**claim, "number": number, "lines": lines})
    made = body(desk.post("operator", "/v1/settlements", {"charger": "FJELL", "period_to": "2026-03-31"}))
    refused = body(desk.post("accountant", f"/v1/settlements/{made['id']}/agree", {}))
    assert refused["type"] == "/problems/differences-unexplained"


def test_claims_in_csv_and_xml(desk: Desk, client: FlaskClient, bearer: Bearer) -> None:
    headers = bearer("charger", charger="FJELL")
    csv = "record,amount_ore\nA,10000\nB,5000\n"
    answer = client.post(CSV, data=csv, content_type="text/csv", headers=headers)
    assert (answer.status_code, body(answer)["kinds"], body(answer)["repeated"]) == (200, {}, False)
    claim = {"number": "2026-03", "period_from": "2026-03-01", "period_to": "2026-03-31",
             "lines": [{"record": "A", "amount_ore": 10_000}, {"record": "B", "amount_ore": 5_000}]}  # fmt: skip
    assert body(desk.post("charger:FJELL", "/v1/chargers/FJELL/claims", claim))["repeated"] is True
    other = client.post(CSV, data=csv + "C,1\n", content_type="text/csv", headers=headers)
    assert (other.status_code, body(other)["type"]) == (409, "/problems/claim-number-used")
    nameless = client.post("/v1/chargers/FJELL/claims", data=csv, content_type="text/csv", headers=headers)
    assert nameless.status_code == 422
    assert client.post(CSV, data=csv, content_type="text/plain", headers=headers).status_code == 415
    assert client.post(CSV, data="<x", content_type="application/xml", headers=headers).status_code == 422
    total = client.post(CSV + "&total_ore=1", data=csv, content_type="text/csv", headers=headers)
    assert body(total)["type"] == "/problems/claim-total"


def test_a_payment_claim_of_iso_12855(desk: Desk, client: FlaskClient, bearer: Bearer) -> None:
    claim = (
        "<paymentClaim><claimId>2026-03</claimId><period><from>2026-03-01</from><to>2026-03-31</to></period>"
        "<currency>NOK</currency></paymentClaim>"
    )
    lines = [f"<claimLine><claimId>{name}</claimId><amount>{kroner}</amount></claimLine>"
             for name, kroner in (("A", "100.00"), ("B", "50.01"))]  # fmt: skip
    sent = message(claim, *lines, kind="PaymentClaim")
    headers = bearer("charger", charger="FJELL")
    answer = client.post("/v1/chargers/FJELL/claims", data=sent, content_type="application/xml", headers=headers)
    assert (answer.status_code, body(answer)["kinds"]) == (200, {"amount_differs": 1})
    assert (body(answer)["number"], body(answer)["claimed_ore"]) == ("2026-03", 15_001)
    other = client.post(
        "/v1/chargers/FJORD/claims",
        data=sent,
        content_type="application/xml",
        headers=bearer("charger", charger="FJORD"),
    )
    assert (other.status_code, body(other)["type"]) == (422, "/problems/other-charger")
    cut = client.post("/v1/chargers/FJELL/claims", data=sent[:-40], content_type="application/xml", headers=headers)
    assert (cut.status_code, body(cut)["type"]) == (422, "/problems/broken-claim")


def test_days_are_reconciled(desk: Desk) -> None:
    found = body(desk.get("accountant", "/v1/reconciliation?charger=FJELL&from=2026-03-01&to=2026-03-31"))
    assert (found["ok"], found["first_difference"], len(found["days"])) == (True, None, 1)
    assert found["days"][0]["sorts"]["accepted"] == {"count": 2, "ore": 15_000}
    assert found["days"][0]["owed_ore"] == 15_000
    assert body(desk.get("operator", "/v1/reconciliation"))["days"] == []
    assert desk.get("operator", "/v1/reconciliation?charger=NONE").status_code == 404
    assert desk.get("operator", "/v1/reconciliation?from=2026-03-02&to=2026-03-01").status_code == 422
    assert desk.get("operator", "/v1/reconciliation?from=2026-01-01&to=2026-03-31").status_code == 422
    assert desk.get("charger:FJELL", "/v1/reconciliation").status_code == 403


def test_an_account_is_kept_with_its_charger(desk: Desk, client: FlaskClient, bearer: Bearer) -> None:
    headers = bearer("operator")
    known = client.get("/v1/chargers/FJELL", headers=headers)
    said = {"name": "Fjellbompenger", "kind": "toll", "bank_account": "1503 00 54331"}
    with_tag = {**headers, "If-Match": known.headers["ETag"]}
    changed = client.put("/v1/chargers/FJELL", json=said, headers=with_tag)
    assert (body(known)["bank_account"], body(changed)["bank_account"]) == (ACCOUNT, "15030054331")
    assert changed.headers["ETag"] != known.headers["ETag"]
    with_tag = {**headers, "If-Match": changed.headers["ETag"]}
    for wrong in ("15030054332", "1503005", "x"):
        refused = client.put("/v1/chargers/FJELL", json={**said, "bank_account": wrong}, headers=with_tag)
        assert (refused.status_code, body(refused)["errors"][0]["field"]) == (422, "bank_account")


def test_the_first_of_a_leap_year(desk: Desk) -> None:
    """A day that cannot be is refused as any wrong field."""
    asked = {"charger": "FJELL", "period_to": "2026-02-29"}
    assert desk.post("operator", "/v1/settlements", asked).status_code == 422
    later = {"charger": "FJELL", "period_to": str(OVER.date() + dt.timedelta(days=3))}
    assert body(desk.post("operator", "/v1/settlements", later))["type"] == "/problems/period-open"
