"""The channels there are, as they are set up: one list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.delivery.avtalegiro import channel as avtalegiro
from billing.delivery.digipost import channel as digipost
from billing.delivery.eboks import channel as eboks
from billing.delivery.efaktura import channel as efaktura
from billing.delivery.mail import BadAddressError, envelope
from billing.delivery.paper import channel as paper
from billing.delivery.port import Calls, LooksUp, No, Reader, Verdict, Yes
from config.settings import Settings


@dataclass(frozen=True)
class Channels:
    """``look_ups``: all, by name. ``calls``: those whose partner is called."""

    look_ups: Mapping[str, LooksUp]
    calls: Mapping[str, Calls]


class Mail:
    """E-mail as a choice: it reaches whoever has an address that mail can be sent to. What bounces tells later."""

    name = "email"

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        """See ``LooksUp``."""
        del today
        return {reader.agreement_id: _mail(reader) for reader in readers}


def _mail(reader: Reader) -> Verdict:
    try:
        envelope(reader.email)
    except BadAddressError:
        return No("bad_address")
    return Yes(reader.email)


def channels_of(settings: Settings) -> Channels:
    """Return the channels. One that is not set up reaches nobody."""
    calls: list[Calls] = [
        efaktura.from_settings(settings),
        efaktura.from_settings(settings, "vipps"),
        digipost.from_settings(settings),
        eboks.from_settings(settings),
    ]
    look_ups: list[LooksUp] = [avtalegiro.from_settings(settings), *calls, Mail(), paper.from_settings(settings)]
    return Channels({one.name: one for one in look_ups}, {one.name: one for one in calls})
