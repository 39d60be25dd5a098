"""Lists are sent, sent again, acknowledged, rejected, forgotten."""

from __future__ import annotations

import gzip

import pytest
from sqlalchemy import select

from accounts.chargers.models import ListPart, ListVersion
from billing.roadside.lists import jobs, send
from billing.roadside.lists.queries import figures, stands, troubled
from config.problems import Conflict, Invalid, NotFound
from tests.integration.billing.passages.conftest import HOUR
from tests.integration.billing.roadside.lists.conftest import DAY, MINUTE, World


def test_not_acknowledged_it_is_sent_again_and_alarms(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []

    class Log:
        def warning(self, event: str, **about: object) -> None:
            warned.append(f"{event} {about['charger']} {about['list']} {about['version']}")

    monkeypatch.setattr(send, "log", Log())
    world.minute(full=True)
    world.ack("plates", 1)
    before = world.version(1)
    name, digest, folder = before.name, before.sha256, world.ctx.settings.var / "roadside" / "FJELL" / "out"
    (folder / name).unlink()  # taken away by the transfer
    world.at(world.now + HOUR - 2 * MINUTE)
    assert world.minute()["sent"] == 0  # not yet an hour
    assert world.minute()["sent"] == 1
    row = world.version(1)
    assert row.attempts == 2
    assert row.sha256 == digest
    assert gzip.decompress((folder / name).read_bytes()).endswith(b'"rows":1}\n')
    assert row.sent_at == before.sent_at
    (trouble,) = troubled(world.session, world.now, 60, 10)
    assert (trouble.charger, trouble.row.version, trouble.row.list_type) == ("FJELL", 1, "tags")
    assert 'brikke_status_lists{charger="FJELL",list="tags",state="waiting"} 1' in figures(world.session, world.now)
    assert warned == ["status_list.not_acknowledged FJELL tags 1"]
    world.ack("tags", 1)
    assert troubled(world.session, world.now, 60, 10) == []
    assert world.minute()["sent"] == 0
    assert [(one.list_type, one.acknowledged) for one in stands(world.session)] == [("plates", 1), ("tags", 1)]


def test_what_cannot_be_delivered_is_tried_again(world: World) -> None:
    blocked = world.ctx.settings.var / "roadside"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("in the way")
    assert world.minute(full=True)["failed"] == 1  # the other list is not even tried
    row = world.version(1, "plates")
    assert (row.state, row.attempts, row.sent_at) == ("made", 1, None)
    assert "Error: " in str(row.error)
    assert world.version(1).attempts == 0
    blocked.unlink()
    assert world.minute()["sent"] == 2
    assert [(world.version(1, one).state, world.version(1, one).error) for one in ("tags", "plates")] == [
        ("sent", None)
    ] * 2
    world.prove()


def test_acknowledged_while_it_was_being_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick:
        def deliver(self, name: str, content: object) -> None:
            world.ack("tags" if "tags" in name else "plates", 1)

    monkeypatch.setattr(jobs, "outbox_of", lambda sessions, settings, code: Quick())
    world.minute(full=True)
    assert world.versions() == [(1, "full", "acknowledged")]
    world.prove()


def test_acknowledgements_are_repeated_and_stand(world: World) -> None:
    world.minute(full=True)
    assert not world.ack("tags", 1)
    first = world.version(1).acknowledged_at
    world.at(world.now + DAY)
    assert world.ack("tags", 1)
    assert world.version(1).acknowledged_at == first
    with pytest.raises(Conflict):
        world.ack("tags", 1, accepted=False, reason="too late")
    with pytest.raises(Invalid):
        world.ack("plates", 1, accepted=False)
    with pytest.raises(NotFound):
        world.ack("plates", 2)


def test_a_rejected_list_is_made_good_by_a_full_one(world: World) -> None:
    world.minute(full=True)
    world.ack("tags", 1)
    world.block()
    world.minute()
    world.ack("tags", 2, accepted=False, reason="line 2 cannot be read")
    assert world.ack("tags", 2, accepted=False, reason="again")
    (trouble,) = [one for one in troubled(world.session, world.now, 60, 9) if one.row.state == "rejected"]
    assert trouble.row.error == "line 2 cannot be read"
    assert world.minute(full=True)["lists"] == 1
    assert world.versions()[-1] == (3, "full", "sent")
    world.ack("tags", 3)
    assert [one[2] for one in world.versions()] == ["acknowledged", "superseded", "acknowledged"]
    assert world.minute(full=True)["lists"] == 0
    world.prove()


def test_old_bytes_are_forgotten_and_the_newest_full_ones_kept(world: World) -> None:
    world.minute(full=True)
    for list_type in ("tags", "plates"):
        world.ack(list_type, 1)
    world.block()
    world.minute()
    for list_type in ("tags", "plates"):
        world.ack(list_type, 2)
    world.at(world.now + 36 * DAY)
    assert world.minute(full=True)["forgotten"] == 2  # the changes; the full ones are still the newest
    world.ack("tags", 3)
    world.at(world.now + 36 * DAY)
    world.minute(full=True)
    kept = world.session.scalars(
        select(ListVersion.version).join(ListPart, ListPart.version_id == ListVersion.id).filter_by(list_type="tags")
    ).all()
    assert sorted(kept) == [3, 4]
