"""A charger's quarter: records and corrections in, claims checked, orders released by another, paid, the books proven.

What drivers pay has no part in it: nobody pays here, and the charger is owed all the same.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxml import etree

from simulator import report
from simulator.client import Json, Refused
from simulator.people import Vehicle
from simulator.roadside import FJELL
from simulator.stage import Stage
from simulator.stories.corrections import adjusted, cancelled
from simulator.times import at
from tests.scenarios.conftest import Inside

ACCOUNT = "15030054323"
CLAIMS = f"/v1/chargers/{FJELL.code}/claims"


@dataclass
class Quarter:
    """The charger, our accountant and our lead, each with their own token."""

    stage: Stage
    car: Vehicle
    outbox: Path

    def drive(self, day: dt.date, ore: int) -> Json:
        """A passage is driven, sent and accepted; return its record."""
        self.stage.move(at(day))
        sent = self.stage.road.passage(FJELL, self.car, at(day, 9), station=FJELL.stations[0], amount_ore=ore)
        self.stage.accepted(FJELL, [sent])
        return sent

    def correct(self, day: dt.date, record: Json) -> Json:
        """A correction is sent and accepted; return it."""
        self.stage.move(at(day))
        self.stage.accepted(FJELL, [record])
        return record

    def claim(self, number: str, first: dt.date, last: dt.date, lines: dict[str, int]) -> Json:
        """The charger claims by record; return what came of it."""
        said = {"number": number, "period_from": f"{first}", "period_to": f"{last}", "currency": "NOK",
                "lines": [{"record": name, "amount_ore": ore} for name, ore in lines.items()]}  # fmt: skip
        return self.stage.client.post(CLAIMS, said, role="charger", whose=FJELL.code)

    def settlement(self) -> Json:
        """The last settlement, which the morning's job has made."""
        rows = self.stage.client.get("/v1/settlements", role="charger", whose=FJELL.code)["items"]
        found: Json = rows[0]
        return found

    def agree(self, settlement: Json, note: str | None = None) -> Json:
        said = {} if note is None else {"note": note}
        return self.stage.client.post(f"/v1/settlements/{settlement['id']}/agree", said, role="accountant")

    def pay(self, settlement: Json, day: dt.date) -> None:
        """Order it, have somebody else release it, find its file, and note that the bank paid."""
        client = self.stage.client
        order = client.post(f"/v1/settlements/{settlement['id']}/order", {}, role="accountant")
        path, before = f"/v1/payment-orders/{order['id']}", set(self.outbox.glob("*"))
        with pytest.raises(Refused):
            client.post(f"{path}/release", None, role="accountant")
        assert client.post(f"{path}/release", None, role="lead")["state"] == "released"
        self.stage.move(at(day))
        (file,) = set(self.outbox.glob("*")) - before
        assert file.read_bytes() == client.call("GET", f"{path}/file", role="lead").content
        sum_ore = settlement["payout_ore"]
        assert etree.parse(file).findtext(".//{*}InstdAmt") == f"{sum_ore // 100}.{sum_ore % 100:02}"
        assert etree.parse(file).findtext(".//{*}CdtrAcct//{*}Id/{*}Othr/{*}Id") == ACCOUNT
        said = {"reference": f"B{order['id']}", "paid_on": f"{day}"}
        assert client.post(f"{path}/paid", said, role="accountant")["state"] == "paid"
        assert self.settlement()["state"] == "paid"


@pytest.fixture
def quarter(stage: Stage, ground: Inside) -> Quarter:
    path, given = f"/v1/chargers/{FJELL.code}", FJELL.form() | {"bank_account": ACCOUNT}
    read = stage.client.call("GET", path, role="operator").headers["ETag"]
    stage.client.call("PUT", path, given, role="operator", headers={"If-Match": read})
    _, _, car = stage.household()
    return Quarter(stage, car, ground.settings.bank_outbox)


@pytest.mark.slow
def test_a_chargers_quarter(quarter: Quarter) -> None:
    """January agrees; of February one line is wrong; in March more is taken back than came."""
    first, second, third = (dt.date(2026, month, 1) for month in (1, 2, 3))
    day, april = dt.timedelta(days=1), dt.date(2026, 4, 1)

    kept, dear = quarter.drive(first + 9 * day, 4_000), quarter.drive(first + 10 * day, 3_000)
    lowered = quarter.correct(first + 12 * day, adjusted("FJ-1", dear, 1, amount=2_000))
    quarter.stage.move(at(second + day))
    january = {kept["id"]: 4_000, lowered["id"]: 2_000}
    assert quarter.claim("2026-01", first, second - day, january)["kinds"] == {}
    made = quarter.settlement()
    assert (made["state"], made["claim_ore"], made["remuneration_ore"]) == ("draft", 6_000, 105)
    assert quarter.agree(made)["state"] == "agreed"
    quarter.pay(made, second + 2 * day)

    late = quarter.drive(second + 9 * day, 7_000)
    off = quarter.correct(second + 12 * day, cancelled("FJ-2", lowered, 2))
    quarter.stage.move(at(third + day))
    february = {late["id"]: 7_100, off["id"]: -2_000}
    assert quarter.claim("2026-02", second, third - day, february)["kinds"] == {"amount_differs": 1}
    made = quarter.settlement()
    assert (made["claim_ore"], made["remuneration_ore"], made["payout_ore"]) == (5_000, 88, 4_912)
    with pytest.raises(Refused, match="differs in 1 places"):
        quarter.agree(made)
    assert quarter.agree(made, "They wrote 71 kroner; their record says 70.")["note"] is not None
    quarter.pay(made, third + 2 * day)

    # January's invoice is overdue: that driver is blocked by now, and what was driven before was paid all the same.
    quarter.car = quarter.stage.household()[2]
    cheap = quarter.drive(third + 9 * day, 1_000)
    gone = quarter.correct(third + 12 * day, cancelled("FJ-3", late, 1))
    quarter.stage.move(at(april + day))
    mistaken = quarter.claim("2026-03", third, april - day, {cheap["id"]: 1_000})
    assert mistaken["kinds"] == {"reversed_here": 1}
    right = {cheap["id"]: 1_000, gone["id"]: -7_000}
    assert quarter.claim("2026-03b", third, april - day, right)["kinds"] == {}
    made = quarter.settlement()
    assert (made["claim_ore"], made["remuneration_ore"], made["payout_ore"]) == (-6_000, -105, -5_895)
    assert quarter.agree(made)["state"] == "carried"  # without a note: the mistaken claim was replaced
    with pytest.raises(Refused, match="nothing to pay out"):
        quarter.stage.client.post(f"/v1/settlements/{made['id']}/order", {}, role="accountant")
    assert len(list(quarter.outbox.glob("*"))) == 2

    the_books_agree(quarter)


def the_books_agree(quarter: Quarter) -> None:
    """Each day is reconciled, every rule of the audit holds, and the bank paid what was ordered."""
    for month, days_of in ((1, 31), (2, 28), (3, 31)):
        days = {"charger": FJELL.code, "from": f"2026-0{month}-01", "to": f"2026-0{month}-{days_of}"}
        found = quarter.stage.client.get("/v1/reconciliation", role="operator", **days)
        assert (found["ok"], found["first_difference"]) == (True, None)
    proven = quarter.stage.last_words()
    assert proven["ok"], proven["first_difference"]
    # The simulated bank has only what came in: what it lacks is what the two orders paid.
    left = report.gather(quarter.stage, proven, threads=1).differences()
    assert left == ["card_clearing + bank: the ledger has NOK -108.07, gateway and bank NOK 0.00"]
