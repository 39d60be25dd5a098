"""Every request to Stripe is one that the `stripe` library's own types check (`make lint`: mypy --strict).

mypy sees what is written out at the call, or has the library's own type. A request that came by another way (a dict
built elsewhere, keywords, `Any`) it would believe: so there is none.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CARDS = Path(__file__).resolve().parents[4] / "billing" / "cards"
# Calls of the library: client.v1.<service>.<method>, or of a service that was given a short name.
CALL = re.compile(r"(\bv1(\.\w+)+|^(customers|methods))\.(create|update|retrieve|list|cancel|confirm|expire|detach)$")


def unchecked(source: str) -> list[str]:
    """Return the requests that mypy could not check, and whatever would silence it."""
    return [*_silenced(source), *(f"{line} {what}" for line, what in _requests(ast.parse(source)))]


def _silenced(source: str) -> Iterator[str]:
    for number, line in enumerate(source.splitlines(), start=1):
        if "type: ignore" in line:
            yield f"{number} silenced"


def _requests(tree: ast.Module) -> Iterator[tuple[int, str]]:
    typed = dict(_typed_names(tree))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and CALL.search(ast.unparse(node.func))):
            continue
        for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
            said = typed.get(given.id, "") if isinstance(given, ast.Name) else ""
            if not (_written_out(given) or said == "str" or re.fullmatch(r"(stripe\.)?\w+Params", said)):
                yield node.lineno, ast.unparse(given)


def _written_out(given: ast.expr) -> bool:
    """A dict is written out when each key stands there as text, and so do those of the dicts in it."""
    return isinstance(given, ast.Dict) and all(
        isinstance(key, ast.Constant) and isinstance(key.value, str)
        for node in ast.walk(given)
        if isinstance(node, ast.Dict)
        for key in node.keys
    )


def _typed_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node.arg, ast.unparse(node.annotation)
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target), ast.unparse(node.annotation)


@pytest.mark.parametrize("path", sorted((CARDS / "stripe").glob("*.py")), ids=lambda path: path.stem)
def test_every_request_is_checked_by_the_library(path: Path) -> None:
    assert unchecked(path.read_text()) == []


def test_no_request_is_made_in_another_way() -> None:
    """Else the test above would look past it: what is taken of the library and not called at once is known by name."""
    handed_on = set()
    for path in CARDS.rglob("*.py"):
        tree = ast.parse(path.read_text())
        called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        inner = [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        for node in ast.walk(tree):
            chain = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            if re.search(r"\bv1\b", chain) and node not in called and node not in inner:
                handed_on.add(chain.partition("v1.")[2])
        assert path.parent.name == "stripe" or "import stripe\n" not in path.read_text(), path
    assert handed_on == {"customers", "payment_methods", "balance.retrieve"}  # two short names; one without fields


@pytest.mark.parametrize(
    "spoiled",
    [
        "def f(client, params: dict[str, Any]):\n    client.v1.refunds.create(params)",
        "def f(client):\n    params = {'amount': 'much'}\n    client.v1.refunds.create(params)",
        "def f(client, more: Any):\n    client.v1.refunds.create({'amount': 1, **more})",
        "def f(client, key: str):\n    client.v1.refunds.create({'metadata': {key: 'x'}})",
        "def f(client, p: Any):\n    client.v1.refunds.create(params=cast(RefundCreateParams, p))",
        "def f(client):\n    client.v1.refunds.create({'amount': 'x'})  # type: ignore[typeddict-item]",
    ],
)
def test_what_could_not_be_checked_is_found(spoiled: str) -> None:
    assert len(unchecked(spoiled)) == 1


def test_what_is_checked_is_fine() -> None:
    assert unchecked("def f(client, ref: str, p: RefundListParams):\n    client.v1.refunds.list(p)") == []
    assert unchecked("def f(client, ref: str):\n    client.v1.x.y.retrieve(ref, {'expand': ['a']})") == []
