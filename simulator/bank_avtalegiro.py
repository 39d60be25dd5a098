"""The bank's side of AvtaleGiro: mandates that payers keep, claims that it takes, refuses or loses, and pays when due.

Outside the product: it imports nothing of it, and reads claim files by a reader of its own, from the specification. Its
receipts (L226, L200, L00202) are as the product assumes them to be, for their true form is not public.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from simulator.bank import CLEARING_HOUSE, BankPayment
from simulator.payers import House
from simulator.times import bank_day

NO_MANDATE = "FBO finnes ikke"
OVER_LIMIT = "Betalingstransaksjonen har høyere beløp enn på FBO"
NO_CLAIM = "Betalingskravet finnes ikke"
_HEADINGS = "Liste;Filnavn;Forsendelsesnr;Oppdragsnr;Oppdragstype;Transaksjonsnr;KID;Status;Melding"
_TYPES = {"claims": "AvtaleGiro", "cancellations": "AvtaleGiro korreksjoner"}


class Fault(Enum):
    """What can go wrong with the next file on demand."""

    UNREADABLE = "unreadable"  # L200: the file is not in the format, for the clearing house at least
    REFUSED = "refused"  # L226: the transmission is refused
    LOST = "lost"  # the file is gone, and nobody says anything
    SILENT = "silent"  # the file is taken, and no receipt comes
    REPEATED = "repeated"  # the receipt comes twice, under two names


class NotAClaimFile(ValueError):
    """A file that the clearing house would refuse; the text says why."""


@dataclass(frozen=True)
class Asked:
    """A transaction of a claim file: ``code`` 02 and 21 claim, 93 takes back."""

    number: int
    code: str
    kid: str
    due_on: dt.date
    amount_ore: int
    name: str
    reference: str
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class OrderRead:
    """An assignment: ``kind`` claims or cancellations."""

    kind: str
    number: int
    account: str
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class FileRead:
    """A transmission."""

    sender: str
    number: int
    orders: tuple[OrderRead, ...]


@dataclass
class MandateAtBank:
    """What a payer has agreed with their bank. ``limit_ore`` a calendar month; None: no limit."""

    kid: str
    notice: bool = True
    limit_ore: int | None = None


@dataclass
class AvtaleGiroBank:
    """Takes claim files from a folder, keeps mandates, and pays through `house` on the due date.

    ``structures``: total length and length of the customer part of the KIDs it knows.
    """

    outbox: Path
    house: House
    structures: tuple[tuple[int, int], ...] = ((18, 8),)
    sender: str = "00987654"
    seen: Counter[str] = field(default_factory=Counter)
    told: list[tuple[str, str]] = field(default_factory=list)
    """KID and words of each notice that the bank gave a payer (claims of code 21 to who wants notice)."""
    _mandates: dict[tuple[int, str], MandateAtBank] = field(default_factory=dict)
    _news: list[tuple[str, MandateAtBank]] = field(default_factory=list)
    _claims: dict[tuple[str, dt.date, int], Asked] = field(default_factory=dict)
    _transmissions: set[int] = field(default_factory=set)
    _faults: list[Fault] = field(default_factory=list)
    _serial: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # what payers do at their bank

    def set_up(self, kid: str, *, notice: bool = True, limit_ore: int | None = None) -> None:
        """Set up a mandate, or change it. ValueError for a KID of a length that is not registered."""
        mandate = MandateAtBank(kid, notice, limit_ore)
        self._mandates[self._key(kid)] = mandate
        self._news.append(("1", mandate))

    def end(self, kid: str) -> None:
        """End a mandate; what has been claimed on it and is not due yet is paid no more."""
        mandate = self._mandates.pop(self._key(kid))
        self._news.append(("2", mandate))
        for claim in [claim for claim in self._claims if self._key(claim[0]) == self._key(kid)]:
            del self._claims[claim]

    def fail(self, fault: Fault) -> None:
        """Have something go wrong with the next file; several wait in line."""
        self._faults.append(fault)

    # files

    def send_mandates(self, made_on: dt.date, *, full: bool = False) -> Path:
        """Put a file of mandates into the payee's inbox: what is new since the last one, or all that stand."""
        rows = [("0", mandate) for mandate in self._mandates.values()] if full else self._news
        self._news = []
        return self._put("mandates", _mandate_file(rows, self.house.account, next(self._serial), made_on), "txt")

    def work(self) -> list[Path]:
        """Read every file in the outbox once and move it aside; return the receipts put into the inbox."""
        receipts: list[Path] = []
        for path in sorted(self.outbox.glob("*.txt")) if self.outbox.is_dir() else []:
            content = path.read_bytes()
            aside = self.outbox / "fetched"
            aside.mkdir(exist_ok=True)
            path.rename(aside / path.name)
            fault = self._faults.pop(0) if self._faults else None
            self.seen["files"] += 1
            if fault is Fault.LOST:
                continue
            rows = self._take(path.name, content, fault)
            if fault is Fault.SILENT or not rows:
                continue
            receipts += [self._receipt(rows) for _ in range(2 if fault is Fault.REPEATED else 1)]
        return receipts

    def pay_due(self, through: dt.date) -> int:
        """Pay what is due by a date, on its bank day, as OCR type 15; return how many. What is over the month's limit
        is not paid, and nobody is told."""
        due = sorted((claim for claim in self._claims if claim[1] <= through), key=lambda claim: claim[1])
        paid = 0
        for claim in due:
            asked = self._claims.pop(claim)
            mandate = self._mandates.get(self._key(asked.kid))
            if mandate is None or (mandate.limit_ore is not None and asked.amount_ore > mandate.limit_ore):
                self.seen["not paid"] += 1
                continue
            day = bank_day(asked.due_on)
            payment = BankPayment(asked.kid, asked.amount_ore, day, type=15)
            self.house.pay(payment, in_file_of=self.house.next_file(day))
            paid += 1
        self.seen["paid"] += paid
        return paid

    def waits(self) -> list[Asked]:
        """Return the claims that will be paid, the first due first."""
        return sorted(self._claims.values(), key=lambda asked: (asked.due_on, asked.kid))

    # inside

    def _take(self, name: str, content: bytes, fault: Fault | None) -> list[str]:
        """Do what a file asks; return the rows of its receipt."""
        try:
            if fault is Fault.UNREADABLE:
                raise NotAClaimFile("not in the format")
            file = read_claim_file(content)
        except NotAClaimFile as wrong:
            self.seen["unreadable"] += 1
            return [f"L200;{name};;;;;;Avvist;{wrong}"]
        head = f"L226;{name};{file.number:07};;;;;"
        why = self._why_not(file, fault)
        if why:
            self.seen["refused"] += 1
            return [f"{head}Avvist;{why}"]
        self._transmissions.add(file.number)
        rows = [f"{head}Godkjent;"]
        for order in file.orders:
            for asked in order.asked:
                refused = self._claim(asked) if order.kind == "claims" else self._take_back(asked)
                self.seen[order.kind] += refused is None
                if refused:
                    rows.append(
                        f"L00202;{name};{file.number:07};{order.number:07};{_TYPES[order.kind]};{asked.number:07};"
                        f"{asked.kid};Avvist;{refused}"
                    )
        return rows

    def _why_not(self, file: FileRead, fault: Fault | None) -> str | None:
        if fault is Fault.REFUSED:
            return "Forsendelsen er avvist"
        if file.sender != self.sender:
            return "Ukjent dataavsender"
        if file.number in self._transmissions:
            return "Forsendelsesnummeret er brukt"
        if any(order.account != self.house.account for order in file.orders):
            return "Ukjent oppdragskonto"
        return None

    def _claim(self, asked: Asked) -> str | None:
        """Register a claim; return why not."""
        try:
            mandate = self._mandates.get(self._key(asked.kid))
        except ValueError:
            mandate = None
        if mandate is None:
            return NO_MANDATE
        month = asked.due_on.replace(day=1)
        already = sum(
            other.amount_ore
            for other in self._claims.values()
            if self._key(other.kid) == self._key(asked.kid) and other.due_on.replace(day=1) == month
        )
        if mandate.limit_ore is not None and already + asked.amount_ore > mandate.limit_ore:
            return OVER_LIMIT
        self._claims[asked.kid, asked.due_on, asked.amount_ore] = asked
        if asked.code == "21" and mandate.notice:
            self.told.append((asked.kid, "\n".join(asked.text)))
        return None

    def _take_back(self, asked: Asked) -> str | None:
        found = self._claims.pop((asked.kid, asked.due_on, asked.amount_ore), None)
        return None if found else NO_CLAIM

    def _key(self, kid: str) -> tuple[int, str]:
        for length, customer in self.structures:
            if len(kid) == length:
                return length, kid[:customer]
        raise ValueError(f"no KID structure of {len(kid)} digits is registered")

    def _receipt(self, rows: Sequence[str]) -> Path:
        # Two receipts of the same file differ: the second has a heading more, as a list made anew has another number.
        serial = next(self._serial)
        lines = [f"{_HEADINGS};Listenr", *(f"{row};{serial}" for row in rows)]
        return self._put("receipt", "".join(f"{line}\r\n" for line in lines).encode("iso-8859-1"), "csv")

    def _put(self, what: str, content: bytes, ending: str) -> Path:
        self.house.inbox.mkdir(parents=True, exist_ok=True)
        path = self.house.inbox / f"avtalegiro-{what}-{next(self._serial):05}.{ending}"
        fresh = path.with_suffix(".part")
        fresh.write_bytes(content)
        fresh.rename(path)
        return path


def _mandate_file(rows: Sequence[tuple[str, MandateAtBank]], account: str, number: int, made_on: dt.date) -> bytes:
    body = [
        f"NY219470{at:07}{registration}{mandate.kid:>25}{'J' if mandate.notice else 'N'}"
        for at, (registration, mandate) in enumerate(rows, start=1)
    ]
    lines = [
        f"NY000010{CLEARING_HOUSE}{number:07}00987654",
        f"NY212420{0:09}{number:07}{account}",
        *body,
        f"NY212488{len(rows):08}{len(rows) + 2:08}",
        f"NY000089{len(rows):08}{len(rows) + 4:08}{0:017}{made_on:%d%m%y}",
    ]
    return "".join(f"{line:0<80}\r\n" for line in lines).encode("iso-8859-1")


def read_claim_file(content: bytes) -> FileRead:
    """Read a claim file as the clearing house does. Raises NotAClaimFile at the first thing that is wrong."""
    text = content.decode("iso-8859-1")
    if not text.endswith("\r\n"):
        raise NotAClaimFile("the last record has no end")
    lines = text.removesuffix("\r\n").split("\r\n")
    if any(len(line) != 80 for line in lines):
        raise NotAClaimFile("a record has not 80 characters")
    head, end = lines[0], lines[-1]
    if not head.startswith("NY000010") or not end.startswith("NY000089") or head[23:31] != CLEARING_HOUSE:
        raise NotAClaimFile("no transmission to us")
    orders: list[OrderRead] = []
    body = lines[1:-1]
    while body:
        size = next((at for at, line in enumerate(body, start=1) if line[6:8] == "88"), 0)
        orders.append(_order(body[:size]))
        body = body[size:]
    asked = [one for order in orders for one in order.asked]
    if not asked:
        raise NotAClaimFile("nothing is asked")
    _totals(end, len(asked), len(lines), sum(one.amount_ore for one in asked))
    if end[41:47] != f"{min(one.due_on for one in asked):%d%m%y}":
        raise NotAClaimFile("the earliest due date is another")
    return FileRead(head[8:16], int(head[16:23]), tuple(orders))


def _order(lines: Sequence[str]) -> OrderRead:
    kinds = {"NY210020": ("claims", "NY210088", ("02", "21")), "NY213620": ("cancellations", "NY213688", ("93",))}
    if not lines or lines[0][:8] not in kinds:
        raise NotAClaimFile("an assignment that is none of ours")
    kind, last, codes = kinds[lines[0][:8]]
    if not lines[-1].startswith(last):
        raise NotAClaimFile("an assignment without its end")
    asked: list[Asked] = []
    rest = list(lines[1:-1])
    while rest:
        size = next((at for at, line in enumerate(rest[1:], start=1) if line[6:8] == "30"), len(rest))
        asked.append(_asked(rest[:size], codes))
        rest = rest[size:]
    if not asked or [one.number for one in asked] != sorted({one.number for one in asked}) or asked[0].number < 1:
        raise NotAClaimFile("transactions are not numbered upwards from 1")
    _totals(lines[-1], len(asked), len(lines), sum(one.amount_ore for one in asked))
    days = [one.due_on for one in asked]
    if lines[-1][41:53] != f"{min(days):%d%m%y}{max(days):%d%m%y}":
        raise NotAClaimFile("first and last due date are others")
    return OrderRead(kind, int(lines[0][17:24]), lines[0][24:35], tuple(asked))


def _asked(lines: Sequence[str], codes: Sequence[str]) -> Asked:
    first, code = lines[0], lines[0][4:6]
    number = first[8:15]
    if first[:4] != "NY21" or code not in codes or first[6:8] != "30" or first[21:32].strip() or first[74:] != "000000":
        raise NotAClaimFile(f"record 30 is wrong: {first[:15]}")
    if len(lines) < 2 or lines[1][:15] != f"NY21{code}31{number}" or lines[1][75:] != "00000":
        raise NotAClaimFile(f"record 31 is missing after {first[:15]}")
    words: dict[int, str] = {}
    for line in lines[2:]:
        if line[:16] != f"NY212149{number}4" or not line[20:60].strip() or line[60:] != "0" * 20 or code != "21":
            raise NotAClaimFile(f"a text is wrong: {line[:20]}")
        at = int(line[16:19])
        if not 1 <= at <= 42 or line[19] not in "12":
            raise NotAClaimFile(f"a text out of its place: {line[:20]}")
        words[at] = f"{words.get(at, ''):<40}{line[20:60]}" if line[19] == "2" else line[20:60]
    try:
        due_on = dt.datetime.strptime(first[15:21], "%d%m%y").replace(tzinfo=dt.UTC).date()
        return Asked(
            int(number), code, first[49:74].strip(), due_on, int(first[32:49]), lines[1][15:25].strip(),
            lines[1][50:75].strip(), tuple(words[at].rstrip() for at in sorted(words)),
        )  # fmt: skip
    except ValueError as wrong:
        raise NotAClaimFile(f"a field of {first[:15]}: {wrong}") from None


def _totals(line: str, transactions: int, records: int, total_ore: int) -> None:
    if line[8:41] != f"{transactions:08}{records:08}{total_ore:017}":
        raise NotAClaimFile(f"the totals are {line[8:41]}, and should be {transactions:08}{records:08}{total_ore:017}")
