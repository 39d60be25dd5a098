"""The OpenAPI document: whole, described, and its guards real. Nothing by hand: a new endpoint is walked too."""

from __future__ import annotations

import datetime as dt
import importlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

import web.app
from accounts.access import tokens
from accounts.access.principal import ROLES
from config.clock import now_utc
from config.settings import Settings
from tests.integration.conftest import Bearer
from web.api.openapi import METHODS

PUBLIC = {("post", "/v1/webhooks/stripe"), ("post", "/v1/webhooks/vipps")}
"""Operations that take no token, each with a protection of its own: a webhook is signed."""

SCOPES: dict[str, dict[str, Any]] = {"customer": {"customer_id": 7}, "charger": {"charger": "FJELL"}}


class Operation(NamedTuple):
    """One operation of the document."""

    method: str
    path: str
    entry: dict[str, Any]
    parameters: list[dict[str, Any]]

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def url(self) -> str:
        """An address with the examples of the path's values."""
        given = {each["name"]: str(each["example"]) for each in self.parameters if each["in"] == "path"}
        return re.sub(r"{(\w+)}", lambda match: given[match[1]], self.path)


@pytest.fixture
def spec(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").get_json()
    return found


def operations(spec: dict[str, Any]) -> Iterator[Operation]:
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                entry = item[method]
                yield Operation(method, path, entry, item.get("parameters", []) + entry.get("parameters", []))


@pytest.mark.parametrize("module", web.app.ROOMS + web.app.PAGES)
def test_every_listed_face_exists(module: str) -> None:
    assert hasattr(importlib.import_module(module), "blp")


def test_every_operation_is_described(spec: dict[str, Any]) -> None:
    wrong = []
    for each in operations(spec):
        if not each.path.startswith("/v1/"):
            wrong.append(f"{each.name}: not under /v1")
        if not each.entry.get("summary", "").endswith("."):
            wrong.append(f"{each.name}: no summary that is a sentence")
        if not each.entry.get("tags"):
            wrong.append(f"{each.name}: no tag")
        statuses = each.entry["responses"]
        if not any(status.startswith("2") for status in statuses):
            wrong.append(f"{each.name}: no success")
        if "500" not in statuses or not any(status.startswith("4") for status in statuses):
            wrong.append(f"{each.name}: no problems")
        for status, answer in statuses.items():
            if status >= "400" and not answer.get("$ref", "").endswith(f"/Problem{status}"):
                wrong.append(f"{each.name}: {status} is not a problem")
    assert not wrong, "\n".join(wrong)


def test_every_operation_is_guarded_or_meant_to_be_open(spec: dict[str, Any]) -> None:
    found = list(operations(spec))
    assert {(each.method, each.path) for each in found if each.entry.get("security") == []} <= PUBLIC
    unguarded = [
        each.name
        for each in found
        if each.entry.get("security") != [] and not (each.entry.get("x-roles") and each.entry.get("security"))
    ]
    assert unguarded == []


def test_every_parameter_is_described(spec: dict[str, Any]) -> None:
    wrong = [
        f"{each.name}: {parameter['name']}"
        for each in operations(spec)
        for parameter in each.parameters
        if not parameter.get("description") or not _has_example(parameter)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_field_is_described_with_an_example(spec: dict[str, Any]) -> None:
    wrong = []
    for name, schema in spec["components"]["schemas"].items():
        for field, about in schema.get("properties", {}).items():
            if not about.get("description"):
                wrong.append(f"{name}.{field}: no description")
            if not _has_example(about):
                wrong.append(f"{name}.{field}: no example")
    assert not wrong, "\n".join(wrong)


def _has_example(about: dict[str, Any]) -> bool:
    """Say whether an example is shown: its own, or those of the schema it refers to."""
    if "example" in about or "examples" in about or "$ref" in about:
        return True
    inner = [about.get("items"), about.get("schema"), *about.get("allOf", []), *about.get("anyOf", [])]
    return any(isinstance(each, dict) and _has_example(each) for each in inner)


def test_every_example_is_one(spec: dict[str, Any]) -> None:
    wrong = []
    for name, schema in spec["components"]["schemas"].items():
        for field, about in schema.get("properties", {}).items():
            if "example" in about:
                validator = jsonschema_rs.Draft202012Validator(about | {"components": spec["components"]})
                wrong += [f"{name}.{field}: {error.message}" for error in validator.iter_errors(about["example"])]
    assert not wrong, "\n".join(wrong)


def test_no_two_schemas_share_a_name(spec: dict[str, Any]) -> None:
    assert [name for name in spec["components"]["schemas"] if re.search(r"\d$", name)] == []


def test_every_reference_leads_somewhere(spec: dict[str, Any]) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for below in value.values():
                yield from references(below)
        elif isinstance(value, list):
            for below in value:
                yield from references(below)

    for reference in set(references(spec)):
        place: Any = spec
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]


def test_operations_have_names_of_their_own(spec: dict[str, Any]) -> None:
    names = [each.entry["operationId"] for each in operations(spec)]
    assert len(names) == len(set(names))


def test_nobody_gets_in_without_a_valid_token(app: Flask, spec: dict[str, Any], settings: Settings) -> None:
    good = tokens.issue(settings, "agent")
    sent = {"none": "", "garbage": "garbage", "changed": good[:-6] + "AAAAAA", "expired": _expired(settings)}
    client, wrong = app.test_client(), []
    for each in operations(spec):
        if each.entry.get("security") == []:
            continue
        for kind, token in sent.items():
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = client.open(each.url, method=each.method.upper(), headers=headers, json={})
            if answer.status_code != 401 or answer.content_type != "application/problem+json":
                wrong.append(f"{each.name} with {kind} token: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def _expired(settings: Settings) -> str:
    """Return a token of ours that ended an hour ago."""
    with time_machine.travel(now_utc() - dt.timedelta(hours=2)):
        return tokens.issue(settings, "agent", ttl=dt.timedelta(hours=1))


def test_nobody_gets_in_with_another_role(app: Flask, spec: dict[str, Any], bearer: Bearer) -> None:
    headers = {role: bearer(role, **SCOPES.get(role, {})) for role in ROLES}
    client, wrong = app.test_client(), []
    for each in operations(spec):
        for role in set(ROLES) - set(each.entry.get("x-roles", ROLES)):
            answer = client.open(each.url, method=each.method.upper(), headers=headers[role], json={})
            if answer.status_code != 403 or answer.content_type != "application/problem+json":
                wrong.append(f"{each.name} as {role}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_customers_and_chargers_find_nothing_of_others(app: Flask, spec: dict[str, Any], bearer: Bearer) -> None:
    """In an empty database everything addressed by number or code is somebody else's: never a success."""
    client, wrong = app.test_client(), []
    for each in operations(spec):
        for role in {"customer", "charger"} & set(each.entry.get("x-roles", ())):
            if "{" in each.path and each.method == "get":
                answer = client.get(each.url, headers=bearer(role, **SCOPES[role]))
                if answer.status_code != 404:
                    wrong.append(f"{each.name} as {role}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
