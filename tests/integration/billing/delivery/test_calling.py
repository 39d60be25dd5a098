"""Calling a partner: every limit on an answer, what surely was not sent, and when to stop trying."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from billing.delivery import calling
from billing.delivery.calling import GIVE_UP_AFTER, NoReply, Patience, Reply, each
from simulator.eboks.server import EboksServer


@pytest.fixture
def server() -> Iterator[EboksServer]:
    with EboksServer("key") as made:
        yield made


def call(url: str, seconds: float = 5.0) -> Reply:
    with calling.client(seconds) as by:
        return calling.call(by, "GET", f"{url}/messages/x", headers={}, seconds=seconds)


def missed(url: str, seconds: float = 5.0) -> tuple[str, bool]:
    with pytest.raises(NoReply) as caught:
        call(url, seconds)
    return caught.value.why, caught.value.sent


def test_an_answer_is_as_large_as_it_may_be_and_no_larger(server: EboksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.fault("garbage", what="huge")
    assert missed(server.url) == ("answer_too_large", True)
    body = call(server.url).body
    monkeypatch.setattr(calling, "MAX_ANSWER", len(body))
    assert call(server.url).body == body
    monkeypatch.setattr(calling, "MAX_ANSWER", len(body) - 1)
    assert missed(server.url) == ("answer_too_large", True)


def test_an_answer_in_drops_takes_no_longer_than_one_at_once(server: EboksServer) -> None:
    server.fault("slow", seconds=8)
    assert missed(server.url, 1.0) == ("answer_too_slow", True)


def test_what_had_no_answer_may_have_been_sent_unless_nobody_was_there(server: EboksServer) -> None:
    server.fault("timeout", hold_seconds=3)
    assert missed(server.url, 0.5) == ("timeout", True)
    server.fault("timeout", hold_seconds=0)
    assert missed(server.url) == ("broken_off", True)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert missed(f"http://127.0.0.1:{nobody.getsockname()[1]}") == ("unreachable", False)


def test_patience_ends_after_so_many_in_a_row_and_an_answer_gives_it_back() -> None:
    patience, answer = Patience(), Reply(200, httpx.Headers(), b"")
    tries: list[int] = []

    def silent() -> Reply:
        tries.append(1)
        raise NoReply("timeout", sent=True)

    def tried(send: Callable[[], Reply] = silent) -> str:
        try:
            patience.tried(send)
        except NoReply as error:
            return error.why
        return "answered"

    assert [tried() for _ in range(GIVE_UP_AFTER - 1)] == ["timeout"] * (GIVE_UP_AFTER - 1)
    assert tried(lambda: answer) == "answered"
    assert [tried() for _ in range(GIVE_UP_AFTER + 2)] == ["timeout"] * GIVE_UP_AFTER + ["not_tried"] * 2
    assert len(tries) == 2 * GIVE_UP_AFTER - 1
    assert tried(lambda: answer) == "not_tried"


def test_results_are_in_the_order_of_what_was_asked() -> None:
    assert each(range(50), lambda number: number * 2) == list(range(0, 100, 2))
    assert each([], lambda number: number) == []
    with pytest.raises(ZeroDivisionError):
        each([1, 0], lambda number: 1 // number)
