"""Reopening over HTTP."""

from __future__ import annotations

from flask.testing import FlaskClient

from billing.collection.overdue import find_reach, step
from config.clock import move_clock
from tests.integration.billing.books import DAY, DUE, OURS, Books, body, noon
from tests.integration.conftest import Bearer

GRACE_OVER = DUE + 3 * DAY


def test_reopening_takes_an_agent_contact_and_everything_paid(
    books: Books, client: FlaskClient, bearer: Bearer
) -> None:
    invoice = books.invoice(books.agreement(), 10_000)
    step(books.session, find_reach(books.session, [OURS], GRACE_OVER), 0, GRACE_OVER, noon(GRACE_OVER))
    move_clock(books.session, noon(GRACE_OVER), running=False)
    books.session.commit()
    path = f"/v1/agreements/{books.number(invoice.agreement)}/reopen"
    what = {"channel": "phone", "note": "Called."}
    agent = bearer("agent")
    assert client.post(path, json=what, headers=agent).status_code == 428
    refused = client.post(path, json=what, headers={**agent, "Idempotency-Key": "a"})
    assert (refused.status_code, body(refused)["type"]) == (409, "/problems/still-due")
    assert body(refused)["due"] == [
        {"invoice": invoice.number, "kid": invoice.kid, "open_ore": 10_000, "due_on": DUE.isoformat()}
    ]
    books.pay(invoice.kid, 10_000, GRACE_OVER)
    books.session.commit()
    assert client.post(path, json={}, headers={**agent, "Idempotency-Key": "b"}).status_code == 422
    customer = books.one("SELECT customer_id FROM agreements")
    own = {**bearer("customer", customer_id=customer), "Idempotency-Key": "c"}
    assert client.post(path, json=what, headers=own).status_code == 403
    done = client.post(path, json=what, headers={**agent, "Idempotency-Key": "a"})
    assert done.status_code == 200, body(done)
    assert (body(done)["standing"], body(done)["already"]) == ("open", False)
    repeat = client.post(path, json=what, headers={**agent, "Idempotency-Key": "a"})
    assert body(repeat) == body(done)
    assert books.value("SELECT detail->>'channel' FROM audit_trail WHERE action = 'agreement.reopen'") == "phone"
    other = client.post("/v1/agreements/99999999/reopen", json=what, headers={**agent, "Idempotency-Key": "d"})
    assert other.status_code == 404
