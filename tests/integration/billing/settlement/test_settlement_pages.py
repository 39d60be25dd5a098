"""The support desk's pages of settlement: who sees them, and a settlement from draft to paid by its forms."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from billing.roadside.reconcile import keep
from billing.roadside.reconcile.check import reconcile
from billing.roadside.settlement import outbox
from billing.roadside.settlement.claim import ClaimLine
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.passages.conftest import NOW
from tests.integration.billing.settlement.conftest import OVER, World


def browser(app: Flask, role: str, who: str = "kari") -> FlaskClient:
    """A browser in which somebody of this role is signed in."""
    client = app.test_client()
    with client.session_transaction() as held:
        since = int(dt.datetime.now(dt.UTC).timestamp())
        held.update({"who": {"sub": who, "role": role}, "since": since, "seen": since, "csrf": "token"})
    return client


@pytest.fixture
def settled(world: World) -> int:
    """March is a draft; the charger's claim lacks a passage."""
    world.drive("A", 100_000)
    world.account()
    world.claim([ClaimLine("A", None, 90_000)])
    row = world.settle()
    move_clock(world.session, OVER, running=False)
    world.session.commit()
    return row.id


def test_from_draft_to_paid(
    app: Flask, world: World, settled: int, sessions: SessionFactory, settings: Settings
) -> None:
    accountant, lead, same = browser(app, "accountant"), browser(app, "lead", "ola"), browser(app, "lead", "kari")
    at = f"/support/settlement/{settled}"

    def post(who: FlaskClient, path: str, **fields: str) -> str:
        return who.post(f"{at}/{path}", data={"csrf_token": "token", **fields}, follow_redirects=True).text

    page = accountant.get(at).text
    assert "1 avvik" in page
    assert "annet beløp" in page
    assert "Kravet fra operatøren avviker" in post(accountant, "agree")
    assert "Bestill 982,50" in post(accountant, "agree", note="They found it.").replace("\u202f", " ").replace(
        "\xa0", " "
    )
    assert "venter på frigivelse" in post(accountant, "order")
    ((order,),) = world.road.ask("SELECT id FROM charger_orders")
    assert "Det må en annen gjøre" in post(same, f"orders/{order}/release")
    assert "frigitt" in post(lead, f"orders/{order}/release")
    early = post(accountant, f"orders/{order}/paid", reference="R1", paid_on="2026-04-01")
    assert "Banken har ikke fått filen ennå" in early
    outbox.job(JobContext(sessions, settings), OVER)
    assert "Det er gjort" not in post(accountant, f"orders/{order}/paid", reference="R1", paid_on="soon")
    assert "betalt" in post(accountant, f"orders/{order}/paid", reference="R1", paid_on="2026-04-01")
    world.session.rollback()
    assert world.payable() == 0
    done = world.road.ask("SELECT action FROM audit_trail WHERE subject = :s ORDER BY id", s=f"settlement:{settled}")
    assert [row[0] for row in done] == ["settlement.agree", "settlement.order", "order.release", "order.paid"]


def test_a_replaced_claim_is_said_to_be_and_does_not_count(app: Flask, world: World, settled: int) -> None:
    world.claim([ClaimLine("A", None, 100_000)], number="2026-03b")
    world.session.commit()
    accountant = browser(app, "accountant")
    page = accountant.get(f"/support/settlement/{settled}").text
    assert (page.count("erstattet"), page.count("1 avvik"), page.count("stemmer")) == (1, 0, 1)
    english = browser(app, "lead")
    with english.session_transaction() as held:
        held["language"] = "en"
    assert "A later claim counts in its place." in english.get(f"/support/settlement/{settled}").text
    agreed = accountant.post(
        f"/support/settlement/{settled}/agree", data={"csrf_token": "token"}, follow_redirects=True
    )
    assert "Bestill" in agreed.text


def test_taken_back_and_refused(
    app: Flask, world: World, settled: int, sessions: SessionFactory, settings: Settings
) -> None:
    accountant, lead = browser(app, "accountant"), browser(app, "lead", "ola")
    at = f"/support/settlement/{settled}"
    accountant.post(f"{at}/agree", data={"csrf_token": "token", "note": "x"})
    for number, (who, path, state) in enumerate(
        ((accountant, "withdraw", "withdrawn"), (accountant, "rejected", "rejected")), 1
    ):
        accountant.post(f"{at}/order", data={"csrf_token": "token"})
        world.session.rollback()
        ((order,),) = world.road.ask("SELECT max(id) FROM charger_orders")
        if path == "rejected":
            lead.post(f"{at}/orders/{order}/release", data={"csrf_token": "token"})
            early = {"csrf_token": "token", "why": "wrong"}
            said = who.post(f"{at}/orders/{order}/{path}", data=early, follow_redirects=True).text
            assert "Banken har ikke fått filen ennå" in said
            outbox.job(JobContext(sessions, settings), OVER)
        who.post(f"{at}/orders/{order}/{path}", data={"csrf_token": "token"})  # without a reason: nothing
        who.post(f"{at}/orders/{order}/{path}", data={"csrf_token": "token", "why": "wrong"})
        world.session.rollback()
        assert world.road.ask("SELECT count(*), max(state) FROM charger_orders WHERE id = :o", o=order) == [(1, state)]
        assert world.road.ask("SELECT count(*) FROM charger_orders") == [(number,)]


def test_days_that_do_not_hold_come_first(app: Flask, world: World, settled: int) -> None:
    world.session.execute(text("UPDATE batches SET file_number = id * 2, sender = 'HUB'"))
    world.drive("B", 500, at=NOW)
    world.session.execute(text("UPDATE batches SET file_number = 9, sender = 'HUB' WHERE file_number IS NULL"))
    world.session.execute(text("UPDATE transfers SET amount_ore = 1 WHERE amount_ore = 500"))
    keep.keep(world.session, reconcile(world.session, NOW.date(), NOW.date(), now=OVER), OVER)
    world.session.commit()
    page = browser(app, "operator").get("/support/settlement").text
    assert "booked on its payable are 100001" in page
    assert "Filer som ikke er ferdig mottatt" in page
    assert "Filnumre som mangler" in page


def test_a_day_that_holds_says_what_came_of_its_records(app: Flask, world: World, settled: int) -> None:
    world.drive("B", 500, at=NOW)
    world.session.execute(text("UPDATE batches SET state = 'done', finished_at = :now"), {"now": OVER})
    keep.keep(world.session, reconcile(world.session, NOW.date(), NOW.date(), now=OVER), OVER)
    world.session.commit()
    page = " ".join(browser(app, "operator").get("/support/settlement").text.split())
    assert re.search(r"\d+ poster: \d+ godtatt", page), page


@pytest.mark.parametrize(("role", "status"), [("accountant", 200), ("lead", 200), ("operator", 200), ("agent", 403)])
def test_who_sees_it(app: Flask, settled: int, role: str, status: int) -> None:
    assert browser(app, role).get("/support/settlement").status_code == status
    assert browser(app, role).get(f"/support/settlement/{settled}").status_code == status


def test_an_operator_changes_nothing(app: Flask, world: World, settled: int) -> None:
    operator = browser(app, "operator")
    assert "Godkjenn" not in operator.get(f"/support/settlement/{settled}").text
    said = operator.post(f"/support/settlement/{settled}/agree", data={"csrf_token": "token", "note": "x"})
    assert said.status_code == 403
    assert operator.get("/support/settlement/4711").status_code == 404
