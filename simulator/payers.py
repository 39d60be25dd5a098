"""People and what they do with an invoice; and the bank that carries their payments into the watched folder."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator.bank import Bank, BankPayment, Mistake, with_wrong_check
from simulator.times import bank_day, bank_day_before, next_bank_day

HABITS = ("in_time", "early", "late", "half_first", "too_much", "never", "wrong_kid")
# How common each is, of a hundred people.
WEIGHTS = (70, 12, 7, 4, 3, 2, 2)
_serial = itertools.count(1)


def habit(chance: random.Random) -> str:
    """Draw what sort of payer somebody is."""
    return chance.choices(HABITS, WEIGHTS)[0]


def payments(
    habit: str, kid: str, amount_ore: int, issued_on: dt.date, due_on: dt.date, chance: random.Random
) -> list[BankPayment]:
    """Return what such a payer pays on an invoice, and when; bank days all of them. None on or before `issued_on`."""
    good = bank_day_before(due_on - dt.timedelta(days=chance.randint(0, 3)))

    def pay(day: dt.date, ore: int, reference: str = kid) -> BankPayment:
        return BankPayment(reference, ore, max(day, next_bank_day(issued_on)), payer_account=_account(chance))

    if habit == "never":
        return []
    if habit == "early":
        return [pay(next_bank_day(issued_on + dt.timedelta(days=chance.randint(0, 3))), amount_ore)]
    if habit == "late":
        return [pay(bank_day(due_on + dt.timedelta(days=chance.randint(5, 9))), amount_ore)]
    if habit == "half_first":
        half = amount_ore // 2
        return [pay(bank_day(issued_on + dt.timedelta(days=4)), half), pay(good, amount_ore - half)]
    if habit == "too_much":
        return [pay(good, amount_ore + 100 * chance.choice((50, 100, 200)))]
    if habit == "wrong_kid":
        return [pay(good, amount_ore, with_wrong_check(kid))]
    return [pay(good, amount_ore)]


def _account(chance: random.Random) -> str:
    return f"1202{chance.randint(0, 9_999_999):07}"


@dataclass
class House:
    """The bank's side of one account: payments wait for their day and go out as a file into the watched folder.

    `reads` bank days only, and sends a file each of them, also when nothing was paid: that is how the receiver
    knows that it has seen them all.
    """

    inbox: Path
    account: str = "15030012345"
    agreement_id: str = "001008588"
    recipient: str = "00987654"
    bank: Bank = field(default_factory=Bank)
    sent: Counter[str] = field(default_factory=Counter)
    files: list[Path] = field(default_factory=list)
    _waiting: list[tuple[dt.date, BankPayment]] = field(default_factory=list)
    _told: dt.date | None = None

    def begin(self, day: dt.date) -> None:
        """Begin with the files of a date on."""
        self._told = day - dt.timedelta(days=1)

    def pay(self, payment: BankPayment, *, in_file_of: dt.date | None = None) -> None:
        """Take a payment; it goes with the file of its day, or of a later day when the file was late.

        ValueError when that file has been sent already.
        """
        day = in_file_of or payment.date
        if self._told is not None and day <= self._told:
            raise ValueError(f"the file of {day} has been sent; the last was through {self._told}")
        self._waiting.append((day, payment))

    def next_file(self, day: dt.date) -> dt.date:
        """Return the bank day of the file that can still hold what is settled on a date."""
        return bank_day(day) if self._told is None or day > self._told else next_bank_day(self._told)

    def waits(self) -> bool:
        """Say whether there are payments that are not in a file yet."""
        return bool(self._waiting)

    def send_until(self, day: dt.date) -> Path | None:
        """Send a file through the last bank day before a date, if not told yet; also when nothing was paid."""
        through = bank_day_before(day - dt.timedelta(days=1))
        if self._told is None or through <= self._told:
            return None
        return self.send(through)

    def send(self, through: dt.date) -> Path:
        """Write the file with everything that was paid through a bank day, in one go, into the watched folder."""
        chosen = [payment for day, payment in self._waiting if day <= through]
        self._waiting = [(day, payment) for day, payment in self._waiting if day > through]
        self._told = through
        path = self.inbox / f"ocr-{through:%Y%m%d}-{next(_serial):04}.txt"
        self.files.append(path)
        return self.write(path, chosen, made_on=through)

    def write(
        self, path: Path, payments: Sequence[BankPayment], *, made_on: dt.date, mistake: Mistake | None = None
    ) -> Path:
        """Write one file to a path, right or with a mistake."""
        data = self.bank.file(
            payments,
            account=self.account,
            agreement_id=self.agreement_id,
            recipient=self.recipient,
            made_on=made_on,
            mistake=mistake,
        )
        if mistake is None:
            self.sent["files"] += 1
            self.sent["payments"] += len(payments)
            self.sent["ore"] += sum(payment.amount_ore for payment in payments)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that nobody reads half a file.
        fresh = path.with_suffix(".part")
        fresh.write_bytes(data)
        fresh.rename(path)
        return path
