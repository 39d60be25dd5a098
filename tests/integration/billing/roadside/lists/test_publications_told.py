"""What is shown of what chargers were told goes by the lists that they took then."""

from __future__ import annotations

import datetime as dt

from accounts.chargers.queries import publications
from tests.integration.billing.passages.conftest import HOUR
from tests.integration.billing.roadside.lists.conftest import World


def shown(world: World) -> list[tuple[int | None, dt.datetime | None]]:
    """Of the block, as FJELL was told it: the version, and since when it knows."""
    page = publications(world.session, world.agreement, after=None, limit=20)
    return [(one.version, one.acknowledged_at) for one in page.items
            if one.charger == "FJELL" and one.status == "blocked"]  # fmt: skip


def test_told_by_a_list_that_is_no_longer_taken(world: World) -> None:
    world.take("push", list_types="tags")
    world.minute(full=True)
    world.ack("tags", 1)
    world.block()
    world.minute()
    world.ack("tags", 2)
    told = world.now
    assert shown(world) == [(2, told)]
    world.at(told + HOUR)
    world.take("push", list_types="plates")
    assert shown(world) == [(2, told)]
    world.minute(full=True)
    world.ack("plates", 1)
    assert shown(world) == [(2, told)]


def test_a_list_that_was_given_up_before_it_told_it(world: World) -> None:
    world.take("push", list_types="tags")
    world.minute(full=True)
    world.ack("tags", 1)
    world.block()
    world.minute()
    world.at(world.now + HOUR)
    world.take("push", list_types="plates")
    world.minute(full=True)
    assert shown(world) == [(1, None)]  # on its way
    world.ack("plates", 1)
    assert shown(world) == [(1, world.now)]
