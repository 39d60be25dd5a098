"""What the bank brings: too much, a wrong KID, the same file twice, a file that cannot be right."""

from __future__ import annotations

import datetime as dt

from simulator.bank import Mistake, with_wrong_check
from simulator.roadside import FJELL, KYST
from simulator.stage import Stage
from simulator.stories.calendar import DAY, day, due_date, run_date
from simulator.tale import Steps, Story, Tale, kroner
from simulator.times import at, bank_day_before, next_bank_day


def overpayment(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """Somebody pays too much: the rest is credit, and the next invoice uses it."""
    yield day(first, 1)
    person, number, car = stage.household()
    yield day(first, 5)
    stage.accepted(KYST, [stage.road.passage(KYST, car, day(first, 5, 8), amount_ore=12_000)])
    issued = run_date(first)
    yield at(issued)
    bill = stage.only_invoice(number)
    paid_on = next_bank_day(issued)
    stage.pay(bill, 15_000, on=paid_on)
    yield day(next_bank_day(paid_on), 1)
    tale.same(stage.only_invoice(number)["open_ore"], 0, "open on the first invoice")
    tale.same([row["amount_ore"] for row in stage.payments(number)], [15_000], "payments")
    stage.accepted(KYST, [stage.road.passage(KYST, car, stage.now, amount_ore=9_900)])
    again = run_date(issued)
    yield at(again)
    second = next(row for row in stage.invoices(number) if row["issued_on"] == again.isoformat())
    tale.same((second["total_ore"], second["open_ore"]), (9_900, 6_900), "the next invoice, with the credit used")
    tale.same(second["credit_used_ore"], 3_000, "credit used on it")
    stage.pay(second, on=bank_day_before(due_date(again)))
    tale.tell(f"{person.name}: paid {kroner(15_000)} of {kroner(12_000)}; the next invoice of {kroner(9_900)} asks for "
              f"{kroner(6_900)}")  # fmt: skip


def wrong_kid(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """A mistyped KID: the payment waits in suspense until support places it; nobody is blocked for it after that."""
    yield day(first, 1)
    person, number, car = stage.household()
    yield day(first, 6)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 6, 8), amount_ore=8_100)])
    issued = run_date(first)
    yield at(issued)
    bill = stage.only_invoice(number)
    kid = with_wrong_check(bill["kid"])
    paid_on = next_bank_day(issued + 2 * DAY)
    stage.pay(bill, on=paid_on, kid=kid)
    yield day(next_bank_day(paid_on), 1)
    waiting = [row for row in stage.suspense() if row["kid"] == kid]
    tale.same([row["amount_ore"] for row in waiting], [8_100], "in suspense")
    # Of eleven mistyped digits one is right by the other check, and then the KID is merely unknown.
    tale.check(waiting[0]["why"] in {"bad_kid", "unknown_kid"}, "why it waits: its KID", waiting[0])
    tale.same(stage.only_invoice(number)["open_ore"], 8_100, "open meanwhile")
    stage.assign(waiting[0]["id"], number, bill, "The customer sent a picture from the bank")
    tale.same(stage.only_invoice(number)["open_ore"], 0, "open after support placed it")
    tale.same([row["id"] for row in stage.suspense() if row["kid"] == kid], [], "left in suspense")
    yield at(due_date(issued) + 6 * DAY)
    tale.same(stage.agreement(number)["standing"], "open", "standing after the due date")
    tale.tell(f"{person.name}: KID {kid} instead of {bill['kid']}; {kroner(8_100)} placed by support")


def files(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """The same file twice changes nothing; one whose sum is wrong is refused, naming the line, and books nothing."""
    yield day(first, 1)
    _, number, car = stage.household()
    yield day(first, 2)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 2, 8), amount_ore=6_600)])
    issued = run_date(first)
    yield at(issued)
    bill = stage.only_invoice(number)
    payment = stage.payment(bill, on=next_bank_day(issued))
    yield day(next_bank_day(issued), 0)
    wrong = stage.bank_file([payment], mistake=Mistake.WRONG_TOTAL)
    refused = stage.refused_bank_file(wrong)
    tale.check(bool(refused["errors"][0]["line"]), "the line is named", refused)
    tale.same(stage.only_invoice(number)["open_ore"], 6_600, "open after the refused file")
    right = stage.bank_file([payment])
    _, booked = stage.command("bank", str(right))
    tale.same((booked["state"], booked["matched"]), ("booked", 1), "the right file")
    _, again = stage.command("bank", str(right))
    tale.same(again["state"], "already", "the same file again")
    tale.same(stage.only_invoice(number)["open_ore"], 0, "open")
    tale.same([row["amount_ore"] for row in stage.payments(number)], [6_600], "payments on the agreement")
    tale.tell("a sum one øre off: refused, nothing booked; the right file booked once, however often it is read")


STORIES = (
    Story("an overpayment", "becomes credit, used on the next invoice", overpayment),
    Story("a wrong KID", "waits in suspense until support places it", wrong_kid),
    Story("bank files", "twice the same, and one that cannot be right", files),
)
