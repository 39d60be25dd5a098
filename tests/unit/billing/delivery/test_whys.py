"""Every `why` that a channel can give has words in both languages: found in the code itself, not in a list of ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.delivery import choice, whys
from billing.delivery.digipost import outcomes as digipost
from billing.delivery.eboks import protocol as eboks
from billing.delivery.efaktura import rules as efaktura

ROOM = Path(choice.__file__).parent
SAY_WHY = {"No", "Unsure", "Refused", "Later", "NoAnswer", "TooLate", "NoReply", "NotReached", "Turned"}
"""What says why in its first argument."""
THIRD = {"Not"}
"""AvtaleGiro's, which says it in its third."""


def _trees() -> Iterator[ast.Module]:
    for path in sorted(ROOM.rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def _texts(node: ast.expr, names: dict[str, str]) -> Iterator[str]:
    """Yield the codes an argument can be: a text, the beginning of one, a constant of the module, either of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in names:
        yield names[node.id]
    elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        yield str(node.values[0].value)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, names)
        yield from _texts(node.orelse, names)
    elif isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from _texts(each, names)


def _constants(tree: ast.Module) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def found() -> set[str]:
    codes: set[str] = set()
    for tree in _trees():
        names = _constants(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = 0 if called in SAY_WHY else 2 if called in THIRD else None
            if place is not None and len(node.args) > place:
                codes.update(_texts(node.args[place], names))
    tables = (efaktura._NO, efaktura.REFUSALS, eboks._NO, digipost._WHY_NOT)
    codes.update(str(why) for table in tables for why in table.values())
    codes.update(code.lower() for code in digipost.NEVER)
    return codes | {choice.TRIED, choice.OTHER_KIND, choice.NOT_SURE, choice.GAVE_UP}


def test_the_codes_are_found() -> None:
    assert {"not_set_up", "no_consent", "no_mandate", "kid_structure", "timeout", "no_mailbox", "garbled"} <= found()


def test_every_code_has_words_in_both_languages() -> None:
    assert sorted(code for code in found() if not whys.known(code)) == []


@pytest.mark.parametrize("code", sorted(whys._texts()["codes"]))
def test_words_are_a_pair_without_gaps(code: str) -> None:
    nb, en = (whys.say(code, language) for language in whys.LANGUAGES)
    assert nb
    assert en
    assert not any(mark in nb + en for mark in "{}")
    assert not (nb + en).endswith(".")


def test_what_a_partner_said_itself_is_kept() -> None:
    assert whys.say("http_503", "nb") == "svarte med feil 503"
    assert whys.say("token_http_401", "en") == "our sign-in there failed (http_401)"
    assert whys.say("550 no such user", "nb") == "550 no such user"
