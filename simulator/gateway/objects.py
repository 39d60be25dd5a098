"""Reading parameters and showing objects: what all the API's calls have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.gateway.errors import invalid, missing
from simulator.gateway.world import World

# Which field may be expanded to an object of which kind.
_EXPANDABLE = {
    "customer": "customer",
    "latest_charge": "charge",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "setup_intent": "setup_intent",
}
LAST_SECOND = 2**62
MANY = 100_000


@dataclass(frozen=True)
class Call:
    """One API call, authorised and read. `id`: the one in the address, else empty."""

    world: World
    params: Mapping[str, Any]
    id: str
    request_id: str

    def find(self, kind: str, name: str, wanted: object) -> dict[str, Any]:
        """Return the object, or raise resource_missing about the parameter `name` ("id" = the address)."""
        found = self.world.store.get(kind, wanted)
        if found is None:
            raise missing(kind, str(wanted), name)
        return found

    def required(self, name: str) -> Any:
        """Return a parameter that must be there."""
        value = self.params.get(name)
        if value in (None, ""):
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
        return value

    def whole(self, name: str) -> int:
        """Return a parameter that must be a whole number."""
        value = self.required(name)
        if not isinstance(value, str) or not value.lstrip("-").isdigit():
            raise invalid(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
        return int(value)

    def metadata(self) -> dict[str, str]:
        """Return `metadata`, or nothing."""
        value = self.params.get("metadata") or {}
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise invalid("Invalid metadata", param="metadata")
        return dict(value)

    def show(self, thing: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object as the API shows it, with what `expand` asks for in full."""
        shown = dict(thing)
        for path in self.params.get("expand") or []:
            _expand(self.world, shown, str(path).split("."), str(path))
        shown_publicly: dict[str, Any] = public(shown)
        return shown_publicly

    def show_list(self, kind: str, url: str, match: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a page of objects, newest first, by Stripe's `created`, `customer`, `limit`, `starting_after`.

        ``match``: fields that they must have, where a value is given; for kinds of which there are few.
        """
        limit = self.whole("limit") if "limit" in self.params else 10
        if not 1 <= limit <= 100:
            raise invalid("limit must be from 1 to 100", code="parameter_invalid_integer", param="limit")
        after = self.params.get("starting_after")
        if after is not None:
            self.find(kind, "starting_after", after)
        rows = self.world.store.page(
            kind,
            customer=self.params.get("customer"),
            created=_created(self.params.get("created")),
            after=after,
            limit=limit + 1 if not match else MANY,
        )
        rows = [row for row in rows if all(row.get(name) == value for name, value in (match or {}).items() if value)]
        page = {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit, "url": url}
        return self.show(page)


def public(value: Any) -> Any:
    """Leave out what the gateway keeps to itself (names that begin with an underscore)."""
    if isinstance(value, dict):
        return {name: public(inner) for name, inner in value.items() if not name.startswith("_")}
    return [public(one) for one in value] if isinstance(value, list) else value


def _expand(world: World, thing: dict[str, Any], path: list[str], whole: str) -> None:
    name, rest = path[0], path[1:]
    if name == "data" and thing.get("object") == "list" and rest:
        thing["data"] = [dict(one) for one in thing["data"]]
        for one in thing["data"]:
            _expand(world, one, rest, whole)
        return
    if name not in _EXPANDABLE or name not in thing:
        raise invalid(f"This property cannot be expanded ({whole}).", param="expand")
    if isinstance(thing[name], str):
        thing[name] = world.store.get(_EXPANDABLE[name], thing[name])
    if rest and isinstance(thing[name], dict):
        thing[name] = dict(thing[name])
        _expand(world, thing[name], rest, whole)


def _created(given: Any) -> tuple[int, int]:
    """Return the first and the last second that `created` allows."""
    if given is None:
        return 0, LAST_SECOND
    bounds = given if isinstance(given, dict) else {"gte": given, "lte": given}
    low, high = 0, LAST_SECOND
    for name, value in bounds.items():
        if name not in {"gt", "gte", "lt", "lte"} or not str(value).lstrip("-").isdigit():
            raise invalid(f"Invalid timestamp: {name}={value}", param="created")
        if name.startswith("gt"):
            low = max(low, int(value) + (name == "gt"))
        else:
            high = min(high, int(value) - (name == "lt"))
    return low, high
