"""The card provider's account over HTTP, on the desk, by command and by job: who sees it, and what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

import app as front_door
from billing import schedule
from billing.cards import account
from billing.cards.gateway import CardGateway
from config.clock import now_utc
from config.jobs import JobContext
from config.settings import Settings
from simulator.gateway import GatewayServer
from simulator.gateway import account as theirs
from tests.integration.billing.cards.conftest import Driver, card_settings
from tests.integration.billing.cards.test_account import DAY, FEE, Office
from tests.integration.conftest import Bearer
from tests.integration.web.desk import signed_in

LOCK = {"k": "brikke job card_account"}


@pytest.fixture
def settings(tmp_path: object, stand_in: GatewayServer) -> Settings:
    """Settings with the stand-in as the card gateway."""
    return card_settings(tmp_path, stand_in)


@pytest.fixture
def office(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> Office:
    """An office in which a card has paid, and the account was read."""
    office = Office(driver, gateway, stand_in)
    office.pay()
    office.read()
    return office


def wrong(office: Office) -> None:
    """Let a payment be the provider's only."""
    office.sql("UPDATE attempts SET provider_ref = 'pi_elsewhere', called_at = called_at - interval '3 days'")
    office.sql("UPDATE card_transactions SET made_at = made_at - interval '3 days'")


def test_the_accountant_sees_it_over_http(client: FlaskClient, bearer: Bearer, office: Office) -> None:
    path = "/v1/card-reconciliation"
    answer = client.get(path, headers=bearer("accountant"))
    assert answer.status_code == 200, answer.json
    assert answer.get_json() | {"read_at": None} == {
        "ok": True, "clearing_ore": 20_000 - FEE, "read_ore": 20_000 - FEE, "balance_ore": 20_000 - FEE,
        "to_bank_ore": 0, "differing_ore": 0, "young_ore": 0, "rest_ore": 0, "count": 0, "read_at": None,
        "differences": [],
    }  # fmt: skip
    wrong(office)
    office.stand_in.fault("error", on="read", when="before")
    differing = client.get(path, headers=bearer("accountant")).get_json()
    assert (differing["ok"], differing["balance_ore"], differing["count"]) == (False, None, 2)
    assert sorted(one["word"] for one in differing["differences"]) == ["missing_here", "missing_there"]
    for role in ("agent", "lead", "operator"):
        assert client.get(path, headers=bearer(role)).status_code == 403
    assert client.get(path, headers=bearer("customer", customer_id=1)).status_code == 403
    assert client.get(path).status_code == 401


def test_the_desk_shows_it_to_those_who_keep_the_books(app: Flask, office: Office) -> None:
    office.days_later(1)
    office.read()
    accountant = signed_in(app, "accountant", "en")
    page = accountant.text("/card-account?ask=now")
    assert "Everything agrees" in page
    assert "under way" in page
    assert "The balance as the provider tells it now" in page
    assert "card-account" in accountant.get("/books").text
    wrong(office)
    assert "the provider does not have it" in accountant.text("/card-account")
    assert "finnes ikke hos leverandøren" in signed_in(app, "accountant", "nb").text("/card-account")
    for role in ("agent", "operator", "customer"):
        assert signed_in(app, role).get("/card-account").status_code in (302, 403)


def test_the_command_reads_first_and_names_what_differs(
    office: Office, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name, value in {
        "DATABASE_URL": database_url,
        "DEMO": "true",
        "BRIKKE_VAR": f"{tmp_path}/var",
        "STRIPE_API_KEY": "sk_test_x",
        "STRIPE_API_BASE": office.stand_in.url,
        "STRIPE_WEBHOOK_SECRETS": "whsec_x",
    }.items():
        monkeypatch.setenv(name, value)
    theirs.add_line(office.stand_in.world, "stripe_fee", -500)

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(front_door.main, ["cards", "reconcile", *arguments])
        return done.exit_code, done.output

    read, free = account.read, []

    def watched(*about: Any, **more: Any) -> dict[str, int]:
        with office.driver.sessions() as session:
            free.append(session.scalar(text("SELECT pg_try_advisory_xact_lock(hashtextextended(:k, 0))"), LOCK))
        return read(*about, **more)

    monkeypatch.setattr(account, "read", watched)
    code, said = run("--json")
    assert code == 0, said
    assert free == [False], "the day's own read waits meanwhile"
    assert json.loads(said.splitlines()[-1])["balance_ore"] == 19_500 - FEE
    wrong(office)
    code, said = run("--no-read")
    assert code == 1
    assert "missing_there payment  pi_elsewhere: ours NOK 200.00, theirs NOK 0.00" in said
    assert "2 differences." in said
    office.stand_in.fault("error", on="read", when="before")
    code, said = run()
    assert code == 1
    assert "cannot be read" in said


def test_the_job_reads_it_daily(
    settings: Settings, driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    office = Office(driver, gateway, stand_in)
    office.pay()
    row = schedule.job("card_account")
    assert row is not None
    assert (row.when, row.function()) == ("50 4 * * *", account.job)
    context = JobContext(sessions=driver.sessions, settings=settings)
    for lines in (1, 0):
        assert account.job(context, now_utc() - DAY)["lines"] == lines
    with driver.sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM transfers WHERE code = 'card_cost'")) == 1
