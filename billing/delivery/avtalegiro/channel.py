"""The channel as the choice of a channel sees it, and who we are to the bank."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.delivery.port import No, Reader, Verdict, Yes
from config.settings import Settings

NAME = "avtalegiro"


@dataclass(frozen=True, slots=True)
class Payee:
    """Who claims: our id at the clearing house (8 digits), the account that is paid to, our name in what the bank tells
    the payer."""

    sender: str
    account: str
    name: str

    @classmethod
    def of(cls, settings: Settings) -> Payee | None:
        """Return it, or None where AvtaleGiro is not set up."""
        if not settings.avtalegiro_sender:
            return None
        return cls(settings.avtalegiro_sender, settings.bank_account, settings.seller_name)


class AvtaleGiro:
    """Reaches those whose mandate stands. A mandate can be set up and ended by the payer, at their bank, only."""

    name = NAME

    def __init__(self, payee: Payee | None) -> None:
        self.payee = payee

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        """Return by agreement id whether a mandate stands; the address is its KID. Nobody is asked: the bank's files
        have told."""
        del today
        return {reader.agreement_id: self._one(reader) for reader in readers}

    def _one(self, reader: Reader) -> Verdict:
        if self.payee is None:
            return No("not_set_up")
        return Yes(reader.mandate_kid) if reader.mandate_kid else No("no_mandate")


def from_settings(settings: Settings) -> AvtaleGiro:
    """Return the channel as it is set up; where it is not, it reaches nobody."""
    return AvtaleGiro(Payee.of(settings))
