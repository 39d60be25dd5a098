"""The step that links doubles to the reads they repeat: what was there before is linked too."""

from __future__ import annotations

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from migrations.run import migrate
from tests.integration.billing.passages.conftest import Road
from tests.integration.billing.passages.test_corrections import cancel, sums
from tests.integration.billing.passages.test_doubles import read, settle, settled


def test_doubles_of_before_are_linked(road: Road, session: Session, engine: Engine) -> None:
    """A stands; C was adjusted, and stays in its lane; E was cancelled, so its double may be decided anew."""
    holder = road.agreement()
    road.vehicle(holder)
    road.send([read(road, "A", 0), read(road, "B", 3), read(road, "C", 60), read(road, "D", 63)])
    road.send([read(road, "E", 120), read(road, "F", 123)])
    about = {"action": "adjust", "original": "C", "lane": None}
    road.send([read(road, "C1", 60, version=1, amount=1, **about), read(road, "C2", 60, version=2, amount=2, **about)])
    road.one(cancel("E1", "E"))
    session.commit()
    before = sums(road)
    session.rollback()
    migrate(engine, down_to="0017")
    # As it was then: no lanes with what was refused, and every original in its lane for good.
    session.execute(text("UPDATE records SET body = body - 'lane'"))
    session.execute(text("DELETE FROM lane_reads WHERE source_id = 'C2'"))
    session.execute(
        text(
            "INSERT INTO lane_reads SELECT charger_id, id, station, lane, country, plate, "
            "passed_at + s * interval '1 s' FROM lane_reads, "
            "(VALUES ('C', 60), ('E', 120)) AS n (id, s) WHERE source_id = 'A'"
        )
    )
    session.execute(text("UPDATE records SET detail = 'the same passing as C' WHERE source_id = 'D'"))
    session.commit()
    migrate(engine)
    assert road.ask("SELECT source_id, kept_id, freed FROM double_reads ORDER BY 1") == [
        ("B", "A", False), ("D", "C2", False), ("F", "E", True)
    ]  # fmt: skip
    assert road.ask("SELECT source_id FROM lane_reads WHERE stands ORDER BY 1") == [("A",), ("C2",)]
    assert road.ask("SELECT source_id, body ->> 'lane' FROM records WHERE code = 'double_read' ORDER BY 1") == [
        ("B", "1"), ("D", "1"), ("F", "1")
    ]  # fmt: skip
    assert sums(road) == before == {holder: 2480 + 2}
    settle(road)
    assert sums(road) == {holder: 2480 + 2 + 2480}
    settled(road)
