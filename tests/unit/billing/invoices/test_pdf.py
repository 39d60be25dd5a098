"""The invoice as a page: what an independent reader finds in it."""

from __future__ import annotations

import io
import json
import pickle
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pypdf
import pytest

from billing.invoices import words
from billing.invoices.pdf import layout, printing, processes, render, worker
from billing.invoices.presentation import (
    CardPaid,
    ChargerContact,
    DocumentView,
    FeeRow,
    Language,
    Party,
    Reference,
    VatRow,
)
from tests.unit.billing.invoices.documents import passages, summed, view


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


@pytest.mark.parametrize(("count", "language"), [(1, "nb"), (1, "en"), (60, "nb"), (60, "en"), (700, "nb")])
def test_everything_stands_on_the_page(language: Language, count: int) -> None:
    subject = view(count, language)
    found = pages(render.render(subject))
    text = " ".join(found)
    for amount_ore in (subject.payable_ore, *(row.vat_ore for row in subject.vat)):
        assert plain(printing.amount(amount_ore)) in found[0]
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
        assert plain(f"{printing.amount(row.discount_ore)} {printing.amount(row.amount_ore)}") in text
    assert {"nb": "Lest på skilt", "en": "Read by plate"}[language] in text
    for number, page in enumerate(found, start=1):
        assert {"nb": "Side {} av {}", "en": "Page {} of {}"}[language].format(number, len(found)) in page


def test_the_table_head_repeats_and_no_page_holds_one_line_alone() -> None:
    for count in range(4, 24):
        lines = [len(re.findall(r" Bru\d{4} ", page)) for page in pages(render.render(view(count)))]
        assert sum(lines) == count
        assert all(on_page == 0 or on_page >= 3 for on_page in lines), (count, lines)
    for page in pages(render.render(view(200)))[1:]:
        assert "Dato og tid Sted Skilt/brikke Tjeneste" in page


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
    text = text_of(subject).replace(printing.BREAK, "")
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


def elements(reader: pypdf.PdfReader) -> list[tuple[str, Any]]:
    """Every element of a document's structure with its kind, in reading order."""
    root: Any = reader.root_object["/StructTreeRoot"]
    roles: dict[str, str] = {str(own): str(kind) for own, kind in root.get("/RoleMap", {}).items()}
    found: list[tuple[str, Any]] = []
    waiting = [root]
    while waiting:
        one = waiting.pop().get_object()
        if isinstance(one, pypdf.generic.ArrayObject):
            waiting += reversed(one)
        elif isinstance(one, pypdf.generic.DictionaryObject) and "/S" in one | {"/S": None}:
            if "/S" in one:
                kind = str(one["/S"])
                found.append((roles.get(kind, kind), one))
            if "/K" in one:
                waiting.append(one["/K"])
    return found


@pytest.mark.parametrize(("language", "count"), [("nb", 7), ("en", 7), ("nb", 700)])
def test_a_screen_reader_finds_headings_tables_and_their_heads(language: Language, count: int) -> None:
    reader = pypdf.PdfReader(io.BytesIO(render.render(view(count, language))), strict=True)
    assert str(reader.root_object["/Lang"]) == language
    preferences: Any = reader.root_object["/ViewerPreferences"]
    assert preferences["/DisplayDocTitle"]
    assert "/MarkInfo" in reader.root_object
    found = elements(reader)
    kinds = [kind for kind, _ in found]
    headings = [kind for kind in kinds if re.fullmatch(r"/H\d?", kind)]
    assert headings.count("/H1") == 1
    assert headings[0] == "/H1"
    assert set(headings) == {"/H1", "/H2"}
    assert kinds.count("/Table") == 5  # vehicles, VAT, how the sum came about, operators, passages
    heads = {str(element["/ID"]) for kind, element in found if kind == "/TH"}
    named = 0
    for kind, element in found:
        if kind == "/TD":
            for attributes in element.get("/A", []):
                for one in attributes.get_object().get("/Headers", []):
                    assert str(one) in heads
                    named += 1
    assert named >= count * 8
    figures = [element for kind, element in found if kind == "/Figure"]
    assert figures
    assert all(str(figure["/Alt"]) == words.LABELS[language]["logo"] for figure in figures)


def test_a_packed_document_is_the_same_document_in_a_fraction_of_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    small = render.render(view(300))
    monkeypatch.setattr(worker, "packed", lambda pdf: pdf)
    large = render.render(view(300))
    assert len(small) < len(large) / 3
    one, other = (pypdf.PdfReader(io.BytesIO(pdf), strict=True) for pdf in (small, large))
    assert [page.extract_text() for page in one.pages] == [page.extract_text() for page in other.pages]
    assert one.metadata == other.metadata
    assert metadata(one) == metadata(other)
    assert [kind for kind, _ in elements(one)] == [kind for kind, _ in elements(other)]
    assert one.trailer["/ID"] == other.trailer["/ID"]


@pytest.mark.parametrize("broken", [b"%PDF-1.7\nstartxref\n0\n", b"%PDF-1.7\nxref\n0 1\ntrailer\nstartxref\n9\n%%EOF"])
def test_what_is_not_as_typst_writes_it_is_not_packed(broken: bytes) -> None:
    with pytest.raises(ValueError, match="PDF"):
        worker.packed(broken)


def test_letters_of_all_kinds_are_drawn_or_replaced() -> None:
    names = ("Bjørn 😀 Ærlig", "Čáhppes Ŋiillas", "Łukasz Żółć", "Ελένη", "Наташа", "山田", "a\u202eb\u0000c\ud800d")
    for name in names:
        text = text_of(view(1, buyer=Party(name, (name,))))
        assert plain(printing.printable(name)) in text
    assert printing.printable("Bjørn 😀 Ærlig") == "Bjørn □ Ærlig"
    assert printing.printable("ﬁn  ｆｕｌｌ\nlinje") == "fin full linje"
    assert printing.printable("a\u202eb\u0000c") == "abc"


def test_every_character_called_printable_has_a_glyph() -> None:
    for first, last in printing.PRINTABLE:
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
    assert f"NOK {printing.amount(-sums['total_ore'])}" in text
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
    assert plain(f"NOK {printing.amount(total - 1_000)}") in text


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
    assert printing.amount(ore) == shown


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
