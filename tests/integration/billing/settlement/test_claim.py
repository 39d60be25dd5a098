"""A charger's claim, line by line: every kind of difference, and that they account for all of what is out."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import InvalidRequestError

from billing.passages.credit import credit
from billing.roadside.settlement.agree import agree
from billing.roadside.settlement.claim import ChargerClaim, Checked, ClaimLine, check_claim
from billing.roadside.settlement.models import ChargerClaim as Kept
from billing.roadside.settlement.queries import claim, shown
from billing.roadside.settlement.rules import Period
from config.database import SessionFactory
from config.problems import Conflict, Invalid
from tests.integration.billing.beside import Beside
from tests.integration.billing.settlement.conftest import APRIL, FEBRUARY, LATE_MARCH, MARCH, MAY, MIDNIGHT, OVER, World


def record(name: str, ore: int) -> ClaimLine:
    return ClaimLine(name, None, ore)


def differences(world: World, checked: Checked) -> list[tuple[object, ...]]:
    return world.road.ask(
        "SELECT kind, line, coalesce(source_id, project), claimed_ore, ours_ore, code FROM charger_claim_differences "
        "WHERE claim_id = :c ORDER BY number",
        c=checked.row.id,
    )


def accounted(world: World, checked: Checked) -> bool:
    """Whether the differences sum up to what is claimed too much, and are counted."""
    rows = differences(world, checked)
    out = sum(int(str(row[3])) - int(str(row[4])) for row in rows)
    return out == checked.row.claimed_ore - checked.row.ours_ore and len(rows) == checked.row.difference_count == sum(
        checked.kinds.values()
    )


def test_what_agrees_has_no_difference(world: World) -> None:
    world.drive("A", 10_000)
    world.drive("B", 5_000)
    credit(world.session, world.agreement, world.passage("B"), reason="goodwill", actor="agent:x", now=LATE_MARCH)
    checked = world.claim([record("B", 5_000), record("A", 10_000)])
    assert (checked.kinds, checked.row.claimed_ore, checked.row.ours_ore) == ({}, 15_000, 15_000)
    assert (checked.row.line_count, checked.row.ours_count, checked.row.form) == (2, 2, "records")
    assert accounted(world, checked)


def test_what_is_not_owed_is_named(world: World) -> None:
    for name in ("same", "dearer", "unclaimed", "twice"):
        world.drive(name, 1_000)
    world.drive("taken-back", 4_000, station="S2")
    unknown = world.road.record("refused", plate="XX99999")
    assert world.road.one(unknown).code == "unknown_vehicle"
    world.drive("april", 3_000, at=MIDNIGHT)
    assert world.move_elsewhere("FJELL", at=LATE_MARCH) == 6  # everything, and April's too: so they are brought back
    checked = world.claim(
        [
            record("same", 1_000),
            record("taken-back", 4_000),
            record("refused", 2_480),
            record("never-sent", 700),
            record("april", 3_000),
            record("same", 1_000),
        ]
    )
    assert differences(world, checked) == [
        ("reversed_here", 1, "same", 1_000, 0, None),
        ("reversed_here", 2, "taken-back", 4_000, 0, None),
        ("not_accepted", 3, "refused", 2_480, 0, "unknown_vehicle"),
        ("missing_here", 4, "never-sent", 700, 0, None),
        ("reversed_here", 5, "april", 3_000, -3_000, None),  # taken back before it is April, in this world
        ("claimed_twice", 6, "same", 1_000, 0, None),
    ]
    assert accounted(world, checked)


def test_sums_lines_left_out_and_other_periods(world: World) -> None:
    for name in ("same", "dearer", "unclaimed"):
        world.drive(name, 1_000)
    world.drive("april", 3_000, at=MIDNIGHT)
    checked = world.claim([record("april", 3_000), record("dearer", 1_200), record("same", 1_000)])
    assert differences(world, checked) == [
        ("other_period", 1, "april", 3_000, 0, None),
        ("amount_differs", 2, "dearer", 1_200, 1_000, None),
        ("missing_there", None, "unclaimed", 0, 1_000, None),
    ]
    assert checked.kinds == {"amount_differs": 1, "missing_there": 1, "other_period": 1}
    assert accounted(world, checked)


def test_what_another_claim_has_had(world: World) -> None:
    """Claimed for its own month, and for the next again; what was claimed too early may come in its own month."""
    world.drive("march", 1_000)
    world.drive("april", 3_000, at=MIDNIGHT)
    first = world.claim([record("march", 1_000), record("april", 3_000)])
    assert first.kinds == {"other_period": 1}
    again = world.claim([record("march", 1_000), record("april", 3_000)], number="2026-04", period=APRIL, now=MAY)
    assert differences(world, again) == [("claimed_twice", 1, "march", 1_000, 0, None)]
    assert accounted(world, again)


def test_taken_back_in_a_later_month(world: World) -> None:
    """It is owed back in April, whether the charger takes it off by the record, or not at all."""
    world.drive("A", 1_000)
    assert world.claim([record("A", 1_000)]).kinds == {}
    world.move_elsewhere("FJELL", at=MIDNIGHT)
    right = world.claim([record("A", -1_000)], number="right", period=APRIL, now=MAY)
    assert (right.kinds, right.row.ours_ore) == ({}, -1_000)
    silent = world.claim([], number="silent", period=APRIL, now=MAY)
    assert differences(world, silent) == [("reversed_here", None, "A", 0, -1_000, None)]
    assert accounted(world, silent)


def test_a_cancellation_takes_from_what_it_cancels(world: World) -> None:
    """A charger may list the record, and its cancellation with the opposite sum."""
    world.drive("A", 1_000)
    world.drive("B", 500)
    cancel = world.road.record("A-off", action="cancel", original="A", issued_at=LATE_MARCH)
    assert world.road.one(cancel, now=LATE_MARCH).code == "accepted"
    both = world.claim([record("A", 1_000), record("A-off", -1_000), record("B", 500)], number="both")
    assert both.kinds == {}
    neither = world.claim([record("B", 500)], number="neither")
    assert neither.kinds == {}
    forgotten = world.claim([record("A", 1_000), record("B", 500)], number="forgotten")
    assert differences(world, forgotten) == [("reversed_here", 1, "A", 1_000, 0, None)]


@pytest.mark.parametrize("credited", [False, True])
def test_a_cancellation_of_an_adjustment_takes_from_the_adjustment(world: World, credited: bool) -> None:
    """Also when we had borne the adjusted passage ourselves."""
    world.drive("A", 1_000)
    road = world.road
    lowered = road.record("K", action="adjust", original="A", version=1, amount=800, plate="EV10001")
    assert road.one(lowered, now=LATE_MARCH).code == "accepted"
    if credited:
        credit(world.session, world.agreement, world.passage("K"), reason="x", actor="agent:x", now=LATE_MARCH)
    assert road.one(road.record("C", action="cancel", original="K", version=2), now=MIDNIGHT).code == "accepted"
    assert world.claim([record("K", 800)], number="march").kinds == {}
    right = world.claim([record("C", -800)], number="right", period=APRIL, now=MAY)
    assert (right.kinds, right.row.ours_ore) == ({}, -800)
    wrong = world.claim([record("C", -1_000)], number="wrong", period=APRIL, now=MAY)
    assert differences(world, wrong) == [("reversed_here", 1, "K", -1_000, -800, None)]


def test_an_adjustment_and_its_cancellation_of_one_month(world: World) -> None:
    world.drive("A", 1_000)
    road = world.road
    for name, action, of, version in (("K", "adjust", "A", 1), ("C", "cancel", "K", 2), ("D", "cancel", "A", 1)):
        sent = road.record(name, action=action, original=of, version=version, amount=800, plate="EV10001")
        assert road.one(sent, now=LATE_MARCH).code == ("superseded" if name == "D" else "accepted")
    for number, lines in (("K, C", [record("K", 800), record("C", -800)]), ("neither", [])):
        assert world.claim(lines, number=number).kinds == {}
    wrong = world.claim([record("A", 1_000), record("C", -800), record("D", -1_000)], number="wrong")
    assert differences(world, wrong) == [
        ("reversed_here", 1, "A", 1_000, 0, None),
        ("reversed_here", 2, "K", -800, 0, None),
        ("not_accepted", 3, "D", -1_000, 0, "superseded"),
    ]
    assert accounted(world, wrong)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("BERGEN", 2, 3_000), ("VEST", 1, 500)], []),
        ([("BERGEN", 2, 3_001), ("VEST", 1, 500)], [("amount_differs", 1, "BERGEN", 3_001, 3_000, None)]),
        ([("BERGEN", 3, 3_000), ("VEST", 1, 500)], [("amount_differs", 1, "BERGEN", 3_000, 3_000, None)]),
        ([("BERGEN", 2, 3_000)], [("missing_there", None, "VEST", 0, 500, None)]),
        (
            [("OSLO", 1, 9), ("BERGEN", 2, 3_000), ("VEST", 1, 500), ("VEST", 1, 500)],
            [("missing_here", 1, "OSLO", 9, 0, None), ("claimed_twice", 4, "VEST", 500, 0, None)],
        ),
    ],
)
def test_by_project(world: World, lines: Sequence[tuple[str, int, int]], expected: list[tuple[object, ...]]) -> None:
    world.drive("A", 1_000)
    world.drive("B", 2_000)
    world.drive("C", 500, station="S2")
    checked = world.claim([ClaimLine(None, name, ore, number) for name, number, ore in lines])
    assert differences(world, checked) == expected
    assert checked.row.form == "projects"
    assert accounted(world, checked)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_claimed_the_differences_account_for_it(world: World, seed: int) -> None:
    """A property, over claims made by chance of what there is and what there is not."""
    chance = random.Random(seed)
    for number in range(8):
        at = chance.choice((LATE_MARCH, MIDNIGHT))
        world.drive(f"P{number}", chance.randrange(1, 5_000), at=at)
    if seed % 2:
        world.move_elsewhere("FJELL", at=chance.choice((LATE_MARCH, MIDNIGHT)))
    world.road.one(world.road.record("R", plate="XX99999"))
    names = [f"P{number}" for number in range(8)] + ["R", "N1", "N2"]
    for number in range(5):
        some = [record(chance.choice(names), chance.randrange(-5_000, 5_000)) for _ in range(chance.randrange(12))]
        period, now = chance.choice(((MARCH, OVER), (APRIL, MAY)))
        assert accounted(world, world.claim(some, number=f"C{number}", period=period, now=now))


def test_the_same_claim_again_gets_the_same_answer(world: World) -> None:
    world.drive("A", 1_000)
    first = world.claim([record("A", 900)])
    world.drive("B", 2_000, at=MIDNIGHT)
    again = world.claim([record("A", 900)], now=MAY)
    assert (again.row.id, again.kinds, again.repeated) == (first.row.id, {"amount_differs": 1}, True)
    assert world.road.ask("SELECT count(*) FROM charger_claim_lines") == [(1,)]
    for other in ([record("A", 901)], [record("A", 900), record("B", 1)], [], [ClaimLine(None, "A", 900)]):
        with pytest.raises(Conflict, match="another claim under 2026-03"):
            world.claim(other)
    with pytest.raises(Conflict, match="another claim under 2026-03"):
        world.claim([record("A", 900)], period=APRIL, now=MAY)


def test_two_at_once_are_one(world: World, engine: Engine, sessions: SessionFactory) -> None:
    world.drive("A", 1_000)
    world.session.commit()
    toll = world.road.toll

    def other() -> bool:
        with sessions.begin() as session:
            said = ChargerClaim("2026-03", MARCH.first, MARCH.last, "NOK", iter([record("A", 1_000)]), b"")
            return check_claim(session, toll, said, OVER, actor="charger:FJELL").repeated

    assert not world.claim([record("A", 1_000)]).repeated
    beside = Beside(engine, other)
    assert beside.waited
    world.session.commit()
    assert beside.result()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([record("A", 1), ClaimLine(None, "BERGEN", 1)], "line 2"),
        ([ClaimLine("A", "BERGEN", 1)], "line 1"),
        ([ClaimLine(None, None, 1)], "line 1"),
        ([record("A", 1), record("", 1)], "line 2"),
        ([record("A\0", 1)], "line 1"),
        ([record("A" * 65, 1)], "line 1"),
        ([record("A", 10**13)], "line 1"),
        ([ClaimLine(None, "BERGEN", 1, -1)], "line 1"),
    ],
)
def test_what_is_no_claim_is_refused_whole(world: World, lines: list[ClaimLine], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        world.claim(lines)
    assert caught.value.errors[0]["field"] == message
    assert world.road.ask("SELECT count(*) FROM charger_claims") == [(0,)]


def test_names_are_kept_as_they_are(world: World) -> None:
    names = ["\\N", "a\\tb", "Æ 'x' \"y\"", "\\.", "A\\"]
    checked = world.claim([record(name, 1) for name in names])
    assert [row[2] for row in differences(world, checked)] == names
    assert checked.kinds == {"missing_here": 5}


def test_a_sum_that_is_not_the_lines(world: World) -> None:
    with pytest.raises(Invalid, match="says 5 øre"):
        world.claim([record("A", 1)], total=5)
    assert world.claim([record("A", 1)], total=1).kinds == {"missing_here": 1}


def test_not_while_records_may_still_arrive(world: World) -> None:
    with pytest.raises(Conflict, match="not over"):
        world.claim([], now=LATE_MARCH)


def days(first: int, last: int) -> Period:
    return Period(dt.date(2026, 3, first), dt.date(2026, 3, last))


@pytest.mark.parametrize(
    ("later", "lines", "replaces"),
    [
        (MARCH, [("A", None, 1_000)], True),
        (Period(FEBRUARY.first, MARCH.last), [("A", None, 1_000)], True),
        (days(1, 30), [("A", None, 1_000)], False),  # what it says nothing of, the first still says
        (days(2, 31), [("A", None, 1_000)], False),
        (APRIL, [], False),
        (MARCH, [(None, "BERGEN", 1_000)], False),  # right in all, and no answer to the record that differed
    ],
)
def test_what_a_later_claim_replaces(
    world: World, later: Period, lines: list[tuple[str | None, str | None, int]], replaces: bool
) -> None:
    """One of the same form that covers all its days; any other stands beside it."""
    world.drive("A", 1_000)
    assert world.claim([record("A", 900)]).kinds == {"amount_differs": 1}
    again = world.claim([ClaimLine(*line) for line in lines], number="later", period=later, now=MAY)
    assert again.kinds == {}
    row = world.settle()
    seen = [(one.row.number, one.replaced) for one in shown(world.session, [row])[0].claims]
    assert seen == [("2026-03", replaces), *([("later", False)] if later != APRIL else [])]
    if replaces:
        assert agree(world.session, row.id, note=None, actor="accountant:kari", now=OVER).state == "agreed"
    else:
        with pytest.raises(Conflict, match="differs in 1 places"):
            agree(world.session, row.id, note=None, actor="accountant:kari", now=OVER)


def test_a_claims_bytes_are_kept_and_not_read(world: World) -> None:
    """They may be hundreds of megabytes: neither a claim that is shown, nor the same one again, brings them along."""
    world.claim([record("A", 900)])
    assert world.road.ask("SELECT content FROM charger_claims") == [(b"as sent",)]
    row = world.settle()
    reads: list[Callable[[], Kept]] = [
        lambda: world.claim([record("A", 900)]).row,
        lambda: claim(world.session, "FJELL", "2026-03"),
        lambda: shown(world.session, [row])[0].claims[0].row,
    ]
    for read in reads:
        world.session.flush()
        world.session.expunge_all()
        found = read()
        assert (found.number, "content" in inspect(found).unloaded) == ("2026-03", True)
        with pytest.raises(InvalidRequestError, match="raiseload"):
            _ = found.content


def test_a_settlement_that_differs_needs_a_note(world: World) -> None:
    world.drive("A", 1_000)
    world.claim([record("A", 900)])
    row = world.settle()
    with pytest.raises(Conflict, match="differs in 1 places"):
        agree(world.session, row.id, note="  ", actor="accountant:kari", now=OVER)
    assert agree(world.session, row.id, note="They agree.", actor="accountant:kari", now=OVER).state == "agreed"
