"""Which channels are considered for whom, and what is decided of what look-ups said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.delivery import ways
from billing.delivery.choice import Ask, Chosen, decide
from billing.delivery.models import CHANNELS
from billing.delivery.port import No, Unsure, Verdict, Yes
from config import values

ROOT = Path(__file__).parents[4]
VERDICTS = st.one_of(st.just(Yes("a")), st.just(No("n")), st.just(Unsure("u")))


def test_every_channel_is_in_every_list() -> None:
    assert set(ways.BY_NAME) == set(CHANNELS) == set(values.CHANNELS)


def test_the_table_in_the_documentation_is_this_one() -> None:
    print(ways.table())
    assert ways.table() in (ROOT / "docs" / "channels.md").read_text()


@pytest.mark.parametrize(
    ("choice", "kind", "order"),
    [
        ("email", "private", "email avtalegiro efaktura vipps digipost eboks paper"),
        ("email", "business", "ehf email avtalegiro eboks paper"),
        ("best_digital", "private", "avtalegiro efaktura vipps digipost eboks email paper"),
        ("best_digital", "business", "ehf avtalegiro eboks email paper"),
        ("digipost", "private", "digipost avtalegiro efaktura vipps eboks email paper"),
        ("digipost", "business", "ehf avtalegiro eboks email paper"),
        ("avtalegiro", "private", "avtalegiro efaktura vipps digipost eboks email paper"),
        ("paper", "private", "paper avtalegiro efaktura vipps digipost eboks email"),
        ("ehf", "private", "avtalegiro efaktura vipps digipost eboks email paper"),
    ],
)
def test_order(choice: str, kind: ways.Kind, order: str) -> None:
    assert ways.order(choice, kind) == tuple(order.split())


def test_the_list_is_configured() -> None:
    assert ways.order("best_digital", "private", ["email", "paper"]) == ("email", "paper")


def said(chosen: Chosen | Ask) -> list[tuple[str, str, str]]:
    assert isinstance(chosen, Chosen)
    return [(one.channel, one.verdict, one.why) for one in chosen.considered]


def test_each_look_up_is_asked_for_in_turn() -> None:
    verdicts: dict[str, Verdict] = {}
    order = ("avtalegiro", "efaktura", "email")
    asked = []
    while isinstance(found := decide(order, "invoice", verdicts, tried={}, patient=True), Ask):
        asked.append(found.channel)
        verdicts[found.channel] = No("no_mandate") if found.channel == "avtalegiro" else Yes("123")
    assert (found.channel, found.address, asked) == ("efaktura", "123", ["avtalegiro", "efaktura"])
    assert said(found) == [("avtalegiro", "no", "no_mandate"), ("efaktura", "yes", "")]


def test_a_credit_note_goes_by_what_carries_it() -> None:
    found = decide(ways.order("avtalegiro", "private"), "credit_note", {"digipost": Yes("d")}, tried={}, patient=True)
    assert said(found) == [
        ("avtalegiro", "passed", "not_for_such"),
        ("efaktura", "passed", "not_for_such"),
        ("vipps", "passed", "not_for_such"),
        ("digipost", "yes", ""),
    ]


def test_what_had_no_answer_is_waited_for() -> None:
    verdicts: dict[str, Verdict] = {"digipost": Unsure("timeout"), "email": Yes("k@example.no")}
    found = decide(("digipost", "email", "paper"), "invoice", verdicts, tried={}, patient=True)
    assert isinstance(found, Chosen)
    assert (found.channel, found.again) == (None, True)
    found = decide(("digipost", "email", "paper"), "invoice", verdicts, tried={}, patient=False)
    assert isinstance(found, Chosen)
    assert found.channel == "email", "a day later another digital way will do"


@pytest.mark.parametrize("gave_up", [True, False])
def test_nobody_is_printed_for_because_a_partner_was_silent(gave_up: bool) -> None:
    found = decide(("digipost", "paper"), "invoice", {"paper": Yes()}, tried={"digipost": gave_up}, patient=False)
    assert isinstance(found, Chosen)
    assert (found.channel, found.again) == ((None, True) if gave_up else ("paper", False))


@given(
    order=st.permutations(ways.LIST),
    verdicts=st.fixed_dictionaries(dict.fromkeys(ways.LIST, VERDICTS)),
    tried=st.dictionaries(st.sampled_from(ways.LIST), st.booleans()),
    patient=st.booleans(),
    what=st.sampled_from(["invoice", "credit_note"]),
)
def test_any(
    order: list[str], verdicts: dict[str, Verdict], tried: dict[str, bool], patient: bool, what: ways.What
) -> None:
    found = decide(order, what, verdicts, tried=tried, patient=patient)
    assert isinstance(found, Chosen)
    names = [one.channel for one in found.considered]
    assert names == list(order[: len(names)]), "each in its turn, none left out"
    if found.channel is not None:
        assert not found.again
        assert isinstance(verdicts[found.channel], Yes)
        assert ways.carries(found.channel, what)
        assert found.channel not in tried
        if found.channel == "paper":
            assert not any(one.verdict == "unsure" or one.why == "gave_up" for one in found.considered)
