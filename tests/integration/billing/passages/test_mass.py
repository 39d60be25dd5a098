"""Mass corrections: previewed, confirmed, carried out in chunks, undone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import text

from accounts.access.principal import Principal
from billing.audit.audit import RULES
from billing.audit.mass import RULES as MASS
from billing.passages.credit import credit
from billing.passages.mass.carry_out import carry_out_chunk
from billing.passages.mass.models import MassCorrection
from billing.passages.mass.preview import Asked, confirm, preview, undo
from config.problems import Conflict, Invalid, NotFound
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road

DAY = dt.timedelta(days=1)
LEAD = Principal("lise", "lead")
BOOKS = ("ledger_unbilled", "ledger_payable", "ledger_write_off", "transfers_codes", "transfers_batches",
         "transfers_reversals", "transfers_vouchers", "balances", "batches_passages", "passages_have_records",
         "records_have_passages", "reversals_have_counters", "counters_have_reversals", "moves_are_whole",
         "reversals_copies", "passages_registrations", "corrections_in_force", "corrections_causes")  # fmt: skip


def asked(**more: Any) -> Asked:
    fields: dict[str, Any] = {
        "charger": "FJELL", "stations": ["S1"], "since": PASSED - HOUR, "until": PASSED + HOUR, "bearer": "charger",
        "reason": "the antenna read twice",
    }  # fmt: skip
    return Asked(**(fields | more))


def shown(road: Road, now: dt.datetime = NOW + HOUR, **more: Any) -> MassCorrection:
    return preview(road.session, asked(**more), actor=LEAD.key, now=now)


def through(road: Road, row: MassCorrection, now: dt.datetime, limit: int = 2) -> MassCorrection:
    while carry_out_chunk(road.session, row.id, now=now, limit=limit):
        now += dt.timedelta(seconds=1)
    return row


def corrected(road: Road, now: dt.datetime = NOW + HOUR, **more: Any) -> MassCorrection:
    row = shown(road, now, **more)
    return through(road, confirm(road.session, row.id, row.digest, actor=LEAD.key, now=now), now)


def undone(road: Road, row: MassCorrection, now: dt.datetime = NOW + 2 * DAY) -> MassCorrection:
    return through(road, undo(road.session, row.id, reason="it had read right", actor=LEAD.key, now=now), now)


def agrees(road: Road) -> None:
    road.check_books()
    for rule in RULES:
        if rule.name in BOOKS or rule in MASS:
            assert road.ask(rule.sql) == [], rule.name


def sums(road: Road) -> dict[int, int]:
    return dict(road.ask("SELECT agreement_id, unbilled_ore FROM balances WHERE unbilled_ore <> 0"))


def owed(road: Road) -> int:
    return int(road.ask("SELECT coalesce(sum(amount_ore), 0) FROM passages WHERE owed")[0][0])


@pytest.fixture
def two(road: Road) -> tuple[int, int]:
    """Two agreements with two passages each at S1 and one at S2."""
    made = []
    for number in (1, 2):
        agreement = road.agreement()
        road.vehicle(agreement, f"EV1000{number}")
        made.append(agreement)
        road.send([
            road.record(f"{number}-{name}", plate=f"EV1000{number}", station=station, amount=amount)
            for name, station, amount in (("a", "S1", 1000), ("b", "S1", 200), ("c", "S2", 30))
        ])  # fmt: skip
    return made[0], made[1]


def test_a_preview_counts_and_books_nothing(road: Road, two: tuple[int, int]) -> None:
    road.session.execute(text("UPDATE passages SET claim_id = 1 WHERE source_id = '1-a'"))
    row = shown(road)
    assert (row.state, row.passages, row.agreements, row.sum_ore, row.billed, row.billed_ore) == (
        "preview", 4, 2, 2400, 1, 1000,
    )  # fmt: skip
    assert len(row.digest) == 64
    assert road.ask("SELECT count(*) FROM reversals") == [(0,)]
    assert road.ask("SELECT count(*) FROM mass_passages") == [(0,)]


@pytest.mark.parametrize(
    ("more", "passages"),
    [
        ({"stations": ["S1", "S2"]}, 6),
        ({"until": PASSED}, 0),
        ({"since": PASSED}, 4),
        ({"service": "ferry"}, 0),
        ({"service": "toll"}, 4),
        ({"plate": "ev 10001"}, 2),
        ({"plate": "EV10001", "country": "SE"}, 0),
        ({"vehicle_class": "2"}, 0),
    ],
)
def test_what_is_covered(road: Road, two: tuple[int, int], more: dict[str, Any], passages: int) -> None:
    assert shown(road, **more).passages == passages


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"until": PASSED - HOUR}, "until"),
        ({"since": PASSED - 40 * DAY}, "until"),
        ({"until": NOW + 2 * DAY}, "until"),
        ({"stations": ["S9"]}, "stations"),
        ({"stations": []}, "stations"),
    ],
)
def test_what_is_refused(road: Road, more: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        shown(road, **more)
    assert [error["field"] for error in refused.value.errors] == [field]


def test_unknown_charger_and_unknown_correction(road: Road) -> None:
    with pytest.raises(NotFound):
        shown(road, charger="XXX")
    with pytest.raises(NotFound):
        confirm(road.session, 4711, "x", actor="a", now=NOW)


def test_the_charger_bears_it(road: Road, two: tuple[int, int]) -> None:
    row = corrected(road)
    assert (row.state, row.done, row.done_ore, row.skipped, row.chunks) == ("done", 4, 2400, 0, 2)
    assert sums(road) == dict.fromkeys(two, 30)
    assert owed(road) == 60
    assert road.ask("SELECT DISTINCT cause, reason, actor FROM reversals") == [("mass", row.name, "lead:lise")]
    assert road.ask("SELECT code, debit, credit, amount_ore, part FROM transfers WHERE ref = :m AND code LIKE 'mass%' "
                    "ORDER BY part", m=row.id) == [
        ("mass_reversed", "payable", "unbilled", 1200, f"1/{road.toll.id}/BERGEN"),
        ("mass_reversed", "payable", "unbilled", 1200, f"2/{road.toll.id}/BERGEN"),
    ]  # fmt: skip
    agrees(road)


def test_we_bear_it(road: Road, two: tuple[int, int]) -> None:
    corrected(road, bearer="us")
    assert sums(road) == dict.fromkeys(two, 30)
    assert owed(road) == 2460
    agrees(road)


def test_one_notice_a_customer(road: Road, two: tuple[int, int]) -> None:
    road.session.execute(
        text("UPDATE agreements SET customer_id = (SELECT customer_id FROM agreements WHERE id = :a)"), {"a": two[0]}
    )
    row = corrected(road)
    (told,) = road.ask("SELECT agreement_id, template, data FROM messages")
    assert told[:2] == (two[0], "mass_corrected")
    assert told[2] == {
        "amount_ore": 2400,
        "facts": {"count": 4, "stations": "Sør", "first_on": "2026-03-01", "last_on": "2026-03-01"},
    }
    assert not carry_out_chunk(road.session, row.id, now=NOW + DAY)
    assert road.ask("SELECT count(*) FROM messages") == [(1,)]


def test_another_digest_is_refused_and_so_is_what_changed(road: Road, two: tuple[int, int]) -> None:
    row = shown(road)
    with pytest.raises(Conflict) as refused, road.session.begin_nested():
        confirm(road.session, row.id, "0" * 64, actor="a", now=NOW + HOUR)
    assert refused.value.type == "/problems/changed-meanwhile"
    road.session.refresh(row)
    road.one(road.record("late", plate="EV10001"), now=NOW + HOUR)
    with pytest.raises(Conflict) as refused, road.session.begin_nested():
        confirm(road.session, row.id, row.digest, actor="a", now=NOW + HOUR)
    assert refused.value.type == "/problems/changed-meanwhile"
    assert road.ask("SELECT count(*) FROM mass_passages") == [(0,)]


def test_billed_meanwhile_is_changed_too(road: Road, two: tuple[int, int]) -> None:
    row = shown(road)
    road.session.execute(text("UPDATE passages SET claim_id = 1 WHERE source_id = '1-a'"))
    with pytest.raises(Conflict):
        confirm(road.session, row.id, row.digest, actor="a", now=NOW + HOUR)


def test_nothing_to_correct(road: Road) -> None:
    row = shown(road)
    with pytest.raises(Conflict) as refused:
        confirm(road.session, row.id, row.digest, actor="a", now=NOW + HOUR)
    assert refused.value.type == "/problems/nothing-to-correct"


def test_confirmed_twice_is_once(road: Road, two: tuple[int, int]) -> None:
    row = corrected(road)
    assert confirm(road.session, row.id, row.digest, actor="a", now=NOW + DAY) is row
    through(road, row, NOW + DAY)
    assert road.ask("SELECT count(*) FROM reversals") == [(4,)]
    with pytest.raises(Conflict):
        confirm(road.session, row.id, "0", actor="a", now=NOW + DAY)


def test_what_was_credited_since_is_left(road: Road, two: tuple[int, int]) -> None:
    row = shown(road)
    confirm(road.session, row.id, row.digest, actor="a", now=NOW + HOUR)
    ((passage,),) = road.ask("SELECT id FROM passages WHERE source_id = '1-a'")
    credit(road.session, two[0], passage, reason="scrapped", actor="agent:kari", now=NOW + HOUR)
    through(road, row, NOW + 2 * HOUR)
    assert (row.done, row.skipped) == (3, 1)
    assert sums(road) == dict.fromkeys(two, 30)
    agrees(road)


@pytest.mark.parametrize("bearer", ["charger", "us"])
def test_undone(road: Road, two: tuple[int, int], bearer: str) -> None:
    row = corrected(road, bearer=bearer)
    back = undone(road, row)
    assert (back.undoes_id, back.state, back.done, back.done_ore) == (row.id, "done", 4, 2400)
    assert sums(road) == dict.fromkeys(two, 1230)
    assert owed(road) == 2460
    assert road.ask("SELECT count(*) FROM reversals WHERE replaced_by IS NULL") == [(0,)]
    assert road.ask("SELECT template, count(*) FROM messages GROUP BY 1 ORDER BY 1") == [
        ("mass_corrected", 2), ("mass_undone", 2),
    ]  # fmt: skip
    agrees(road)
    assert undo(road.session, row.id, reason="again", actor="a", now=NOW + 3 * DAY) is back
    with pytest.raises(Conflict) as refused:
        undo(road.session, back.id, reason="again", actor="a", now=NOW + 3 * DAY)
    assert refused.value.type == "/problems/is-an-undoing"
    again = corrected(road, NOW + 4 * DAY, bearer="charger")
    assert again.done == 4
    assert (sums(road), owed(road)) == (dict.fromkeys(two, 30), 60)
    agrees(road)


def test_only_what_is_done_is_undone_and_with_a_reason(road: Road, two: tuple[int, int]) -> None:
    row = shown(road)
    with pytest.raises(Conflict) as refused:
        undo(road.session, row.id, reason="no", actor="a", now=NOW + HOUR)
    assert refused.value.type == "/problems/not-done"
    with pytest.raises(Invalid):
        undo(road.session, row.id, reason=" ", actor="a", now=NOW + HOUR)
