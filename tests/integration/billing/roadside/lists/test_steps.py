"""Steps of the database down and up keep what chargers were told."""

from __future__ import annotations

from sqlalchemy import Engine, select, text

from accounts.agreements.block import block
from accounts.agreements.standing import apply
from accounts.chargers.keep import ChargerGiven, keep_charger
from accounts.chargers.models import Publication
from migrations.run import migrate
from tests.integration.billing.roadside.lists.conftest import DAY, NOW, World


def test_a_step_down_and_up_keeps_what_was_told(world: World, engine: Engine) -> None:
    road, session = world.road, world.session
    block(session, {world.agreement: [1]}, NOW)
    apply(session, {world.agreement: 10_000}, NOW, "overdue", "system")
    keep_charger(session, ChargerGiven("NY", "Ny AS", "toll"), NOW + DAY)
    world.minute(full=True)
    world.minute()
    world.ack("tags", 1)
    acknowledged = world.version(1).acknowledged_at
    session.commit()
    migrate(engine, down_to="0009")
    told = road.ask(
        "SELECT c.code, p.status, p.acknowledged_at FROM publications AS p JOIN chargers AS c ON c.id = p.charger_id "
        "WHERE p.status = 'blocked' ORDER BY c.code"
    )
    assert told == [
        ("FJELL", "blocked", acknowledged), ("FJORD", "blocked", NOW), ("NY", "blocked", NOW + DAY),
    ]  # fmt: skip
    session.commit()
    migrate(engine)
    again = session.scalars(select(Publication).where(Publication.status == "blocked")).all()
    assert len(again) == 1
    assert session.scalar(text("SELECT told_from FROM chargers WHERE code = 'NY'")) == NOW + DAY
