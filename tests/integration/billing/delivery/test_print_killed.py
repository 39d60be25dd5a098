"""Who puts or reads letters is killed at any point: each letter is printed once, and its confirmation counts once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from billing.delivery.paper import jobs
from billing.delivery.paper.places import Folder
from tests.integration.billing.delivery.conftest import Post
from tests.integration.billing.delivery.test_print_house import Print


class Killed(BaseException):
    """Nobody catches this: what was committed by then is all there is."""


class Dying(Folder):
    """A place at which one dies, before or after the n-th thing that is done."""

    def __init__(self, folder: Path, at: int) -> None:
        super().__init__(folder, 0)
        self.left = at

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def put(self, name: str, content: bytes) -> None:
        self._step()
        super().put(name, content)
        self._step()

    def fetch(self, file: Any) -> bytes:
        self._step()
        return super().fetch(file)

    def clear(self, file: Any, *, refused: bool) -> None:
        self._step()
        super().clear(file, refused=refused)
        self._step()


@pytest.mark.parametrize("at", range(6))
def test_killed_at_any_step_each_letter_is_printed_and_settled_once(post: Post, tmp_path: Path, at: int) -> None:
    paper = Print(post, tmp_path / "print")
    for _ in range(2):
        paper.letter()
    paper.write()
    dying = Dying(paper.folder, at)
    counts: Counter[str] = Counter()
    for work in (jobs.put_all, jobs.read_all):
        try:
            work(post.sessions, dying, counts)
        except Killed:
            dying.left = 10**9
        paper.house.look()
    for _ in range(2):
        paper.round()
    assert paper.states() == ["delivered", "delivered"]
    assert [len(letters) for letters in paper.house.books().values()] == [2]
    assert paper.out() == []
    assert {row.cost_ore for row in paper.rows()} == {1850}
