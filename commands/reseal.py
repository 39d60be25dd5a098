"""`brikke reseal`: after a new key was put first in SEALING_KEYS, seal what an older one sealed with it."""

from __future__ import annotations

import sys

import click

from accounts.customers.national_id import seal_anew
from commands import base
from config.sealed import sealing


@click.command()
@base.as_json
@base.guarded
def reseal(as_json: bool) -> None:
    """Encrypt national ids anew with the first of SEALING_KEYS; then the others can be taken out.

    Exit code 1: some were encrypted by a key that is not there any more. They stay as they are.
    """
    done, lost, after = 0, 0, 0
    with base.runtime() as runtime:
        keys = sealing(runtime.settings)
        while True:
            with runtime.sessions.begin() as session:
                part = seal_anew(session, sealing=keys, after=after)
            done, lost = done + part.done, lost + part.lost
            if part.after is None:
                break
            after = part.after
    line = f"{done} sealed anew" + (f", {lost} cannot be opened: ask those customers again" if lost else "")
    base.show({"sealed_anew": done, "lost": lost}, as_json=as_json, line=line)
    if lost:
        sys.exit(1)
