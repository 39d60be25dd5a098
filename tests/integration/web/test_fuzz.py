"""Every operation under fuzzing from the application's own document: no 5xx, problems on errors, answers as promised.

Bounded: a few examples an operation, half of them aimed at things that exist in a small world.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks
from sqlalchemy.orm import Session

from accounts.chargers.keep import ChargerGiven, keep_charger
from accounts.chargers.rules import LIST_TYPES
from accounts.customers.sign_up import sign_up
from billing.roadside.exchange.keep import ExchangeGiven, keep_exchange
from billing.roadside.lists.acknowledge import acknowledge
from billing.roadside.lists.cut import cut
from config.clock import move_clock
from tests.integration.conftest import Bearer

NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
KARI = {
    "name": "Kari Nordmann",
    "email": "kari@example.no",
    "phone": "+4799999999",
    "street": "Storgata 1",
    "postal_code": "0150",
    "city": "Oslo",
    "country": "NO",
    "language": "nb",
}
EXAMPLES = 6
OURS = re.compile(r"/v1/(agreements/{number}|chargers/{code})(/[a-z-]+)?")
"""Lists and things of the world's agreement and charger."""
ABSENT = {"GET /v1/agreements/{number}/card"}  # registering one takes the gateway
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


succeeded: set[str] = set()
"""Operations that answered with success at least once: fuzzing that only ever gets 404 and 422 shows little."""


class Refused(AssertionError):
    """An answer that is not as promised."""


@pytest.fixture
def world(session: Session) -> dict[str, Any]:
    """A customer with an agreement, and a charger: values for paths, and scopes for tokens."""
    move_clock(session, NOW, running=True)
    charger, _ = keep_charger(session, ChargerGiven("FJELL", "Fjellveien AS", "toll", lists="pull"), NOW)
    keep_exchange(session, charger, ExchangeGiven("folder"))
    made = sign_up(session, "private", KARI, now=NOW, actor="test")
    for list_type in LIST_TYPES:  # acknowledged, so that nothing that is sent here can reject it
        version = cut(session, charger, list_type, "full", NOW)
        assert version is not None
        acknowledge(session, charger, list_type, version.version, accepted=True, now=NOW)
    session.commit()
    return {
        "paths": {"number": made.agreement.number, "code": "FJELL"},
        "scopes": {"customer": {"customer_id": made.customer.id}, "charger": {"charger": "FJELL"}},
    }


def problem_on_errors(_ctx: Any, response: Any, case: Any) -> None:
    """Check that every error is a problem with its members; note who succeeded."""
    if response.status_code < 400:
        succeeded.add(case.operation.label)
    if response.status_code >= 400:
        kind = response.headers["content-type"][0]
        if kind != "application/problem+json":
            raise Refused(f"{response.status_code} as {kind}")
        missing = {"type", "title", "status", "detail", "request_id"} - response.json().keys()
        if missing:
            raise Refused(f"{response.status_code} without {missing}")


def cases(operation: Any, headers: dict[str, str], known: dict[str, Any]) -> Iterator[st.SearchStrategy[Any]]:
    """What is sent: good data to what exists, good data to anything, bad data."""
    if known:
        yield operation.as_strategy(GenerationMode.POSITIVE, headers=headers, path_parameters=known)
    yield operation.as_strategy(GenerationMode.POSITIVE, headers=headers)
    yield operation.as_strategy(GenerationMode.NEGATIVE, headers=headers)


def fuzz(strategy: st.SearchStrategy[Any], headers: dict[str, str]) -> None:
    """Send what the strategy makes; raises for the first answer that is not as promised."""

    @seed(20260302)  # the same every time: what fails here fails again
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def run(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=[*CHECKS, problem_on_errors])

    run()


def _told(error: BaseException) -> str:
    """Return what a failure says, those in a group one after the other."""
    inner = [_told(each) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    return f"{type(error).__name__}: {error}"[:1500] + "".join(f"\n{each}" for each in inner[:3])


@pytest.mark.slow
def test_every_operation_under_fuzzing(app: Flask, world: dict[str, Any], bearer: Bearer, session: Session) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    failed, seen, expected = [], 0, set()
    succeeded.clear()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        seen += 1
        roles = operation.definition.raw.get("x-roles", [])
        headers = bearer(roles[0], **world["scopes"].get(roles[0], {})) if roles else {}
        known = {name: value for name, value in world["paths"].items() if f"{{{name}}}" in operation.path}
        for strategy in cases(operation, headers, known):
            try:
                with suppress(Unsatisfiable):  # nothing wrong can be sent to an operation that takes nothing
                    fuzz(strategy, headers)
            except (Exception, BaseExceptionGroup) as error:  # schemathesis groups what it finds
                failed.append(f"{operation.label}: {_told(error)}")
                break
        if operation.method == "get" and OURS.fullmatch(operation.path):
            expected.add(operation.label)
    assert not failed, f"{len(failed)} of {seen}\n\n" + "\n\n".join(failed)
    assert expected - succeeded - ABSENT == set(), "reading what is in the world succeeds"
