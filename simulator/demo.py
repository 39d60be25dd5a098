"""`make demo`: three hundred agreements over a quarter, through HTTP and files only, with the stories in between.

Exit code 0 only when every story held, the audit finds nothing and the gateway's books are ours.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time

from simulator import report
from simulator.crowd import Crowd
from simulator.shell import CommandFailed
from simulator.stack import Stack, StackFailed, running
from simulator.stage import Stage
from simulator.stories import ALL
from simulator.tale import Director, Steps, Tale
from simulator.times import at

FIRST = dt.date(2026, 1, 1)
LAST = dt.date(2026, 3, 31)
AGREEMENTS = 300
IN_STORIES = 25


def main() -> int:
    """Play, print, say how it went."""
    parser = argparse.ArgumentParser(prog="python -m simulator.demo", description=__doc__)
    parser.add_argument("--agreements", type=int, default=AGREEMENTS, help="how many in all, stories included")
    parser.add_argument("--until", type=dt.date.fromisoformat, default=LAST, help="the last day")
    parser.add_argument("--keep", action="store_true", help="leave the folder with database, mail and logs")
    told = parser.parse_args()
    began = time.monotonic()
    try:
        with running(keep=told.keep) as stack:
            stack.client.prepare([("operator", None), ("agent", None)])
            _say(f"Brikke runs on {stack.base_url} after {time.monotonic() - began:.1f} s; its data: {stack.folder}")
            return _play(stack, told.agreements, told.until, began)
    except (StackFailed, CommandFailed) as failed:
        print(f"demo: {failed}", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
    return 1


def _play(stack: Stack, agreements: int, until: dt.date, began: float) -> int:
    stage = Stage(stack)
    try:
        stage.move(at(FIRST))
        stage.open_road()
        director = Director(stage)
        crowd = Crowd(stage, max(agreements - IN_STORIES, 1))
        tale = Tale("the many")
        director.begin(tale, _with_progress(crowd, tale, until, began))
        director.cast(ALL, FIRST)
        tales = director.play()
        proven = stage.last_words()
        figures = report.gather(stage, proven)
        code, _ = stage.command("audit", may_fail=True)
        seconds = time.monotonic() - began
        _say(report.text(stage, tales, figures, proven, first=FIRST, last=until, seconds=seconds))
        broken = [tale.name for tale in tales if tale.failure]
        if broken or code or not proven["ok"] or figures.differences():
            _say(f"\nNOT WELL: {', '.join(broken) or 'the books'}\n")
            return 1
        _say(f"\nEvery story held and the books balance ({seconds:.0f} s).\n")
        return 0
    finally:
        stage.close()


def _with_progress(crowd: Crowd, tale: Tale, until: dt.date, began: float) -> Steps:
    """Play the many, and say at each month's beginning how far the clock is."""
    for instant in crowd.play(tale, FIRST, until):
        if instant.astimezone(dt.UTC).day == 1:
            _say(f"  {instant:%Y-%m-%d} ({time.monotonic() - began:.0f} s)")
        yield instant


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
