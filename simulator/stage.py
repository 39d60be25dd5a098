"""What stories are played on: a running Brikke, its clock, and the people, chargers, bank and gateway around it.

`Ground` is what differs between a whole stack of processes (simulator.stack) and the inside of a test.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from simulator import mailbox, payers
from simulator.bank import BankPayment, Mistake
from simulator.cards import CardPage
from simulator.client import Client, Json, Refused
from simulator.people import Person, Population, Vehicle
from simulator.roadside import CHARGERS, Charger, Roadside, lines
from simulator.tale import Broken, Steps
from simulator.times import oslo_day, utc

PATIENCE_SECONDS = 15.0
SWEEP_SECONDS = 100.0
POLL_SECONDS = 0.02


class Ground(Protocol):
    """A running Brikke, from outside."""

    client: Client
    gateway_url: str
    inbox: Path
    mail: Path

    def settle(self) -> None:
        """Wait until everything that has come due is done. Raises RuntimeError when a job failed."""

    def command(self, *arguments: str, may_fail: bool = False) -> tuple[int, Json]:
        """Run `brikke … --json`; return exit code and JSON."""

    def sweep(self) -> bool:
        """Have the gateway asked about unknown outcomes at once, where that can be done; say whether it was."""


class Stage:
    """The verbs stories are told with. `now` is where the clock stands."""

    def __init__(self, ground: Ground, *, seed: int = 2026) -> None:
        self.ground = ground
        self.client = ground.client
        self.people = Population(seed)
        self.road = Roadside(seed)
        self.cards = CardPage(ground.gateway_url)
        self.bank = payers.House(ground.inbox)
        self.now = dt.datetime.fromisoformat(self.client.get("/v1/clock", role="operator")["now"])
        self.answers: Counter[str] = Counter()
        self._counting = threading.Lock()  # several chargers may send at once
        self.persons: dict[int, Person] = {}
        self.with_card: set[int] = set()
        self.on_road = False

    def close(self) -> None:
        """Let go of what the stage has opened."""
        self.cards.close()

    # the clock

    def move(self, to: dt.datetime) -> None:
        """Move the clock and wait until what came due by it is done. Nothing when it stands there already.

        The bank has worked meanwhile: what was paid on bank days before `to` is in a file in the watched folder.
        """
        if to == self.now:
            return
        if self.on_road:
            self.bank.send_until(oslo_day(to))
        self.client.call("PUT", "/v1/clock", {"to": utc(to), "running": False}, role="operator")
        self.now = to
        self.settle()

    def settle(self) -> None:
        """Wait until everything that has come due is done."""
        self.ground.settle()

    def eventually(self, holds: Callable[[], bool], expected: str) -> None:
        """Wait until something holds that a worker brings about by itself. Raises Broken after a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise Broken(f"expected within {PATIENCE_SECONDS:.0f} s: {expected}")
            self.settle()
            time.sleep(POLL_SECONDS)

    def swept(self, holds: Callable[[], bool], first: dt.datetime) -> Steps:
        """Go on day by day until the sweep, which asks a minute (of real time) later, has brought something about."""
        deadline = time.monotonic() + SWEEP_SECONDS
        instant = first
        while not holds():
            if time.monotonic() > deadline:
                raise Broken("expected the sweep to find out")
            if not self.ground.sweep():
                yield instant
                instant += dt.timedelta(days=1)

    # people and what they drive

    def open_road(self) -> None:
        """Enter the chargers and their stations; from this day on people drive and pay."""
        self.on_road = True
        self.bank.begin(oslo_day(self.now))
        for charger in CHARGERS:
            self.client.call("PUT", f"/v1/chargers/{charger.code}", charger.form(), role="operator")
            stations = [
                {"code": station.code, "name": station.name, "project": station.project} for station in charger.stations
            ]
            self.client.call("PUT", f"/v1/chargers/{charger.code}/stations", stations, role="operator")
        self.client.prepare([("charger", charger.code) for charger in CHARGERS])

    def sign_up(self, person: Person) -> int:
        """Make somebody a customer with an agreement; return its number."""
        done = self.client.post("/v1/customers", person.form())
        number = int(done["agreements"][0]["number"])
        self.persons[number] = person
        return number

    def household(self, *, business: bool = False, tag: bool = True) -> tuple[Person, int, Vehicle]:
        """Make somebody with one car, a tag in it, and an agreement paid by invoice."""
        person, car = self.people.person(business=business), self.people.vehicle(tag=tag)
        number = self.sign_up(person)
        self.add_vehicle(number, car)
        return person, number, car

    def add_vehicle(self, number: int, car: Vehicle, *, since: dt.datetime | None = None) -> Json:
        """Register a vehicle, from now with its tag in it, or (support) from an earlier instant without."""
        body: Json = {"country": car.country, "plate": car.plate}
        if since is not None:
            body |= {"at": utc(since), "reason": "Bought that day; contract of sale seen"}
        made = self.client.post(f"/v1/agreements/{number}/vehicles", body)
        if car.pan is not None and since is None:
            self.give_tag(number, car, int(made["id"]))
        return made

    def give_tag(self, number: int, car: Vehicle, vehicle_id: int) -> Json:
        """Issue a vehicle's tag to the agreement and put it in the vehicle."""
        tag = self.client.post(f"/v1/agreements/{number}/tags", {"printed_number": car.printed, "pan": car.pan})
        moved = self.client.call("PUT", f"/v1/agreements/{number}/tags/{tag['id']}/vehicle", {"vehicle": vehicle_id})
        found: Json = moved.json()
        return found

    def vehicle_id(self, number: int, car: Vehicle) -> int:
        """Return the registration of a vehicle on an agreement."""
        rows = self.client.pages(f"/v1/agreements/{number}/vehicles")
        return next(int(row["id"]) for row in rows if row["plate"] == car.plate.replace(" ", ""))

    def remove_vehicle(
        self,
        number: int,
        car: Vehicle,
        *,
        role: str = "agent",
        since: dt.datetime | None = None,
        reason: str | None = None,
    ) -> Json:
        """Take a vehicle off an agreement: from now, or by support from an earlier instant with a reason."""
        body: Json = {}
        if since is not None:
            body |= {"at": utc(since), "reason": reason}
        path = f"/v1/agreements/{number}/vehicles/{self.vehicle_id(number, car)}/remove"
        return self.client.post(path, body, role=role, whose=str(number) if role == "customer" else None)

    def add_ferry(
        self, number: int, operator: str, car: Vehicle, *, settlement: str, external_ref: str | None = None
    ) -> Json:
        """Add an additional ferry agreement for a vehicle."""
        body = {"operator": operator, "country": car.country, "plate": car.plate, "settlement": settlement}
        if external_ref is not None:
            body["external_ref"] = external_ref
        made = self.client.post(f"/v1/agreements/{number}/additional-agreements", body)
        self.persons.setdefault(int(made["agreement"]), self.persons[number])
        return made

    def register_card(self, number: int, card: str) -> str:
        """Register a card through the gateway's hosted page; return the page's address."""
        self.with_card.add(number)
        begun = self.client.post(f"/v1/agreements/{number}/card", {"return_url": f"/mypage/{number}/card"})
        setup = self.cards.give_card(begun["url"], card)
        if setup is not None:
            self.client.post(f"/v1/agreements/{number}/card/finish", {"setup": setup})
        return str(begun["url"])

    def payer(self, number: int, card: str) -> str:
        """Register a card and return the gateway's name of the customer."""
        return self.cards.customer_of(self.register_card(number, card))

    # what comes in from the road

    def send(self, charger: Charger, records: Sequence[Any]) -> list[Json]:
        """Send a batch over HTTP as NDJSON; return the answers in order."""
        answer = self.client.call(
            "POST",
            "/v1/passages",
            role="charger",
            whose=charger.code,
            content=lines(records),
            headers={"Content-Type": "application/x-ndjson"},
        )
        answers: list[Json] = [json.loads(line) for line in answer.text.splitlines()]
        for row in answers:
            row.setdefault("flags", [])
        with self._counting:
            self.answers.update(row["code"] for row in answers)
        return answers

    def accepted(self, charger: Charger, records: Sequence[Json]) -> list[Json]:
        """Send a batch of which every record must be accepted. Raises Broken."""
        answers = self.send(charger, records)
        wrong = [row for row in answers if row["code"] != "accepted"]
        if wrong:
            raise Broken(f"expected: every record accepted; found: {wrong[:3]}")
        return answers

    def ingest(self, charger: Charger, records: Sequence[Any]) -> Json:
        """Hand over a batch as a file, by the command line; return its summary."""
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            file.write(lines(records))
            file.flush()
            summary = self.command("ingest", file.name, "--charger", charger.code)[1]
        self.answers.update(summary["counts"])
        return summary

    # what is owed and paid

    def agreement(self, number: int) -> Json:
        """Read an agreement with its standing."""
        return self.client.get(f"/v1/agreements/{number}")

    def stands(self, number: int, standing: str) -> None:
        """Wait until an agreement stands so. Raises Broken after a while."""
        self.eventually(lambda: bool(self.agreement(number)["standing"] == standing), f"{number} is {standing}")

    def standings(self, number: int) -> list[Json]:
        """Read the history of an agreement's standing, oldest first."""
        found: list[Json] = self.client.get(f"/v1/agreements/{number}/standing")["history"]
        return found

    def passages(self, number: int) -> list[Json]:
        """Read the passages shown on an agreement."""
        return list(self.client.pages(f"/v1/agreements/{number}/passages"))

    def unbilled(self, number: int) -> int:
        """Read what is driven and not billed, in øre: counter-rows count as what they take back."""
        rows = self.passages(number)
        return sum(int(row["amount_ore"]) for row in rows if row["claim_id"] is None and not row["external"])

    def invoices(self, number: int) -> list[Json]:
        """Read an agreement's invoices and receipts."""
        return list(self.client.pages(f"/v1/agreements/{number}/invoices"))

    def only_invoice(self, number: int) -> Json:
        """Read an agreement's invoice, of which there must be one. Raises Broken."""
        found = self.invoices(number)
        if len(found) != 1:
            raise Broken(f"expected: one invoice on {number}; found: {found}")
        return found[0]

    def invoice(self, number: int) -> Json:
        """Read an invoice with its lines."""
        return self.client.get(f"/v1/invoices/{number}")

    def charges(self, number: int) -> list[Json]:
        """Read what an agreement's card was charged, newest first, with each try."""
        return list(self.client.pages(f"/v1/agreements/{number}/charges"))

    def payments(self, number: int) -> list[Json]:
        """Read an agreement's payments by bank."""
        return list(self.client.pages(f"/v1/agreements/{number}/payments"))

    def payment(self, bill: Json, amount_ore: int | None = None, *, on: dt.date, kid: str | None = None) -> BankPayment:
        """Make a payment of an invoice, of what is open unless another sum is given, on a bank day."""
        return BankPayment(kid or bill["kid"], bill["open_ore"] if amount_ore is None else amount_ore, on)

    def pay(
        self,
        bill: Json,
        amount_ore: int | None = None,
        *,
        on: dt.date,
        kid: str | None = None,
        in_file_of: dt.date | None = None,
    ) -> None:
        """Pay an invoice by bank on a bank day; the file comes the next one unless told to come later."""
        self.bank.pay(self.payment(bill, amount_ore, on=on, kid=kid), in_file_of=in_file_of)

    def bank_file(self, payments: Sequence[BankPayment], *, mistake: Mistake | None = None) -> Path:
        """Write a file of the bank's that is not put into the watched folder; return where it is."""
        folder = Path(tempfile.mkdtemp(prefix="brikke-bank-", dir=self.ground.inbox.parent))
        return self.bank.write(folder / "ocr.txt", payments, made_on=payments[0].date, mistake=mistake)

    def refused_bank_file(self, path: Path) -> Json:
        """Send a bank file over HTTP that must be refused; return the problem. Raises Broken when it is taken."""
        try:
            self.client.call(
                "POST",
                "/v1/bank-files",
                role="operator",
                content=path.read_bytes(),
                headers={"Content-Type": "application/octet-stream"},
            )
        except Refused as refused:
            if refused.status == 422:
                return refused.problem
            raise
        raise Broken(f"expected: {path.name} refused; it was booked")

    def suspense(self) -> list[Json]:
        """Read the payments that are nobody's yet."""
        return list(self.client.pages("/v1/payments", state="suspense"))

    def assign(self, payment_id: int, number: int, bill: Json, reason: str) -> Json:
        """Have support place a payment on an invoice of an agreement."""
        body = {"agreement": number, "invoice": bill["number"], "reason": reason}
        return self.client.post(f"/v1/payments/{payment_id}/assign", body)

    def credit(self, number: int, passage: int, reason: str) -> Json:
        """Have support credit a passage that is nobody's."""
        return self.client.post(f"/v1/agreements/{number}/passages/{passage}/credit", {"reason": reason})

    def reopen(self, number: int, channel: str, note: str) -> Json:
        """Have support reopen an agreement. Raises Refused while something is due."""
        return self.client.post(f"/v1/agreements/{number}/reopen", {"channel": channel, "note": note})

    # the rest

    def told(self, number: int) -> list[str]:
        """Return what an agreement's holder was told by e-mail, as template names."""
        return mailbox.templates(self.ground.mail, self.persons[number].email)

    def command(self, *arguments: str, may_fail: bool = False) -> tuple[int, Json]:
        """Run `brikke … --json`."""
        return self.ground.command(*arguments, may_fail=may_fail)

    def last_words(self) -> Json:
        """Let webhooks, e-mails and the last file of the bank come to their end, and have the card provider's account
        read; return the audit's answer, which is not ``ok`` either where that account differs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.cards.webhooks_waiting() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self.move(self.now + dt.timedelta(hours=1))
        differs, _ = self.command("cards", "reconcile", may_fail=True)
        proven = self.client.get("/v1/audit", role="operator")
        if differs and proven["ok"]:
            return proven | {"ok": False, "first_difference": "brikke cards reconcile finds differences"}
        return proven
