"""A town of made-up people for the pages, made by the rooms' own verbs: what a browser sees here, customers can have.

It is 20 March 2026. January's passages were invoiced on 1 February (due on the 16th), February's on 1 March (due on
the 16th), March's are not billed.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from accounts.agreements.additional import add_additional
from accounts.agreements.models import Agreement
from accounts.chargers.keep import ChargerGiven, StationGiven, keep_charger, keep_stations
from accounts.customers.models import Customer
from accounts.customers.sign_up import sign_up
from accounts.vehicles.additional import On
from accounts.vehicles.models import Registration
from accounts.vehicles.register import register
from accounts.vehicles.tags import issue, mount
from billing.cards import charge
from billing.cards import register as cards
from billing.cards.due import decide
from billing.cards.provider import gateway_of
from billing.collection import overdue
from billing.collection.reopen import reopen
from billing.invoices import run
from billing.invoices.seller import seller_of
from billing.passages.batches import close_batch, open_batch
from billing.passages.incoming import Item, limits_at, prepare
from billing.passages.ingest import book_chunk
from billing.passages.rules import FlagName, Sent
from billing.payments.bank import receive
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from simulator.bank import Bank, BankPayment

OPENED = dt.datetime(2026, 1, 2, 9, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 3, 20, 10, tzinfo=dt.UTC)
STATIONS = {
    "FJELL": [("1", "Kjøkkelvik"), ("2", "Sandviken"), ("3", "Danmarksplass nord")],
    "FJORD": [("F1", "Halhjem–Sandvikvåg"), ("F2", "Hjelmeland–Nesvik")],
}


def at(month: int, day: int, hour: int = 7, minute: int = 42) -> dt.datetime:
    """Return an instant of 2026, UTC."""
    return dt.datetime(2026, month, day, hour, minute, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Person:
    """A customer with a tag agreement."""

    customer_id: int
    customer_number: int
    agreement_id: int
    number: int
    name: str


class Town:
    """The town. Every method commits."""

    def __init__(self, sessions: SessionFactory, settings: Settings, *, founded: bool = False) -> None:
        """``founded``: the database holds the town already."""
        self.sessions, self.settings = sessions, settings
        self.bank = Bank(next_transmission=100) if founded else Bank()
        self._ids = itertools.count(10_001 if founded else 1)
        self._phones = itertools.count(91_000_001)
        if founded:
            return
        self.clock(OPENED)
        with sessions.begin() as session:
            keep_charger(
                session,
                ChargerGiven("FJELL", "Fjellvegen AS", "toll", email="post@fjellvegen.example", phone="55112233"),
                OPENED,
            )
            keep_charger(session, ChargerGiven("FJORD", "Fjordferje AS", "ferry", phone="51998877"), OPENED)
            for code, stations in STATIONS.items():
                keep_stations(session, code, [StationGiven(key, name, f"{code}-1") for key, name in stations])

    def clock(self, to: dt.datetime) -> dt.datetime:
        """Let it be an instant, standing still."""
        with self.sessions.begin() as session:
            move_clock(session, to, running=False)
        return to

    def person(self, name: str, *, org_no: str | None = None, language: str = "nb") -> Person:
        """Somebody signs up."""
        given = {
            "name": name,
            "org_no": org_no,
            "email": f"{name.split(maxsplit=1)[0].lower().replace('å', 'a').replace('ø', 'o')}@kunde.example",
            "phone": str(next(self._phones)),
            "street": "Fjellveien 12",
            "postal_code": "5019",
            "city": "Bergen",
            "language": language,
        }
        with self.sessions.begin() as session:
            made = sign_up(session, "business" if org_no else "private", given, now=OPENED, actor="test")
            return Person(made.customer.id, made.customer.number, made.agreement.id, made.agreement.number, name)

    def vehicle(self, person: Person, plate: str, *, tag: str | None = None, since: dt.datetime = OPENED) -> int:
        """Put a vehicle on the agreement, with a tag of a printed number in it; returns the registration's id."""
        with self.sessions.begin() as session:
            done = register(
                session, person.agreement_id, "NO", plate, valid_from=since, now=since, actor="test"
            ).registration
            if tag is not None:
                pan = "9578" + tag.zfill(15)
                made = issue(session, person.agreement_id, tag, pan, None, now=since).tag
                mount(session, made.id, done.id, at=since, now=since)
            return done.id

    def ferry(self, person: Person, plate: str, *, external_ref: str | None = None) -> Registration:
        """Make an additional ferry agreement on a plate: ours, or another company's."""
        with self.sessions.begin() as session:
            return add_additional(
                session,
                person.agreement_id,
                "FJORD",
                On(country="NO", plate=plate),
                settlement="external" if external_ref else "own",
                external_ref=external_ref,
                valid_from=OPENED,
                now=OPENED,
                actor="test",
            ).registration

    def drive(
        self,
        plate: str,
        when: dt.datetime,
        ore: int = 3100,
        *,
        full: int | None = None,
        station: str = "1",
        flags: Sequence[FlagName] = ("tag_discount",),
        tag: str | None = None,
        arrives: dt.datetime | None = None,
    ) -> None:
        """Somebody passes; the charger's record arrives an hour later, or when told."""
        code = "FJORD" if station.startswith("F") else "FJELL"
        sent = Sent(
            id=f"r{next(self._ids)}",
            passed_at=when,
            station=station,
            service="ferry" if code == "FJORD" else "toll",
            list_price=full or ore,
            amount=ore,
            vat_rate=1200 if code == "FJORD" else 0,
            plate=plate,
            pan="9578" + tag.zfill(15) if tag else None,
            flags=list(flags),
        )
        now = arrives or when + dt.timedelta(hours=1)
        with self.sessions.begin() as session:
            from accounts.chargers.queries import charger

            batch = open_batch(session, charger(session, code), name="day", form="jsonl", sha256=b"0", now=now)
            booked = book_chunk(session, batch, prepare(1, [Item(1, b"{}", sent)], limits_at(now)), now=now)
            assert booked.answers[0].code in ("accepted", "other_agreement"), booked.answers
            decide(session, booked.touched, now=now)
            close_batch(session, booked.batch, now=now)

    def invoice(self, day: dt.date) -> None:
        """The monthly run of a date."""
        when = self.clock(dt.datetime.combine(day, dt.time(2, 5), dt.UTC))
        run.job(self._context(), when)

    def pay(self, kid: str, ore: int, on: dt.date) -> None:
        """A payment of a value date, read from the bank's file the day after."""
        content = self.bank.file(
            [BankPayment(kid, ore, on)],
            account=self.settings.bank_account,
            agreement_id="001008566",
            recipient="00010200",
            made_on=on + dt.timedelta(days=1),
        )
        now = self.clock(dt.datetime.combine(on + dt.timedelta(days=1), dt.time(6), dt.UTC))
        with self.sessions.begin() as session:
            done = receive(session, "ocr.txt", content, now, accounts=[self.settings.bank_account], max_bytes=1_000_000)
            assert done.state == "booked", done

    def chase(self, on: dt.date) -> None:
        """The overdue step of a morning."""
        when = self.clock(dt.datetime.combine(on, dt.time(7), dt.UTC))
        overdue.job(self._context(), when)

    def reopen(self, person: Person, when: dt.datetime) -> None:
        """Support reopens the agreement."""
        with self.sessions.begin() as session:
            reopen(session, person.number, {"channel": "phone", "note": ""}, self.clock(when), "agent:kari")

    def charge(self, when: dt.datetime) -> None:
        """Charge every card that is due."""
        self.clock(when)
        charge.job(self._context(), when)

    def card(self, person: Person, give: str, server: object) -> None:
        """Register a test card (a name of the stand-in's) through the stand-in gateway."""
        from simulator.gateway import GatewayServer

        assert isinstance(server, GatewayServer)
        gateway = gateway_of(self.settings)
        assert gateway is not None
        begun = cards.begin(
            self.sessions, gateway, person.agreement_id, return_url=f"{self.settings.url}/mypage/1/card",
            declared_commercial=False, now=OPENED,
        )  # fmt: skip
        setup = begun.url.rsplit("/", 1)[1]
        server.give_card(setup, give)
        assert cards.finish(self.sessions, gateway, setup, now=OPENED) is not None

    def kid(self, person: Person) -> tuple[str, int]:
        """Return KID and øre of the agreement's oldest open invoice."""
        from billing.claims.queries import open_claims

        with self.sessions() as session:
            claim = open_claims(session, [person.agreement_id])[0]
        assert claim.kid is not None
        return claim.kid, claim.open_ore

    def of(self, person: Person) -> tuple[Customer, Agreement]:
        """Return the rows as they are now."""
        with self.sessions() as session:
            return session.get_one(Customer, person.customer_id), session.get_one(Agreement, person.agreement_id)

    def _context(self) -> JobContext:
        assert seller_of(self.settings)
        return JobContext(self.sessions, self.settings)


@dataclass(frozen=True)
class People:
    """Who lives in the town, by what is special about them."""

    invoiced: Person
    blocked: Person
    paid: Person
    business: Person
    english: Person
    card: Person | None


def fill(town: Town, server: object = None) -> People:
    """Let the town live until 20 March. With the stand-in gateway somebody pays by card."""
    kari = town.person("Kari Nordmann")
    town.vehicle(kari, "EL12345", tag="20260001")
    town.vehicle(kari, "AB54321", tag="20260002")
    town.ferry(kari, "EL12345", external_ref="FF-20931")
    town.ferry(kari, "AB54321")
    per = town.person("Per Sørli")
    town.vehicle(per, "DP22222", tag="20260003")
    anne = town.person("Anne Ødegård")
    town.vehicle(anne, "KH33333", tag="20260004")
    plumber = town.person("Åsen Rør AS", org_no="999999980")
    for number in range(4):
        town.vehicle(plumber, f"RJ4000{number}", tag=f"2026010{number}")
    john = town.person("John Smith", language="en")
    town.vehicle(john, "EK77777")
    card = town.person("Ingrid Lie") if server else None
    if card:
        town.vehicle(card, "ZF88888", tag="20260009")
        town.card(card, "consumer", server)
    _january(town, card)
    town.invoice(dt.date(2026, 2, 1))
    _february(town)
    town.pay(*town.kid(kari), dt.date(2026, 2, 10))
    town.invoice(dt.date(2026, 3, 1))
    for person in (kari, plumber, john):
        town.pay(*town.kid(person), dt.date(2026, 3, 10))
    town.chase(dt.date(2026, 3, 19))
    town.pay(*town.kid(anne), dt.date(2026, 3, 19))
    _march(town)
    town.clock(NOW)
    return People(kari, per, anne, plumber, john, card)


def _january(town: Town, card: Person | None) -> None:
    for day in range(5, 25, 2):
        town.drive("EL12345", at(1, day), 1240, full=3100, flags=("tag_discount", "zero_emission"), tag="20260001")
    town.drive("EL12345", at(1, 6, 8, 10), 0, full=3100, station="2", flags=("hour_free",), tag="20260001")
    town.drive("AB54321", at(1, 8), 2480, full=3100, tag="20260002")
    if card:
        for day in range(5, 13):
            town.drive("ZF88888", at(1, day), 2480, full=3100, tag="20260009")
        town.charge(at(1, 12, 9))
        town.drive("ZF88888", at(1, 13), 2480, full=3100, tag="20260009")
        town.charge(at(1, 13, 12))


def _february(town: Town) -> None:
    for day in (2, 3, 4, 9):
        for plate, tag in (("DP22222", "20260003"), ("KH33333", "20260004"), ("RJ40000", "20260100")):
            town.drive(plate, at(2, day), 2480, full=3100, tag=tag)
    for number in range(1, 4):
        town.drive(f"RJ4000{number}", at(2, 12), 3100, station="3", flags=())
    town.drive("EK77777", at(2, 12), 6200, station="3", flags=("hour_rule",))
    town.drive("EL12345", at(2, 14), 1240, full=3100, flags=("tag_discount", "zero_emission"), tag="20260001")
    town.drive("AB54321", at(2, 15), 4960, full=6200, tag="20260002", flags=("tag_discount", "monthly_cap"))


def _march(town: Town) -> None:
    town.drive("EL12345", at(3, 2), 1240, full=3100, flags=("tag_discount", "zero_emission"), tag="20260001")
    town.drive("EL12345", at(3, 2, 8, 5), 0, full=3100, station="2", flags=("hour_free",), tag="20260001")
    town.drive("EL12345", at(3, 5, 11, 30), 16800, station="F1", flags=(), tag="20260001")
    town.drive("AB54321", at(3, 6, 14, 15), 22400, station="F2", flags=(), tag="20260002")
    town.drive("AB54321", at(3, 9), 2480, full=3100, flags=("tag_discount", "monthly_cap"))
    town.drive("AB54321", at(2, 18, 16, 2), 3100, station="3", flags=(), arrives=at(3, 12, 5, 0))
    town.drive("EL12345", at(3, 18, 6, 58), 3100, station="2", flags=("hour_rule",), tag="20260001")
