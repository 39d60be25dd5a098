"""Paper as the choice of a channel sees it: it reaches everybody whose address can be printed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from billing.delivery.paper.address import BadAddress, Place, lines
from billing.delivery.port import No, Reader, Verdict, Yes
from config.settings import Settings

NAME = "paper"


class Paper:
    """Whether a letter can be sent. ``set_up``: there is a print house."""

    name = NAME

    def __init__(self, *, set_up: bool) -> None:
        self.set_up = set_up

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        """Return by agreement id whether a letter reaches them; the address is the envelope's lines. Asks nobody."""
        del today
        return {reader.agreement_id: self._one(reader) for reader in readers}

    def _one(self, reader: Reader) -> Verdict:
        if not self.set_up:
            return No("not_set_up")
        place = Place(reader.name, reader.street, reader.postal_code, reader.city, reader.country)
        try:
            return Yes(shown(lines(place)))
        except BadAddress:
            return No("bad_address")


def shown(envelope: Sequence[str]) -> str:
    """Return an envelope's lines as a delivery's recipient is shown."""
    return ", ".join(envelope)


def from_settings(settings: Settings) -> Paper:
    """Return the channel as it is set up."""
    return Paper(set_up=settings.print_target is not None)
