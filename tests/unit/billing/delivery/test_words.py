"""Every template has words in both languages, and they say what is to be said and no more."""

from __future__ import annotations

import ast
import datetime as dt
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from accounts.customers import models
from billing.delivery.words import (
    TEXTS,
    Bill,
    Link,
    Sender,
    Told,
    UnknownTemplateError,
    account,
    day,
    kroner,
    letter,
    templates,
)
from billing.invoices import view
from billing.invoices import words as invoice
from billing.invoices.pdf.printing import LONGEST_TEXT

ROOT = Path(__file__).resolve().parents[4]
SENDER = Sender("Brikke Eksempel AS", "+47 21 00 00 00", "support@brikke.example")
BILL = Bill(100_000_123, 123_450, "0010000010000012347", "15030012345", dt.date(2026, 2, 16))


def told(language: str = "nb", bill: Bill = BILL) -> Told:
    return Told(
        name="Kari <b>Nordmann</b>",
        language=language,
        agreement=10_000_001,
        invoice=bill.invoice,
        amount_ore=20_000,
        bill=bill,
        due=(bill, Bill(100_000_124, 5_000, "0010000010000012487", "15030012345", dt.date(2026, 1, 16))),
        from_when=dt.datetime(2026, 3, 1, 12, 30),
        before=100_000_122,
        facts={
            "count": 4, "stations": "Danmarksplass", "first_on": "2026-03-01", "last_on": "2026-03-02",
            "slice_ore": 50_000, "weeks": 9, "tag": "1234", "until_on": "2026-03-09", "expires_on": "2026-11-30",
        },
    )  # fmt: skip


def _strings(node: ast.AST) -> Iterator[str]:
    """Yield the strings an expression can be: itself, branches, a mapping's values."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _strings(node.body)
        yield from _strings(node.orelse)
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _strings(value)


def written() -> set[str]:
    """Return every template that code writes into a message.

    Where a call names it by a variable, what the function around it can assign to that variable counts.
    """
    found: set[str] = set()
    for path in [*(ROOT / "accounts").rglob("*.py"), *(ROOT / "billing").rglob("*.py")]:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            named = function.name == "_template"  # documents are told of by COPY
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "NewMessage":
                    template = node.args[1]
                    found |= set(_strings(template))
                    named = named or not isinstance(template, ast.Constant)
            if named:
                for node in ast.walk(function):
                    if isinstance(node, ast.Assign | ast.Return) and node.value is not None:
                        found |= set(_strings(node.value))
    return found


def test_all_that_is_written_anywhere_has_words() -> None:
    listed = re.search(
        r"template: Mapped\[Str\]\n    \"\"\"(.*?)\.\"\"\"", Path(models.__file__).read_text(), re.DOTALL
    )
    assert listed is not None
    assert written() == set(re.findall(r"\w+", listed[1])) == templates()


@pytest.mark.parametrize("language", ["nb", "en"])
@pytest.mark.parametrize("template", sorted(templates()))
def test_a_letter_names_the_reader_and_us_and_has_no_link(template: str, language: str) -> None:
    words = letter(template, told(language), SENDER)
    assert words.subject
    assert "\n" not in words.subject
    assert "Kari" not in words.subject
    assert "Kari <b>Nordmann</b>" in words.plain
    assert "Kari &lt;b&gt;Nordmann&lt;/b&gt;" in words.html
    assert SENDER.name in words.plain
    assert f'lang="{language}"' in words.html
    both = words.plain + words.html + words.subject
    assert not re.search(r"[{}]|@payment|@due|://|href|src=", both)


@pytest.mark.parametrize("language", ["nb", "en"])
@pytest.mark.parametrize("template", ["invoice", "receipt", "card_failed", "reissued", "credit_note", "credit"])
def test_behind_a_link_a_letter_says_the_same_and_has_that_link_only(template: str, language: str) -> None:
    url = "https://brikke.example/d/eyJ.eyJ.x-_"
    attached = letter(template, told(language), SENDER)
    linked = letter(template, replace(told(language), link=Link(url, 90)), SENDER)
    assert linked.subject == attached.subject
    assert re.findall(r"\S+://\S+", linked.plain) == [url]
    assert re.findall(r'href="([^"]*)"', linked.html) == [url]
    assert "90" in linked.plain
    enclosed = {"nb": "ligger ved", "en": "is attached"}[language]
    assert enclosed in attached.plain
    assert enclosed not in linked.plain + linked.html


@pytest.mark.parametrize("language", ["nb", "en"])
@pytest.mark.parametrize("template", sorted(templates()))
def test_no_template_can_name_a_passage(template: str, language: str) -> None:
    """Neither in the subject nor in the text: nothing in braces is a place with its time, a plate or a card; a mass
    correction names stations and a span of days, of many passages."""
    words = tomllib.loads(TEXTS.read_text(encoding="utf-8"))[template][language]
    text = " ".join([words["subject"], *words["paragraphs"], *words.get("settled", [])])
    assert not set(re.findall(r"{(\w+)}", text)) & {"plate", "charger", "station", "passed_at", "card", "address", "km"}
    if not template.startswith("mass"):
        assert "stations" not in text


@pytest.mark.parametrize("language", ["nb", "en"])
def test_a_reminder_and_a_block_say_how_to_pay(language: str) -> None:
    for template in ("reminder", "blocked", "invoice", "card_failed"):
        for text in (letter(template, told(language), SENDER).plain, letter(template, told(language), SENDER).html):
            for part in ("100000123", BILL.kid, "1503.00.12345", kroner(123_450, language), day(BILL.due_on, language)):
                assert part in text
    blocked = letter("blocked", told(language), SENDER).plain
    assert "100000124" in blocked
    assert SENDER.phone in blocked.split("\n\n")[-2]


def test_what_credit_has_paid_is_not_asked_for() -> None:
    paid = Bill(BILL.invoice, 0, BILL.kid, BILL.account, BILL.due_on)
    words = letter("invoice", told("nb", paid), SENDER)
    assert BILL.kid not in words.plain
    assert "ingenting å betale" in words.plain
    assert words.subject == "Faktura 100000123"


@pytest.mark.parametrize(
    ("template", "needs"),
    [
        ("birthday", "birthday"),
        ("frame", "frame"),
        ("reminder", "invoice"),
        ("blocked", "due"),
        ("receipt", "invoice"),
        ("closed", "from_when"),
    ],
)
def test_what_is_missing_is_said(template: str, needs: str) -> None:
    with pytest.raises(UnknownTemplateError, match=needs):
        letter(template, Told("Kari", "nb", 10_000_001), SENDER)


def test_figures_as_each_language_writes_them() -> None:
    assert kroner(123_456_789, "nb") == "1\u00a0234\u00a0567,89\u00a0kr"
    assert kroner(123_456_789, "en") == "NOK\u00a01,234,567.89"
    assert (kroner(-5, "nb"), kroner(5, "en")) == ("−0,05\u00a0kr", "NOK\u00a00.05")
    assert (day(dt.date(2026, 2, 16), "nb"), day(dt.date(2026, 2, 16), "en")) == (
        "16. februar 2026",
        "16 February 2026",
    )
    assert account("15030012345") == "1503.00.12345"
    assert "1. mars 2026 kl. 12:30" in letter("closed", told(), SENDER).subject


def test_nothing_is_threatened_with_that_is_not_done() -> None:
    mails = tomllib.loads(TEXTS.read_text(encoding="utf-8"))
    said = [*(str(mail) for mail in mails.values()), *view.TERMS.values()]
    said += [text for table in (invoice.LABELS, invoice.FEES) for each in table.values() for text in each.values()]
    untrue = re.compile(r"renter?\b|\binterest\b|purregebyr|reminder fee|inkasso|debt collection", re.IGNORECASE)
    assert [text for text in said if untrue.search(text)] == []


@pytest.mark.parametrize(("language", "what"), [("nb", "full pris"), ("en", "the full price")])
def test_what_happens_when_it_is_not_paid_is_said(language: str, what: str) -> None:
    mails = tomllib.loads(TEXTS.read_text(encoding="utf-8"))
    said = [str(mails[name][language]) for name in ("reminder", "blocked")] + [view.TERMS[language]]
    assert all(what in text for text in said)
    assert len(view.TERMS[language]) <= LONGEST_TEXT
