"""What happens when an invoice is not paid, and when it turns out that it was; and a run that is done again."""

from __future__ import annotations

import datetime as dt

from simulator.client import Refused
from simulator.people import Vehicle
from simulator.roadside import FJELL
from simulator.stage import Stage
from simulator.stories.calendar import DAY, day, due_date, run_date, told
from simulator.tale import Steps, Story, Tale, kroner
from simulator.times import at, bank_day_before, next_bank_day

HOUR = dt.timedelta(hours=1)


def blocked(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """Unpaid: blocked when the due date has passed; paid: awaiting support; reopened by support, when all is paid."""
    yield day(first, 1)
    person, number, car = stage.household()
    yield day(first, 6)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 6, 8), amount_ore=14_400)])
    issued = run_date(first)
    yield at(issued)
    bill = stage.only_invoice(number)
    due = due_date(issued)
    yield at(due - 2 * DAY, 9)
    yield at(due - 2 * DAY)  # by noon the reminder written at eight has been sent
    yield at(told(due))
    stage.stands(number, "blocked")
    before = stage.road.passage(FJELL, car, at(due, 8), amount_ore=2_500)
    yield at(told(due) + DAY)
    after = stage.road.passage(FJELL, car, at(told(due) + DAY, 8), amount_ore=2_500)
    answers = stage.send(FJELL, [before, after])
    tale.same([answer["code"] for answer in answers], ["accepted", "not_valid"], "before and after the block")
    refusal = _reopen_refused(stage, number)
    tale.same([row["kid"] for row in refusal["due"]], [bill["kid"]], "what the refusal lists as due")
    paid_on = next_bank_day(told(due) + DAY)
    stage.pay(bill, on=paid_on)
    yield day(next_bank_day(paid_on), 1)
    stage.stands(number, "awaiting_reopen")
    tale.same(_code(stage, car), "not_valid", "a passage while support has not been called")
    yield stage.now + HOUR
    stage.eventually(lambda: "paid_call_us" in stage.told(number), "told to call support")
    stage.reopen(number, "phone", "Had been abroad")
    tale.same(stage.agreement(number)["standing"], "open", "standing after support reopened it")
    yield stage.now + DAY
    tale.same(_code(stage, car), "accepted", "a passage after that")
    words = [change["standing"] for change in stage.standings(number)]
    tale.same(words, ["open", "blocked", "awaiting_reopen", "open"], "the history of its standing")
    mails = ["welcome", "invoice", "reminder", "blocked", "paid_call_us", "reopened"]
    stage.eventually(lambda: stage.told(number) == mails, f"told by e-mail, in this order: {', '.join(mails)}")
    tale.tell(f"{person.name}: due {due}, {kroner(14_400)} unpaid, blocked; paid {paid_on}; reopened by support")


def _reopen_refused(stage: Stage, number: int) -> dict[str, list[dict[str, str]]]:
    try:
        stage.reopen(number, "phone", "Wants to drive again")
    except Refused as refused:
        if refused.status == 409:
            return refused.problem
        raise
    raise AssertionError("support could reopen an agreement with something due")


def _code(stage: Stage, car: Vehicle) -> str:
    record = stage.road.passage(FJELL, car, stage.now - HOUR / 2, amount_ore=2_500)
    return str(stage.send(FJELL, [record])[0]["code"])


def late_file(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """Paid in time, but the bank's file comes days later: blocked meanwhile, and open again by itself."""
    yield day(first, 1)
    person, number, car = stage.household()
    yield day(first, 7)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 7, 8), amount_ore=11_000)])
    issued = run_date(first)
    yield at(issued)
    bill = stage.only_invoice(number)
    due = due_date(issued)
    arrives = next_bank_day(told(due) + DAY)
    stage.pay(bill, on=bank_day_before(due), in_file_of=arrives)
    yield at(told(due))
    stage.stands(number, "blocked")  # while the file is on its way
    yield day(next_bank_day(arrives), 1)
    stage.stands(number, "open")  # by itself, nobody having called
    reasons = [change["reason"] for change in stage.standings(number)]
    tale.same(reasons, ["opened", "overdue", "paid_in_time"], "why its standing changed")
    tale.same(stage.only_invoice(number)["open_ore"], 0, "open")
    tale.tell(f"{person.name}: paid {bank_day_before(due)}, told to us {arrives}; open again by itself")


def second_run(stage: Stage, tale: Tale, first: dt.date) -> Steps:
    """The monthly run is done again the same day, passages having arrived in between: nothing is created twice."""
    yield day(first, 1)
    _, number, car = stage.household()
    _, small, other = stage.household()
    yield day(first, 2)
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, day(first, 2, 8), amount_ore=5_000)])
    stage.accepted(FJELL, [stage.road.passage(FJELL, other, day(first, 2, 8), amount_ore=4_999)])
    issued = run_date(first)
    yield at(issued)
    tale.same(stage.only_invoice(number)["total_ore"], 5_000, "NOK 50.00 is invoiced")
    tale.same(stage.invoices(small), [], "invoices of NOK 49.99, which is carried to the next run")
    stage.accepted(FJELL, [stage.road.passage(FJELL, car, at(issued, 9), amount_ore=7_000)])
    _, done = stage.command("jobs", "run", "invoices", "--date", issued.isoformat())
    tale.same(done["created"], 0, "created by the second run")
    tale.check(int(done["already_done"]) >= 1, "already done ≥ 1", done)
    tale.same(len(stage.invoices(number)), 1, "invoices after the second run")
    stage.pay(stage.only_invoice(number), on=next_bank_day(issued))
    tale.tell(f"run of {issued} again: {done}")


STORIES = (
    Story("unpaid, blocked, reopened", "paid is not enough: support reopens", blocked),
    Story("paid in time, told late", "open again by itself", late_file),
    Story("the run again", "0 created, the rest already done", second_run),
)
