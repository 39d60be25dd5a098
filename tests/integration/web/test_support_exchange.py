"""Files to and from a charger on the support desk: what went out, what did not arrive, and sending it again."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import update

from billing.roadside.exchange.models import Exchange, Outgoing
from config.clock import now_utc
from tests.integration.billing.passages.conftest import NOW, road
from tests.integration.billing.roadside.exchange.conftest import Party, lines, party, remote, server
from tests.integration.web.desk import Signed, signed

__all__ = ["party", "remote", "road", "server", "signed"]
PAGE = "/roadside/FJELL/exchange"
STAFF = ("agent", "lead", "accountant", "operator")


def filled(party: Party) -> int:
    """One file of records that is answered, one that is cut off, one that is none; the answer's row."""
    party.put("a.jsonl", lines("A"))
    party.put("b.jsonl", lines("B")[:-20])
    party.put("what.bin", b"\x00\x01")
    party.look()
    ((row,),) = party.ask("SELECT id FROM outgoing_files WHERE name = 'a.answers.jsonl'")
    return int(row)


def test_what_went_out_and_what_came_besides(party: Party, signed: Signed) -> None:
    filled(party)
    text = signed("agent").text(PAGE)
    ((batch,),) = party.ask("SELECT id FROM batches WHERE state = 'done'")
    assert f"a.answers.jsonl svar på fil {batch} , sendt".replace(" ,", ",") in text.replace(" ,", ",")
    assert "b.refused.json beskjed om avvist fil" in text
    came = text[text.index("Kom inn, ikke poster") :]
    assert "what.bin ukjent innhold" in came
    assert "avvist" in came
    assert "a.jsonl" not in came  # files of records are on the charger's page, once
    english = signed("operator", "en").get(PAGE)
    assert 'lang="en"' in english.text
    assert "Send again" in english.text
    assert f"/support{PAGE}" in signed("agent").get("/roadside/FJELL").text


def test_what_does_not_get_through_is_said_where_somebody_looks(party: Party, signed: Signed) -> None:
    row = filled(party)
    operator = signed("operator")
    for page in (PAGE, "/roadside", "/roadside/FJELL"):
        assert "kommer ikke frem" not in operator.text(page)
    with party.sessions.begin() as session:
        values = {"state": "failed", "attempts": 7, "error": "put: No space left", "next_at": now_utc()}
        session.execute(update(Outgoing).where(Outgoing.id == row).values(values))
    for page in (PAGE, "/roadside", "/roadside/FJELL"):
        assert "Én fil kommer ikke frem." in operator.text(page), page
    text = operator.text(PAGE)
    assert "7 mislykkede forsøk" in text
    assert "put: No space left" in text
    failed = operator.text(f"{PAGE}?state=failed")
    assert "a.answers.jsonl" in failed
    assert "b.refused.json" not in failed


def test_a_server_that_is_not_reached(remote: Party, signed: Signed) -> None:
    with remote.sessions.begin() as session:
        session.execute(update(Exchange).values(attempts=3, error="connect: refused", next_at=NOW))
    assert "connect: refused" in signed("agent").text(PAGE)
    assert "Serveren nås ikke." in signed("agent").text("/roadside")
    with remote.sessions.begin() as session:
        session.execute(update(Exchange).values(enabled=False))
    assert "Serveren nås ikke." not in signed("agent").text("/roadside")
    assert "Utvekslingen er slått av." in signed("agent").text(PAGE)


def test_sent_again_by_operators_and_leads(party: Party, signed: Signed) -> None:
    row = filled(party)
    again = f"{PAGE}/{row}/again"
    file = party.folder / "out" / "a.answers.jsonl"
    before = file.read_bytes()
    file.unlink()
    for role in ("agent", "accountant", "customer"):
        assert signed(role).post(again).status_code == 403, role
    assert "Send på nytt" not in signed("agent").text(PAGE)
    operator = signed("operator")
    assert operator.client.post(f"/support{again}").status_code == 403  # no token of the form
    assert party.look() == {}
    assert operator.post(again).status_code == 303
    text = operator.text(PAGE)
    assert "a.answers.jsonl sendes på nytt innen et minutt." in text
    assert party.look() == {"sent": 1}
    assert file.read_bytes() == before
    assert "2 ganger" in operator.text(PAGE)
    assert party.ask("SELECT role, subject FROM audit_trail WHERE action = 'exchange.resend'") == [
        ("operator", "charger:FJELL")
    ]
    assert signed("lead").post(f"/roadside/FJORD/exchange/{row}/again").status_code == 404
    assert signed("lead").post(f"{PAGE}/4711/again").status_code == 404


def test_what_is_switched_off_says_that_it_waits(party: Party, signed: Signed) -> None:
    row = filled(party)
    party.keep(kind="folder", enabled=False)
    operator = signed("operator")
    operator.post(f"{PAGE}/{row}/again")
    assert "a.answers.jsonl venter til den slås på." in operator.text(PAGE)


def test_for_our_people_only_and_page_by_page(party: Party, signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.support.exchange.PAGE", 1)
    for role in STAFF:
        assert signed(role).get(PAGE).status_code == 200, role
    assert signed("customer").get(PAGE).status_code == 403
    assert signed("agent").get("/roadside/NONE/exchange").status_code == 404
    filled(party)
    first = signed("agent").get(PAGE).text
    newest = party.ask("SELECT name FROM outgoing_files ORDER BY id DESC")
    assert newest[0][0] in first
    assert newest[-1][0] not in first
    after = re.search(r"[?]after=([^\"]+)", first)
    assert after is not None
    assert newest[1][0] in signed("agent").get(f"{PAGE}?after={after[1]}").text
