"""The decision which channel a document goes by, from what look-ups said. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.delivery import ways
from billing.delivery.port import No, Verdict, Yes
from billing.delivery.ways import What

TRIED = "tried"
OTHER_KIND = "not_for_such"
NOT_SURE = "after_unsure"
GAVE_UP = "gave_up"
PAPER = "paper"


@dataclass(frozen=True, slots=True)
class Considered:
    """A channel and what was found: yes, no, unsure (its look-up had no answer) or passed (not looked up), and why."""

    channel: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The decision: the channel with the reader's address there. Without a channel: ``again``, where a look-up had no
    answer and is to be done again, or there is none left."""

    channel: str | None
    address: str | None
    considered: tuple[Considered, ...]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """No decision yet: this channel's look-up is needed first."""

    channel: str


def decide(
    order: Sequence[str],
    what: What,
    verdicts: Mapping[str, Verdict],
    *,
    tried: Mapping[str, bool],
    patient: bool,
) -> Chosen | Ask:
    """Go through the channels in order; return the first that reaches the reader, or which look-up is needed next.

    ``verdicts``: the look-ups done so far. ``tried``: by what it has gone before, and whether that was given up because
    the partner was silent. ``patient``: what had no answer is waited for; else other channels are gone on to, but never
    paper: nobody is taken for a non-user because a partner was silent.
    """
    seen: list[Considered] = []
    unsure = False
    for channel in order:
        if channel in tried:
            seen.append(Considered(channel, "passed", GAVE_UP if tried[channel] else TRIED))
            unsure = unsure or tried[channel]
            continue
        if not ways.carries(channel, what):
            seen.append(Considered(channel, "passed", OTHER_KIND))
            continue
        if channel == PAPER and unsure:
            seen.append(Considered(channel, "passed", NOT_SURE))
            continue
        verdict = verdicts.get(channel)
        if verdict is None:
            return Ask(channel)
        if isinstance(verdict, Yes):
            seen.append(Considered(channel, "yes", ""))
            return Chosen(channel, verdict.address, tuple(seen))
        seen.append(Considered(channel, "no" if isinstance(verdict, No) else "unsure", verdict.why))
        if not isinstance(verdict, No):
            unsure = True
            if patient:
                return Chosen(None, None, tuple(seen), again=True)
    return Chosen(None, None, tuple(seen), again=unsure)
