"""A charger that stops taking lists knows from then on what no list had said yet."""

from __future__ import annotations

import datetime as dt

from accounts.chargers.keep import ChargerGiven, keep_charger
from billing.roadside.lists.validity import knew
from tests.integration.billing.passages.conftest import HOUR, pan
from tests.integration.billing.roadside.lists.conftest import World

DAY = dt.timedelta(days=1)


def test_switched_off_before_the_next_list_is_cut(world: World) -> None:
    world.minute(full=True)
    for name in ("tags", "plates"):
        world.ack(name, 1)
    world.at(world.now + HOUR)
    world.block()
    world.at(world.now + dt.timedelta(seconds=30))
    world.take("none")
    world.minute()
    (answer,) = world.road.send([world.road.record("B", pan=pan(1), passed_at=world.now)], now=world.now + DAY)
    assert answer.code == "not_valid"


def test_new_with_lists_and_without_them_before_its_first(world: World) -> None:
    world.take("none")
    world.block()
    for lists in ("push", "none"):
        world.at(world.now + dt.timedelta(seconds=20))
        keep_charger(world.session, ChargerGiven("NYTT", "Nytt AS", "toll", lists=lists), world.now)
        world.at(world.now)
    world.minute()
    told = {one.charger: one.status for one in knew(world.session, world.agreement, world.now + DAY)}
    assert told["NYTT"] == "blocked"
