"""Credit on its way out, to an account or to a card: the lists of what waits, and what is done there about one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, request, url_for
from sqlalchemy.orm import Session

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.queries import by_number
from config import http
from config.problems import Conflict, Forbidden, NotFound
from web import words
from web.support.blueprint import Page, subject


@dataclass(frozen=True)
class Leaving:
    """What is of one kind.

    ``endpoint``: its list. ``states``: those that it can be asked for by; else it shows all. ``key``: what the trail
    calls the id of one. ``shown``: one by its id. ``word``: how one stands. ``refusals``: what is said where something
    is not possible, by the problem's slug.
    """

    endpoint: str
    states: Sequence[str]
    key: str
    shown: Callable[[Session, int], Mapping[str, Any]]
    word: Callable[[str], tuple[str, str]]
    refusals: Callable[[], Mapping[str, str]]

    def state(self) -> str | None:
        """Return the state that the list is asked for by; None for all."""
        asked = request.args.get("state", "requested")
        return asked if asked in self.states else None

    def back(self) -> Page:
        """Go back to where one is listed."""
        asked = request.form.get("state", "")
        return redirect(url_for(self.endpoint, state=asked if asked in self.states else "all"), 303)

    def act(
        self, number: int, action: str, verb: Callable[..., object], /, note: str | None = None, **about: Any
    ) -> Page:
        """Do something about one as whoever asks, now, write it in the trail, and go back to where it is listed."""
        session, who, now = http.current_session(), principal(), http.request_now()
        try:
            verb(session, number, actor=who.key, now=now, **about)
        except (Conflict, Forbidden) as problem:
            return self._refused(problem)
        row = self.shown(session, number)
        one = by_number(session, row["agreement"])
        trail.record(session, who, action, subject(one), now, note, {self.key: number})
        flash(f"{words.kroner(row['amount_ore'])}: {self.word(row['state'])[0]}.", "good")
        return self.back()

    def _refused(self, problem: Conflict | Forbidden | NotFound) -> Page:
        http.current_session().rollback()
        said = {
            "second-person": words.t(
                "Den som ba om den, kan ikke godkjenne den.", "Who asked for it cannot approve it."
            ),
            **self.refusals(),
        }.get(problem.type.removeprefix("/problems/"))
        flash(said or words.t("Det går ikke slik den står nå.", "Not possible as it stands now."), "bad")
        return self.back()
