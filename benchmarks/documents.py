"""Documents as PDFs: two rendering processes against a bare typst loop in one; and that their memory stays flat.

The floor is a loop over typst alone in a process of its own, on the same template, data and standards: no layout, no
socket, no packing. Sizes are those of households, with every twentieth of a business; no two documents are alike.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import typst

from benchmarks.frame import Place, Result, Wanted, apart, peak_mb, ratio, spaced
from billing.invoices.pdf import worker
from billing.invoices.pdf.processes import Renderer, RenderError
from billing.invoices.pdf.render import job
from billing.invoices.presentation import ChargerContact, DocumentView, Party, PassageRow, VatRow, VehicleSummary
from config.money import net_of_gross

COUNT, WARM, PROCESSES = 300, 20, 2
SAMPLE, MANY = 600, 20_000
CHUNK = 50
OSLO = ZoneInfo("Europe/Oslo")
STATIONS = (("Nordhordlandsbrua", "Kystvegen", 4_800), ("Bjørvika", "Fjellveien", 3_400), ("Ryen", "Fjellveien", 3_100))
SELLER = Party(
    "Brikke Eksempel AS", ("Eksempelveien 1", "0150 Oslo"), "999999980", True, True, "support@brikke.example"
)


def _rows(chance: random.Random, plates: Sequence[str], count: int) -> Iterator[PassageRow]:
    at = dt.datetime(2026, 1, 1, 6, tzinfo=OSLO)
    for _ in range(count):
        at += dt.timedelta(minutes=chance.randint(7, 900))
        ferry = chance.random() < 0.1
        place, charger, price = ("Moss–Horten", "Fjordferger", 16_400) if ferry else chance.choice(STATIONS)
        off = -price // (10 if ferry else 5)
        yield PassageRow(
            at, place, charger, chance.choice(plates), "ferry" if ferry else "toll", "M1", price, off, price + off,
            ("tag_discount",), vat_bp=1_200 if ferry else 0,
        )  # fmt: skip


def views(first: int, count: int) -> Iterator[DocumentView]:
    """Make so many invoices, numbered from ``first``: the same ones for the same number."""
    for number in range(first, first + count):
        chance = random.Random(number)
        plates = [f"E{chance.choice('KLV')}{chance.randint(10_000, 99_999)}" for _ in range(1 + number % 3)]
        rows = tuple(_rows(chance, plates, chance.randint(100, 300) if number % 20 == 0 else chance.randint(6, 40)))
        yield _invoice(number, rows)


def _invoice(number: int, rows: tuple[PassageRow, ...]) -> DocumentView:
    gross = {bp: sum(row.amount_ore for row in rows if row.vat_bp == bp) for bp in sorted({row.vat_bp for row in rows})}
    vehicles = []
    for plate in sorted({row.plate for row in rows}):
        mine = [row for row in rows if row.plate == plate]
        toll, ferry = (sum(row.amount_ore for row in mine if row.service == one) for one in ("toll", "ferry"))
        vehicles.append(VehicleSummary(plate, "NO", len(mine), toll, ferry, toll + ferry))
    nets = {bp: net_of_gross(ore, bp) if bp else ore for bp, ore in gross.items()}
    return DocumentView(
        kind="invoice",
        number=100_000_000 + number,
        language="nb" if number % 7 else "en",
        issued_on=dt.date(2026, 2, 1),
        due_on=dt.date(2026, 2, 16),
        kid=f"10004567{100_000_000 + number}0",
        account="15062134567",
        agreement_number="10004567",
        seller=SELLER,
        buyer=Party(f"Kunde {number}", (f"Veien {number}", "0150 Oslo")),
        period_from=rows[0].at_local.date(),
        period_to=rows[-1].at_local.date(),
        vehicles=tuple(vehicles),
        passages=rows,
        fees=(),
        vat=tuple(VatRow(bp, nets[bp], ore - nets[bp], ore) for bp, ore in gross.items()),
        total_ore=sum(gross.values()),
        payable_ore=sum(gross.values()),
        chargers=tuple(ChargerContact(name, "999999981") for name in sorted({row.charger for row in rows})),
        payment_terms="Betal innen forfallsdatoen og bruk KID.",
    )


@cache
def _compiler() -> typst.Compiler:
    return typst.Compiler(str(worker.HERE / "invoice.typ"), root=str(worker.HERE), ignore_system_fonts=True)


def _bare(jobs: list[bytes]) -> float:
    """Loop over typst alone; return the seconds."""
    compiler = _compiler()
    parts: list[dict[str, Any]] = [json.loads(one) for one in jobs]
    data = [json.dumps(one["data"], ensure_ascii=False) for one in parts]
    began = time.monotonic()
    for one, given in zip(parts, data, strict=True):
        compiler.compile(
            format="pdf", sys_inputs={"data": given}, pdf_standards=worker.STANDARDS, pdf_tags=True,
            timestamp=one["timestamp"],
        )  # fmt: skip
    return time.monotonic() - began


def _through(renderer: Renderer, asked: Sequence[DocumentView]) -> None:
    for made in renderer.render_all(asked):
        if isinstance(made, RenderError):
            raise made


def documents(place: Place) -> list[Result]:
    """Render on two processes and on a bare loop; then some more, for the memory."""
    asked = list(views(1, WARM + COUNT))
    took = bare = 0.0
    with apart() as child, Renderer(processes=PROCESSES) as renderer:
        child.submit(_bare, [job(one) for one in asked[:WARM]]).result()
        _through(renderer, asked[:WARM])
        for first in range(WARM, WARM + COUNT, CHUNK):  # in turns: whatever else the machine does is done to both
            some = asked[first : first + CHUNK]
            bare += child.submit(_bare, [job(one) for one in some]).result()
            began = time.monotonic()
            _through(renderer, some)
            took += time.monotonic() - began
        peak = max(map(peak_mb, renderer.pids()))
    rate, floor = COUNT / took, COUNT / bare
    lines = sum(len(one.passages) for one in asked[WARM:])
    note = f"{spaced(COUNT)} of {lines // COUNT} lines on average; peak of a rendering process"
    wanted = (ratio(1.2),)
    return [
        Result("documents", rate, "documents/s", floor, rate / floor, peak, note, wanted),
        *_memory("documents_sample", SAMPLE),
    ]


def _memory(name: str, count: int) -> list[Result]:
    """Render so many and tell the most memory of ours and a rendering process in the first and the last quarter."""
    peaks: list[float] = []
    began = time.monotonic()
    with Renderer(processes=PROCESSES) as renderer:
        for first in range(1, count + 1, CHUNK):
            _through(renderer, list(views(first, min(CHUNK, count + 1 - first))))
            peaks.append(max((peak_mb(pid) for pid in renderer.pids()), default=0.0) + peak_mb())
    took = time.monotonic() - began
    quarter = max(1, len(peaks) // 4)
    start, end = max(peaks[:quarter]), max(peaks[-quarter:])
    note = f"{spaced(count)}: ours and a rendering process, {start:.0f} MB at the start, {end:.0f} MB at the end"
    flat = Wanted("ratio", 1.25, most=True)
    return [Result(name, count / took, "documents/s", None, end / start, end, note, (flat,))]


def memory(place: Place) -> list[Result]:
    """Render twenty thousand documents; the memory is flat."""
    return _memory("documents_memory", place.scaled(MANY, CHUNK * 8))


BENCHES = {"documents": documents, "documents_memory": memory}
LARGE = ("documents_memory",)
ALSO = {"documents_sample": "documents"}
