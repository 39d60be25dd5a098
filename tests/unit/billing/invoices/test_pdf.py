"""The invoice as a page: what an independent reader finds in it, and the processes that make it."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import textwrap
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pypdf
import pytest

from billing.invoices import words
from billing.invoices.pdf import layout, processes, render, worker
from billing.invoices.presentation import (
    CardPaid,
    ChargerContact,
    DocumentView,
    FeeRow,
    Language,
    Party,
    PassageRow,
    Reference,
    VatRow,
    VehicleSummary,
)
from config import money

OSLO = ZoneInfo("Europe/Oslo")
PLATES = ("EK12345", "DR77712", "BT40981")
SELLER = Party("Brikke AS", ("Storgata 1", "5008 Bergen"), "923456783", vat_registered=True, business_register=True)
BUYER = Party("Åse Ødegård-Æsøy", ("Fjøsveien 215 B", "5073 Bergen"))


def passages(count: int) -> tuple[PassageRow, ...]:
    """`count` passages, each at a minute and place of its own, ferries every fifth."""
    rows = []
    for i in range(count):
        ferry = i % 5 == 4
        gross = 27_400 + i if ferry else 3_100 + i
        discount = -money.share(gross, 1_000 if ferry else 2_000)
        rows.append(
            PassageRow(
                at_local=datetime(2026, 1, 31, 6, tzinfo=OSLO) + timedelta(minutes=7 * i),
                station=f"Bru{i:04}",
                charger="Fjord1" if ferry else "Ferde",
                plate=PLATES[i % 3],
                service="ferry" if ferry else "toll",
                vehicle_class="1",
                gross_ore=gross,
                discount_ore=discount,
                amount_ore=gross + discount,
                flags=("tag_discount", "by_plate") if i % 7 == 0 else ("tag_discount",),
            )
        )
    return tuple(rows)


def summed(rows: Sequence[PassageRow], fees: Sequence[FeeRow] = ()) -> dict[str, Any]:
    """The sums of a view over `rows` and `fees`."""
    gross: dict[int, int] = {0: sum(fee.amount_ore for fee in fees)}
    for row in rows:
        rate = 1_200 if row.service == "ferry" else 0
        gross[rate] = gross.get(rate, 0) + row.amount_ore
    vehicles = []
    for plate in sorted({row.plate for row in rows}):
        mine = [row for row in rows if row.plate == plate]
        toll, ferry = (sum(r.amount_ore for r in mine if r.service == s) for s in ("toll", "ferry"))
        vehicles.append(VehicleSummary(plate, "NO", len(mine), toll, ferry, toll + ferry))
    vat = [(rate, money.net_of_gross(sum_ore, rate), sum_ore) for rate, sum_ore in gross.items()]
    return {
        "passages": tuple(rows),
        "fees": tuple(fees),
        "vehicles": tuple(vehicles),
        "vat": tuple(VatRow(rate, net, sum_ore - net, sum_ore) for rate, net, sum_ore in vat),
        "total_ore": sum(gross.values()),
        "payable_ore": sum(gross.values()),
    }


def view(count: int = 12, language: Language = "nb", **changes: Any) -> DocumentView:
    """An ordinary invoice over `count` passages."""
    fields: dict[str, Any] = {
        "kind": "invoice",
        "number": 100_000_123,
        "language": language,
        "issued_on": date(2026, 2, 1),
        "due_on": date(2026, 2, 15),
        "kid": "100045671000001238",
        "account": "15062134567",
        "agreement_number": "10004567",
        "seller": SELLER,
        "buyer": BUYER,
        "period_from": date(2026, 1, 31),
        "period_to": date(2026, 2, 28),
        "chargers": (ChargerContact("Ferde AS", "916797007", "ferde.example"),),
        "payment_terms": "Betal innen forfall.",
        **summed(passages(count)),
    }
    return DocumentView(**{**fields, **changes})


def pages(pdf: bytes) -> list[str]:
    """The text of each page as pypdf reads it, with every run of white space as one blank."""
    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def text_of(subject: DocumentView) -> str:
    return " ".join(pages(render.render(subject)))


def metadata(reader: pypdf.PdfReader) -> str:
    """The XMP of a document, where it says which standards it keeps."""
    stream: Any = reader.root_object["/Metadata"]
    return str(stream.get_data().decode())


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("language", ["nb", "en"])
@pytest.mark.parametrize("count", [1, 60, 2_000])
def test_everything_stands_on_the_page(language: Language, count: int) -> None:
    subject = view(count, language)
    found = pages(render.render(subject))
    text = " ".join(found)
    for amount_ore in (subject.payable_ore, *(row.vat_ore for row in subject.vat)):
        assert plain(layout.amount(amount_ore)) in found[0]
    for wanted in ("100000123", "100045671000001238", "1506.21.34567", "15.02.2026", "10004567"):
        assert wanted in found[0]
    for rate in subject.vat:
        assert f"{rate.rate_bp // 100} %" in found[0]
    assert "Åse Ødegård-Æsøy" in found[0]
    assert "923 456 783 MVA, Foretaksregisteret" in found[0]
    assert {"nb": "Å betale", "en": "To pay"}[language] in found[0]
    for row in subject.passages:
        at = f"{row.at_local:%d.%m.%Y %H:%M}"
        line = f"{at} {row.station} {row.charger} {row.plate} {words.LABELS[language][row.service]} 1"
        assert line in text
        assert plain(f"{layout.amount(row.discount_ore)} {layout.amount(row.amount_ore)}") in text
    assert {"nb": "Lest på skilt", "en": "Read by plate"}[language] in text
    for number, page in enumerate(found, start=1):
        assert {"nb": "Side {} av {}", "en": "Page {} of {}"}[language].format(number, len(found)) in page


def test_the_table_head_repeats_and_no_page_holds_one_line_alone() -> None:
    for count in range(4, 24):
        lines = [len(re.findall(r" Bru\d{4} ", page)) for page in pages(render.render(view(count)))]
        assert sum(lines) == count
        assert all(on_page == 0 or on_page >= 3 for on_page in lines), (count, lines)
    for page in pages(render.render(view(200)))[1:]:
        assert "Dato og tid Sted Skilt Tjeneste" in page


@pytest.mark.parametrize(
    "evil",
    ['#import "/etc/passwd": *', "*bold* _it_", "$x^2$", "= Heading", "#panic()", "<b>&amp;", "\\ [ ] ` @a", "{page}"],
)
def test_markup_from_outside_is_text(evil: str) -> None:
    row = replace(view(1).passages[0], station=evil, charger=evil, note=evil, flags=(evil,))
    subject = view(
        **summed([row], [FeeRow(evil, 100)]),
        buyer=Party(evil, (evil,), evil),
        payment_terms=evil,
        buyer_reference=evil,
        chargers=(ChargerContact(evil, evil, evil),),
    )
    text = text_of(subject).replace(layout.BREAK, "")
    assert text.count(plain(evil)) >= 8


def test_the_same_view_gives_the_same_bytes() -> None:
    first = render.render(view(60))
    render.render(view(3, "en"))
    assert render.render(view(60)) == first
    with processes.Renderer(processes=1) as renderer:
        assert renderer.render(view(60)) == first


def test_it_is_an_archive_document_with_its_fonts_inside() -> None:
    reader = pypdf.PdfReader(io.BytesIO(render.render(view(3))))
    xmp = metadata(reader)
    assert "<pdfaid:part>2</pdfaid:part>" in xmp
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in xmp
    assert "<pdfuaid:part>1</pdfuaid:part>" in xmp
    assert str(reader.root_object["/Lang"]) == "nb"
    assert reader.metadata is not None
    assert reader.metadata.title == "Faktura 100000123"
    assert reader.metadata.creation_date == datetime(2026, 2, 1, 12, tzinfo=UTC)
    resources: Any = reader.pages[0]["/Resources"]
    names = {re.sub(r"^/[A-Z]{6}\+", "", font["/BaseFont"]) for font in resources["/Font"].values()}
    assert {name.split("-")[0] for name in names} == {"LibertinusSerif"}
    long = pypdf.PdfReader(io.BytesIO(render.render(view(render.TAGGED_UP_TO + 1))))
    assert "<pdfaid:conformance>U</pdfaid:conformance>" in metadata(long)


def test_letters_of_all_kinds_are_drawn_or_replaced() -> None:
    names = ("Bjørn 😀 Ærlig", "Čáhppes Ŋiillas", "Łukasz Żółć", "Ελένη", "Наташа", "山田", "a\u202eb\u0000c\ud800d")
    for name in names:
        text = text_of(view(1, buyer=Party(name, (name,))))
        assert plain(layout.printable(name)) in text
    assert layout.printable("Bjørn 😀 Ærlig") == "Bjørn □ Ærlig"
    assert layout.printable("ﬁn  ｆｕｌｌ\nlinje") == "fin full linje"
    assert layout.printable("a\u202eb\u0000c") == "abc"


def test_every_character_called_printable_has_a_glyph() -> None:
    for first, last in layout.PRINTABLE:
        points = [chr(point) for point in range(first, last + 1) if chr(point).strip()]
        for i in range(0, len(points), 100):
            # A combining mark stands on a letter, as in a name.
            name = " ".join("o" + char for char in points[i : i + 100])
            job = json.loads(render.job(view(1)))
            job["data"]["terms"] = name
            worker.compile_job(json.dumps(job).encode())  # PDF/A raises for a glyph that is missing


def test_a_card_receipt_says_paid_and_has_no_slip() -> None:
    sums = summed(passages(5), [FeeRow("card_fee", 512)])
    paid = {**sums, "paid_ore": sums["total_ore"], "payable_ore": 0, "due_on": None}
    card = CardPaid("visa", "4242", date(2026, 2, 1))
    english = text_of(view(language="en", **paid, paid_with=card))
    assert "Receipt 100000123" in english
    assert "PAID" in english
    assert "Visa ending in 4242, 01.02.2026" in english
    assert "Card fee, business card 5,12" in english
    assert "Payment details" not in english
    assert "100045671000001238" not in english
    norwegian = text_of(view(**paid, paid_with=card))
    assert "BETALT" in norwegian
    assert "Visa som slutter på 4242" in norwegian


def test_a_credit_note_names_its_invoice() -> None:
    rows = [
        replace(
            row,
            gross_ore=-row.gross_ore,
            discount_ore=-row.discount_ore,
            amount_ore=-row.amount_ore,
            kind="reversal",
            note="solgt bil",
        )
        for row in passages(2)
    ]
    reference = Reference("credits", 100_000_099, date(2026, 1, 1))
    sums = {**summed(rows), "payable_ore": 0}
    text = text_of(view(**sums, kind="credit_note", due_on=None, kid=None, references=(reference,)))
    assert "Kreditnota 100000123" in text
    assert "Gjelder faktura 100000099 (01.01.2026)" in text
    assert f"NOK {layout.amount(-sums['total_ore'])}" in text
    assert "Tilbakeført" in text
    assert "solgt bil" in text
    assert "Betalingsinformasjon" not in text


def test_an_avtalegiro_notice_has_no_slip() -> None:
    text = text_of(view(settlement="avtalegiro"))
    assert "Trekkes med AvtaleGiro" in text
    assert "Betalingsinformasjon" not in text
    assert "Betalingsinformasjon" in text_of(view())


def test_credit_used_is_shown_and_the_rest_is_to_pay() -> None:
    total = view().total_ore
    text = text_of(view(credit_used_ore=1_000, payable_ore=total - 1_000))
    assert "Brukt tilgodehavende −10,00" in text
    assert plain(f"NOK {layout.amount(total - 1_000)}") in text


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"total_ore": 1}, "the total"),
        ({"payable_ore": 1}, "left to pay"),
        ({"vat": ()}, "VAT rate"),
        ({"vehicles": ()}, "vehicle"),
        ({"vat": (VatRow(0, view().total_ore, 1, view().total_ore),)}, "net, VAT and gross"),
    ],
)
def test_a_view_that_does_not_add_up_cannot_be_made(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        view(**change)


def test_a_view_is_plain_data() -> None:
    subject = view(3)
    assert pickle.loads(pickle.dumps(subject)) == subject


@pytest.mark.parametrize(
    ("ore", "shown"),
    [(0, "0,00"), (5, "0,05"), (-5, "−0,05"), (123_450, "1\xa0234,50"), (-100_000_001, "−1\xa0000\xa0000,01")],
)
def test_amounts_are_norwegian(ore: int, shown: str) -> None:
    assert layout.amount(ore) == shown


def test_the_hour_that_comes_twice_says_which_it_was() -> None:
    summer, winter = timezone(timedelta(hours=2)), timezone(timedelta(hours=1))
    row = passages(1)[0]
    rows = [replace(row, at_local=datetime(2026, 10, 25, 2, 30, tzinfo=zone)) for zone in (winter, summer)]
    data = layout.layout(view(**summed(rows)))
    assert [line[1] for line in data["passages"]] == ["02:30 sommertid", "02:30 vintertid"]
    rows = [replace(row, at_local=datetime(2026, 10, 26, 2, 30, tzinfo=winter))]
    assert layout.layout(view(**summed(rows)))["passages"][0][1] == "02:30"


def test_both_languages_say_the_same_things() -> None:
    for table in (words.LABELS, words.FLAGS, words.FEES):
        assert set(table["nb"]) == set(table["en"])
    assert words.flag("nb", "one_hour_rule") == "Timesregel"
    assert words.flag("en", "never_heard_of") == "never heard of"
    template = (Path(worker.__file__).parent / "invoice.typ").read_text(encoding="utf-8")
    assert set(re.findall(r"label\.([a-z_]+)", template)) - {"at"} <= set(words.LABELS["nb"])


def test_processes_are_recycled() -> None:
    with processes.Renderer(processes=1, recycle_after=2) as renderer:
        seen = []
        for _ in range(4):
            renderer.render(view(1))
            seen.append(renderer.pids())
        assert seen[0] != []
        assert seen[1] == []  # gone after its second document
        assert seen[2] != seen[0]
    assert renderer.pids() == []
    with pytest.raises(processes.RenderError):
        renderer.render(view(1))


SICK = """
    import os, sys, time
    sys.path.insert(0, {folder!r})
    import worker
    real = worker.compile_job
    def compile_job(job):
        if b'"number": "13"' in job:
            time.sleep(60)
        if b'"number": "14"' in job:
            os._exit(3)
        if b'"number": "15"' in job:
            raise ValueError("the text `Kari Nordmann` is odd")
        return real(job)
    worker.compile_job = compile_job
    worker.main(int(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    """A worker that hangs at document 13, dies at 14 and fails at 15."""
    file = tmp_path / "sick.py"
    folder = str(Path(worker.__file__).parent)
    file.write_text(textwrap.dedent(SICK).format(folder=folder), encoding="utf-8")
    return file


def test_a_process_that_hangs_is_killed_and_replaced(sick: Path) -> None:
    with processes.Renderer(processes=1, timeout_seconds=2, worker=sick) as renderer:
        assert renderer.render(view(1)).startswith(b"%PDF")
        [before] = renderer.pids()
        started = time.monotonic()
        with pytest.raises(processes.RenderTimeoutError, match="document 13"):
            renderer.render(view(1, number=13))
        assert time.monotonic() - started < 10
        with pytest.raises(ProcessLookupError):
            os.kill(before, 0)
        assert renderer.render(view(1)).startswith(b"%PDF")
        assert renderer.pids() != [before]


def test_a_process_that_dies_or_fails_costs_only_its_document(sick: Path) -> None:
    with processes.Renderer(processes=2, timeout_seconds=20, worker=sick) as renderer:
        answers = list(renderer.render_all([view(1, number=n) for n in (11, 14, 12, 15, 16)]))
    kinds = [type(answer) for answer in answers]
    assert kinds == [bytes, processes.RenderError, bytes, processes.RenderError, bytes]
    assert "ValueError" in str(answers[3])
    assert "Nordmann" not in str(answers[3])
    assert answers[0] == render.render(view(1, number=11))


def test_threads_share_the_processes() -> None:
    expected = render.render(view(2))
    found: list[bytes] = []
    with processes.Renderer(processes=2) as renderer:
        threads = [threading.Thread(target=lambda: found.append(renderer.render(view(2)))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= len(renderer.pids()) <= 2
    assert found == [expected] * 6


def test_the_shared_renderer_survives_a_fork() -> None:
    try:
        expected = processes.shared().render(view(1))
        child = os.fork()
        if child == 0:  # as a gunicorn worker does after preloading; no assertion may leave this branch
            code = 1
            try:
                again = processes.shared().render(view(1)) == expected
                try:
                    render.render(view(1))  # would hang in typst
                except RuntimeError:
                    code = 0 if again else 2
                processes.close_shared()
            finally:
                os._exit(code)
        render_code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert render_code == 0
        assert processes.shared().render(view(1)) == expected
    finally:
        processes.close_shared()
