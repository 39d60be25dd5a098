"""The exchange with a charger in a browser: long names and errors fit a phone, and a file is sent again by a click."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from accounts.chargers.models import Charger, ListVersion
from billing.roadside.exchange.models import Exchange, Incoming, Outgoing
from tests.browser.conftest import Site
from tests.browser.desk import assert_all_fit, sign_in

NOW = dt.datetime(2026, 3, 20, 7, tzinfo=dt.UTC)
LONG = "passages-2026-03-19-FJELL-HUB-000000000000000000000000000000017.answers.jsonl"


@pytest.fixture
def code(site: Site) -> str:
    """A charger whose server is away, with files in each state."""
    with site.town.sessions.begin() as session:
        charger = session.scalars(select(Charger).order_by(Charger.id)).first()
        assert charger is not None
        session.add(
            Exchange(
                charger_id=charger.id, kind="sftp", host="sftp.fjell.example", port=22, username="brikke",
                host_key="SHA256:" + "a" * 43, remote_in="to-brikke", remote_out="from-brikke", key_file="fjell.key",
                attempts=3, next_at=NOW, reached_at=NOW, error="connect sftp.fjell.example:22: Connection refused",
            )
        )  # fmt: skip
        sent: dict[str, Any] = {"state": "sent", "sent_at": NOW, "sha256": b"x", "size": 5}
        full = f"put from-brikke/.{LONG}.part: Failure (no space left on the device)"
        out: list[tuple[str, str, dict[str, Any]]] = [
            ("answers", LONG, sent | {"sends": 2}),
            ("amended_answers", "amended-000000017.answers.jsonl", {"next_at": NOW}),
            ("refusal", "b.refused.json", {"state": "failed", "attempts": 9, "next_at": NOW, "error": full}),
        ]
        for number, (kind, name, values) in enumerate(out, 1):
            session.add(Outgoing(charger_id=charger.id, kind=kind, ref=str(number), name=name, made_at=NOW, **values))
        for name, more in (
            ("ack-17.xml", {"what": "ack", "outcome": "noted", "state": "done", "taken_at": NOW}),
            (LONG, {"outcome": "refused", "state": "done", "taken_at": NOW, "line": 3,
                    "error": "it is neither JSON nor CSV nor XML"}),
            ("far-too-large.jsonl", {"outcome": "refused", "state": "left", "taken_at": NOW}),
        ):  # fmt: skip
            session.add(Incoming(charger_id=charger.id, way="sftp", name=name, size=5, mtime_ns=0, seen_at=NOW, **more))
        for number, state in enumerate(("acknowledged", "rejected", "sent"), 1):
            session.add(
                ListVersion(
                    charger_id=charger.id, list_type="tags", version=number, kind="incremental", from_change=1,
                    through_change=0, format="jsonl", name=f"{number}.jsonl.gz", row_count=1, size=5, sha256=b"x",
                    state=state, made_at=NOW, sent_at=NOW, attempts=number,
                    acknowledged_at=NOW if state == "acknowledged" else None, next_at=NOW if state == "sent" else None,
                    error="line 2: unknown PAN" if state == "rejected" else None,
                )
            )  # fmt: skip
        return charger.code


@pytest.mark.parametrize("language", ["nb", "en"])
def test_the_pages_of_an_exchange_fit(page: Page, site: Site, code: str, language: str) -> None:
    sign_in(page, site, "Lars Leder")
    if language == "en":
        page.get_by_role("button", name="English").click()
    assert_all_fit(page, site, ["/roadside", f"/roadside/{code}", f"/roadside/{code}/exchange"])


def test_a_file_is_sent_again(page: Page, site: Site, code: str) -> None:
    sign_in(page, site, "Lars Leder")
    page.goto(f"{site.url}/support/roadside/{code}")
    page.get_by_role("link", name="Svar og lister ut").click()
    region = page.get_by_role("region", name="Filer ut")
    expect(region).to_contain_text("9 mislykkede forsøk")
    region.get_by_role("listitem").filter(has_text="b.refused.json").get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("b.refused.json sendes på nytt")
    expect(region).not_to_contain_text("mislykkede forsøk")
