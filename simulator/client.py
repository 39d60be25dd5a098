"""HTTP to Brikke: one connection pool, a token per role, problems as exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from simulator import tls

Json = dict[str, Any]
TokenMaker = Callable[[str, str | None], str]
"""Makes a token: (role, whose) → text; whose is an agreement's number for customers, a code for chargers."""


class Refused(Exception):
    """Brikke answered with a problem. `problem` is its JSON, `status` the HTTP status."""

    def __init__(self, asked: str, status: int, problem: Json) -> None:
        errors = f" {problem['errors']}" if problem.get("errors") else ""
        super().__init__(f"{asked}: {status} {problem.get('detail', problem)}{errors}")
        self.status = status
        self.problem = problem


class Client:
    """Calls the API at `base_url`. Tokens are made once per (role, whose) and kept."""

    def __init__(self, base_url: str, make_token: TokenMaker) -> None:
        self.base_url = base_url
        self._make_token = make_token
        self._tokens: dict[tuple[str, str | None], str] = {}
        self._http = httpx.Client(base_url=base_url, timeout=60.0, trust_env=False, verify=tls.context())
        self._keys = 0

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def prepare(self, wanted: Sequence[tuple[str, str | None]]) -> None:
        """Make several tokens at once: each is a process of its own."""
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(lambda key: self._token(*key), wanted))

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str = "agent",
        whose: str | None = None,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Ask, as a role; return the answer. Raises Refused for 400 and above."""
        sent = {"Authorization": f"Bearer {self._token(role, whose)}", **(headers or {})}
        answer = self._http.request(
            method,
            path,
            json=body if content is None else None,
            content=content,
            params={name: value for name, value in (params or {}).items() if value is not None},
            headers=sent,
        )
        if answer.status_code >= 400:
            try:
                problem = answer.json()
            except ValueError:
                problem = {"detail": answer.text[:500]}
            raise Refused(f"{method} {path}", answer.status_code, problem)
        return answer

    def get(self, path: str, *, role: str = "agent", whose: str | None = None, **params: Any) -> Json:
        """Read something."""
        found: Json = self.call("GET", path, role=role, whose=whose, params=params).json()
        return found

    def post(self, path: str, body: Any, *, role: str = "agent", whose: str | None = None) -> Json:
        """Do something; each call carries a key of its own, so that none is done twice."""
        self._keys += 1
        headers = {"Idempotency-Key": f"simulator-{id(self)}-{self._keys}"}
        answer = self.call("POST", path, body, role=role, whose=whose, headers=headers)
        found: Json = answer.json() if answer.content else {}
        return found

    def pages(self, path: str, *, role: str = "agent", whose: str | None = None, **params: Any) -> Iterator[Json]:
        """Read every item of a list, page by page."""
        after = None
        while True:
            page = self.get(path, role=role, whose=whose, after=after, limit=200, **params)
            yield from page["items"]
            after = page.get("next")
            if after is None:
                return

    def _token(self, role: str, whose: str | None) -> str:
        key = (role, whose)
        if key not in self._tokens:
            self._tokens[key] = self._make_token(role, whose)
        return self._tokens[key]
