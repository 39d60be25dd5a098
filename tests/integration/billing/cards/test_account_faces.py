"""The card provider's account over HTTP, on the desk, by command and by job: who sees it, and what it says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import structlog
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
    office.sql("UPDATE attempts SET provider_ref = 'pi_elsewhere', changed_at = changed_at - interval '3 days'")
    office.sql("UPDATE card_transactions SET made_at = made_at - interval '3 days'")


def test_the_accountant_sees_it_over_http(client: FlaskClient, bearer: Bearer, office: Office) -> None:
    path = "/v1/card-reconciliation"
    answer = client.get(path, headers=bearer("accountant"))
    assert answer.status_code == 200, answer.json
    assert answer.get_json() | {"read_at": None} == {
        "ok": True, "clearing_ore": 20_000 - FEE, "read_ore": 20_000 - FEE, "balance_ore": 20_000 - FEE,
        "balance_lines_ore": 20_000 - FEE, "balance_differs": False,
        "to_bank_ore": 0, "differing_ore": 0, "young_ore": 0, "rest_ore": 0, "count": 0, "read_at": None,
        "differences": [],
    }  # fmt: skip
    wrong(office)
    theirs.add_line(office.stand_in.world, "stripe_fee", -500)
    differing = client.get(path, headers=bearer("accountant")).get_json()
    assert (differing["ok"], differing["balance_ore"], differing["count"]) == (False, 20_000 - FEE, 2)
    assert sorted(one["word"] for one in differing["differences"]) == ["missing_here", "missing_there"]
    assert client.get(path, headers=bearer("lead")).status_code == 200, "as on the page"
    for role in ("agent", "operator"):
        assert client.get(path, headers=bearer(role)).status_code == 403
    assert client.get(path, headers=bearer("customer", customer_id=1)).status_code == 403
    assert client.get(path).status_code == 401


def test_the_desk_shows_it_to_those_who_keep_the_books(app: Flask, office: Office) -> None:
    office.days_later(1)
    office.read()
    accountant = signed_in(app, "accountant", "en")
    page = accountant.text("/card-account")
    assert "Everything agrees" in page
    assert "under way" in page
    assert "The balance as the provider told it then" in page
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
    office.sql("UPDATE card_account_reads SET balance_ore = balance_ore + 1")
    code, said = run("--no-read")
    assert (code, said.splitlines()[-1]) == (1, "Wrong: the balance is another.")
    office.sql("UPDATE card_account_reads SET balance_ore = balance_ore - 1")
    assert run("--no-read")[0] == 0
    wrong(office)
    code, said = run("--no-read")
    assert code == 1
    assert "missing_there payment  pi_elsewhere: ours NOK 200.00, theirs NOK 0.00" in said
    assert said.splitlines()[-1] == "Wrong: 2 differences."
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


def test_the_job_says_where_something_differs(
    settings: Settings, office: Office, app: Flask, client: FlaskClient
) -> None:
    context = JobContext(sessions=office.driver.sessions, settings=settings)
    with structlog.testing.capture_logs() as said:
        assert account.job(context, now_utc())["wrong"] == 0
    assert said == []
    assert _gauge(client) == 0
    accountant, pile = signed_in(app, "accountant", "en"), "differences in the card account"
    assert f"0 {pile}" in accountant.text("/")
    wrong(office)
    with structlog.testing.capture_logs() as said:
        assert account.job(context, now_utc())["wrong"] == 2
    [warned] = said
    assert (warned["event"], warned["log_level"], warned["differences"]) == ("card_account.differs", "warning", 2)
    assert warned["first"].startswith("missing_")
    assert _gauge(client) == 2
    for who in ("accountant", "lead"):
        assert f"2 {pile}" in signed_in(app, who, "en").text("/")
    assert pile not in signed_in(app, "agent", "en").text("/")


def test_a_ledger_that_is_wrong_and_a_balance_that_differs_count_too(settings: Settings, office: Office) -> None:
    office.sql("UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'card_cost'")
    context = JobContext(sessions=office.driver.sessions, settings=settings)
    with structlog.testing.capture_logs() as said:
        assert account.job(context, now_utc())["wrong"] == 1
    assert [(one["differences"], one["rest_ore"], one["first"]) for one in said] == [(0, -1, None)]


def test_the_accountant_has_it_read_now(app: Flask, office: Office) -> None:
    accountant = signed_in(app, "accountant", "en")
    assert "Read the account now" in accountant.text("/card-account")
    answer = accountant.post("/card-account/read")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/support/card-account?read=now")
    assert "The account is being read" in accountant.text("/card-account?read=now")
    with office.driver.sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'card_account'")) == 1
        assert session.scalar(text("SELECT count(*) FROM audit_trail WHERE subject = 'card_account'")) == 1
    assert signed_in(app, "agent").post("/card-account/read").status_code == 403


def _gauge(client: FlaskClient) -> int:
    said = client.get("/metrics").get_data(as_text=True)
    found = re.search(r"^brikke_card_account_differences (\d+)$", said, re.MULTILINE)
    assert found is not None, said
    last = re.search(r"^brikke_card_account_last_seconds (\d+)$", said, re.MULTILINE)
    assert last is not None
    assert int(last[1]) > 1_700_000_000
    return int(found[1])
