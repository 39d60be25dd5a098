"""Deliveries over HTTP: the list, and sending again."""

from __future__ import annotations

from flask.testing import FlaskClient
from sqlalchemy import text

from tests.integration.billing.delivery.conftest import Post
from tests.integration.conftest import Bearer


def test_an_agent_sends_again_once_what_the_customer_did_not_get(
    post: Post, client: FlaskClient, bearer: Bearer
) -> None:
    agreement, other = post.world.agreement(), post.world.agreement()
    post.invoice(agreement)
    post.tell(agreement, "reopened")
    post.run()
    post.execute("UPDATE deliveries SET state = 'dropped' WHERE id = (SELECT max(id) FROM deliveries)")
    rows = post.session.execute(text("SELECT id, number FROM agreements"))
    numbers = {row.id: row.number for row in rows}
    customer = post.session.scalar(text("SELECT customer_id FROM agreements WHERE id = :id"), {"id": agreement})
    path = f"/v1/agreements/{numbers[agreement]}/deliveries"
    agent = bearer("agent")

    assert client.get(path, headers=bearer("customer", customer_id=customer)).status_code == 403
    listed = client.get(f"{path}?limit=1", headers=agent).get_json()
    rest = client.get(f"{path}?after={listed['next']}", headers=agent).get_json()
    dropped, sent = listed["items"][0], rest["items"][0]
    assert (sent["template"], sent["invoice"], sent["state"], sent["recipient"], sent["repeatable"]) == (
        "invoice", 100000001, "sent", "kari@example.no", True,
    )  # fmt: skip
    assert (dropped["state"], dropped["repeatable"], rest["next"]) == ("dropped", False, None)

    def ask(where: str, key: str, **headers: str) -> tuple[int, dict[str, object]]:
        answer = client.post(f"{where}/send-again", headers={**agent, **headers, "Idempotency-Key": key})
        return answer.status_code, answer.get_json()

    one = f"{path}/{sent['id']}"
    assert client.post(f"{one}/send-again", headers=agent).status_code == 428
    assert client.post(f"{one}/send-again").status_code == 401
    for role in ("accountant", "operator"):
        assert ask(one, "r", **bearer(role))[0] == 403
    assert ask(one, "c", **bearer("customer", customer_id=customer))[0] == 403
    assert ask(f"/v1/agreements/{numbers[other]}/deliveries/{sent['id']}", "o")[0] == 404
    assert ask(f"{path}/99999", "u")[0] == 404
    assert ask(f"/v1/agreements/99999999/deliveries/{sent['id']}", "n")[0] == 404
    status, problem = ask(f"{path}/{dropped['id']}", "d")
    assert (status, problem["type"]) == (409, "/problems/no-longer-true")
    assert ask(one, "a") == (200, {"id": sent["id"], "already": False})
    assert ask(one, "a") == (200, {"id": sent["id"], "already": False})
    assert ask(one, "b") == (200, {"id": sent["id"], "already": True})
    post.run()
    assert post.states() == [("invoice", "sent"), ("reopened", "dropped"), ("invoice", "sent")]
    trail = "SELECT subject, detail->>'delivery' FROM audit_trail WHERE action = 'delivery.again'"
    post.session.rollback()
    assert post.session.execute(text(trail)).all() == [(f"agreement:{numbers[agreement]}", str(sent["id"]))]
