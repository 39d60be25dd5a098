"""From the database to the page: everything shown, the same bytes every time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from hashlib import sha256

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.invoices.forms import Form
from billing.invoices.issue import issue
from billing.invoices.models import DueExtension, Rendering
from billing.invoices.pdf.processes import Renderer
from billing.invoices.presentation import CapRow
from billing.invoices.receipt import issue_receipt
from billing.invoices.render import pdf
from billing.invoices.rules import TEMPLATE
from billing.invoices.view import view_of
from billing.passages.partitions import ensure
from billing.passages.rules import Flag
from config import rates
from config.database import SessionFactory
from tests.integration.billing.invoices.world import FEBRUARY, JANUARY, SELLER, World


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer(processes=1) as one:
        yield one


def invoice(session: Session, world: World, language: str = "nb") -> int:
    """An invoice with toll and ferry, flags, a discount, credit and a counter-row of an earlier invoice."""
    agreement = world.agreement(language=language)
    before = world.claim(agreement, [4_000])
    issue(session, [before], seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=dt.date(2026, 2, 16), now=FEBRUARY)
    wrong = session.execute(text("SELECT min(id) FROM passages")).scalar_one()
    claim = world.claim(agreement, [3_100, 3_200, 6_000])
    world.passage(agreement, 22_400, service="ferry", vat_bp=1200, plate="DR77712", list_ore=28_000, claim=claim)
    world.passage(
        agreement, 2_480, list_ore=3_100, flags=int(Flag.BY_PLATE | Flag.TAG_DISCOUNT), plate=None, claim=claim
    )
    world.passage(agreement, -4_000, reverses=wrong, claim=claim)
    session.execute(
        text("UPDATE claims SET passages_ore = passages_ore + 20880, passages_count = 6 WHERE id = :id"), {"id": claim}
    )
    world.credit(agreement, 1_000)
    [document] = issue(
        session, [claim], seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=dt.date(2026, 2, 16), now=FEBRUARY
    )
    return document


def test_the_view_holds_all_that_was_issued(session: Session, world: World) -> None:
    view = view_of(session, invoice(session, world))
    assert (view.total_ore, view.credit_used_ore, view.payable_ore) == (33_180, 1_000, 32_180)
    assert [(v.plate, v.count, v.toll_ore, v.ferry_ore) for v in view.vehicles] == [
        ("DR77712", 1, 0, 22_400),
        ("EK12345", 4, 8_300, 0),
        ("–", 1, 2_480, 0),
    ]
    assert [(v.rate_bp, v.net_ore, v.vat_ore) for v in view.vat] == [(0, 10_780, 0), (1200, 20_000, 2_400)]
    assert {row.station for row in view.passages} == {"Gamle Bro"}
    [back] = [row for row in view.passages if row.kind == "reversal"]
    assert (back.amount_ore, back.note) == (-4_000, "Korreksjon av 15.01.2026, Gamle Bro, faktura 100000001")
    [flagged] = [row for row in view.passages if row.flags]
    assert (flagged.flags, flagged.discount_ore) == (("by_plate", "tag_discount"), -620)
    assert view.passages[0].at_local.isoformat() == "2026-01-15T12:00:00+01:00"
    assert view.buyer.address == ("Fjøsveien 215 B", "5073 Bergen")
    assert [(c.name, c.contact) for c in view.chargers] == [("Fjellvegen AS", "kunde@fjell.example")]
    assert view.has_slip


def test_a_receipt_shows_the_card_the_fee_and_no_slip(session: Session, world: World) -> None:
    claim = world.claim(world.agreement(method="card"), [20_000], kind="card", fee_ore=450)
    paid = {"brand": "visa", "last4": "4242", "on": "2026-02-01"}
    view = view_of(session, issue_receipt(session, claim, paid_by=paid, seller=SELLER, now=FEBRUARY))
    assert view.paid
    assert not view.has_slip
    assert (view.payable_ore, view.paid_ore, view.payment_terms) == (0, 20_450, "")
    assert [fee.amount_ore for fee in view.fees] == [450]


def test_a_copy_is_the_same_bytes_also_when_names_have_changed(
    session: Session, sessions: SessionFactory, world: World, renderer: Renderer
) -> None:
    document = invoice(session, world)
    session.commit()
    first = pdf(sessions, document, renderer=renderer)
    session.execute(text("UPDATE stations SET name = 'Nye Bro'"))
    session.execute(text("UPDATE customers SET name = 'Kari Hansen'"))
    session.commit()
    assert pdf(sessions, document, renderer=renderer) == first
    assert first.startswith(b"%PDF-")
    assert session.execute(text("SELECT count(*) FROM renderings")).scalar_one() == 1


def kept(session: Session) -> set[tuple[int, str]]:
    session.rollback()
    return {(row[0], row[1]) for row in session.execute(text("SELECT template, form FROM renderings"))}


def test_each_form_is_kept_on_its_own(
    session: Session, sessions: SessionFactory, world: World, renderer: Renderer
) -> None:
    document = invoice(session, world)
    session.commit()
    asked = (Form(), Form("avtalegiro"), Form(details=False), Form("avtalegiro", details=False))
    pages = [pdf(sessions, document, form=form, renderer=renderer) for form in asked]
    assert len(set(pages)) == 4
    assert [pdf(sessions, document, form=form, renderer=renderer) for form in asked] == pages
    assert pdf(sessions, document, form=Form("transfer"), renderer=renderer) == pages[0]
    assert kept(session) == {
        (TEMPLATE, form) for form in ("transfer", "avtalegiro", "transfer-short", "avtalegiro-short")
    }
    session.execute(text("UPDATE documents SET settlement = 'avtalegiro'"))
    session.commit()
    assert pdf(sessions, document, renderer=renderer) == pages[1]


def test_a_later_due_date_makes_another_page_and_the_latest_counts(
    session: Session, sessions: SessionFactory, world: World, renderer: Renderer
) -> None:
    document = invoice(session, world)
    session.commit()
    first = pdf(sessions, document, renderer=renderer)
    for later in (dt.date(2026, 3, 2), dt.date(2026, 3, 9)):
        session.add(DueExtension(document_id=document, due_on=later, reason="agent", actor="a", at=FEBRUARY))
        session.flush()
    session.commit()
    view = view_of(session, document)
    assert (view.due_on, view.due_was) == (dt.date(2026, 3, 9), dt.date(2026, 2, 16))
    second = pdf(sessions, document, renderer=renderer)
    assert second != first
    assert pdf(sessions, document, renderer=renderer) == second
    assert kept(session) == {(TEMPLATE, "transfer"), (TEMPLATE, "transfer-due:2026-03-09")}


def test_a_page_of_an_older_template_stays_and_one_never_made_is_drawn_by_the_new_one(
    session: Session, sessions: SessionFactory, world: World, renderer: Renderer
) -> None:
    document = invoice(session, world)
    session.execute(text("UPDATE documents SET template = 1"))
    session.add(
        Rendering(document_id=document, template=1, sha256=sha256(b"old").digest(), pdf=b"old", made_at=FEBRUARY)
    )
    session.commit()
    assert pdf(sessions, document, renderer=renderer) == b"old"
    assert pdf(sessions, document, form=Form(details=False), renderer=renderer).startswith(b"%PDF-")
    assert kept(session) == {(1, "transfer"), (TEMPLATE, "transfer-short")}


def test_what_is_not_to_be_paid_has_no_settlement(session: Session, world: World) -> None:
    claim = world.claim(world.agreement(method="card"), [20_000], kind="card")
    paid = {"brand": "visa", "last4": "4242", "on": "2026-02-01"}
    document = issue_receipt(session, claim, paid_by=paid, seller=SELLER, now=FEBRUARY)
    assert view_of(session, document, Form("avtalegiro")).settlement == "transfer"


def test_passages_of_a_document_that_is_too_long_are_left_out(
    session: Session, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = invoice(session, world)
    assert view_of(session, document).details
    monkeypatch.setattr("billing.invoices.view.MOST_LINES", 5)
    assert not view_of(session, document).details


def one(session: Session, world: World, claim: int) -> int:
    """Issue a claim as it stands."""
    session.execute(
        text(
            "UPDATE claims AS c SET passages_ore = p.ore, passages_count = p.n FROM (SELECT sum(amount_ore) AS ore, "
            "count(*) AS n FROM passages WHERE claim_id = :id) AS p WHERE c.id = :id"
        ),
        {"id": claim},
    )
    [made] = issue(
        session, [claim], seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=dt.date(2026, 2, 16), now=FEBRUARY
    )
    return made


def test_what_happened_before_the_period_is_marked(session: Session, world: World) -> None:
    agreement = world.agreement()
    ensure(session, JANUARY - dt.timedelta(days=31))
    december = dt.datetime(2025, 12, 31, 22, 59, tzinfo=dt.UTC)
    claim = world.claim(agreement, [1_000])
    world.passage(agreement, 2_000, at=december, booked=JANUARY, claim=claim)
    world.passage(agreement, 3_000, at=december + dt.timedelta(minutes=1), booked=JANUARY, claim=claim)
    view = view_of(session, one(session, world, claim))
    assert view.begins_on == dt.date(2026, 1, 1)  # nothing was claimed before: the month before the cut-off
    assert [(row.amount_ore, row.earlier) for row in view.passages] == [(2_000, True), (3_000, False), (1_000, False)]


def test_the_period_begins_where_the_claim_before_was_cut_off(session: Session, world: World) -> None:
    agreement = world.agreement()
    one(session, world, before := world.claim(agreement, [6_000]))
    session.execute(
        text("UPDATE claims SET cutoff_at = :at WHERE id = :id"),
        {"at": dt.datetime(2026, 1, 19, 23, 30, tzinfo=dt.UTC), "id": before},
    )
    claim = world.claim(agreement, [1_000], at=dt.datetime(2026, 1, 19, 22, 59, tzinfo=dt.UTC))
    world.passage(agreement, 2_000, at=dt.datetime(2026, 1, 19, 23, 0, tzinfo=dt.UTC), claim=claim)
    view = view_of(session, one(session, world, claim))
    assert view.begins_on == dt.date(2026, 1, 20)
    assert [(row.amount_ore, row.earlier) for row in view.passages] == [(1_000, True), (2_000, False)]


def test_the_cap_counts_what_counts(session: Session, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    caps: dict[str, int] = {"FJELL/P1": 4, "P1": 7}
    figure = rates.figure
    monkeypatch.setattr(rates, "figure", lambda name, on: caps if name == "monthly_cap_passages" else figure(name, on))
    agreement, other = world.agreement(), world.agreement()
    claim = world.claim(agreement, [1_000, 1_000])
    world.passage(agreement, 0, flags=int(Flag.HOUR_FREE), claim=claim)
    world.passage(agreement, 9_000, service="ferry", claim=claim)
    gone = world.passage(agreement, 1_000, claim=claim)
    world.passage(agreement, -1_000, reverses=gone, claim=claim)
    world.passage(agreement, 500)  # on no document yet, and it counts
    world.passage(agreement, 500, at=JANUARY - dt.timedelta(days=20), booked=JANUARY)  # another month
    world.passage(agreement, 500, booked=FEBRUARY + dt.timedelta(hours=1))  # not known when the document was made
    world.passage(other, 500)
    session.execute(text("INSERT INTO projects (charger_id, code, name) VALUES (1, 'P1', 'Fjellpakken')"))
    assert view_of(session, document := one(session, world, claim)).caps == (
        CapRow("EK12345", "NO", "Fjellpakken", dt.date(2026, 1, 1), 3, 4, reached=False),
    )
    del caps["FJELL/P1"]
    assert [row.cap for row in view_of(session, document).caps] == [7]
    caps.clear()
    assert view_of(session, document).caps == ()


def test_a_flag_of_the_operator_says_that_a_cap_is_reached(session: Session, world: World) -> None:
    claim = world.claim(world.agreement(), [1_000], flags=int(Flag.MONTHLY_CAP))
    [cap] = view_of(session, one(session, world, claim)).caps
    assert (cap.area, cap.counted, cap.cap, cap.reached) == ("P1", 1, None, True)


def test_fare_and_toll_of_a_crossing_are_one_journey(session: Session, world: World) -> None:
    agreement = world.agreement()
    claim = world.claim(agreement, [3_000])
    later = JANUARY + dt.timedelta(hours=8)
    world.passage(agreement, 22_400, service="ferry", vat_bp=1200, at=later, claim=claim)
    world.passage(agreement, 4_000, at=later + dt.timedelta(minutes=2), claim=claim)
    view = view_of(session, one(session, world, claim))
    assert [(row.service, row.journey, row.vat_bp) for row in view.passages] == [
        ("toll", 0, 0),
        ("ferry", 1, 1200),
        ("toll", 1, 0),
    ]


def test_a_tag_stands_where_no_plate_was_read(session: Session, world: World) -> None:
    agreement = world.agreement()
    claim = world.claim(agreement, [1_000, 2_000, 4_000], plate=None)
    pans = ["9578010000000000011", "9578010000000000022", None]
    ids = session.scalars(text("SELECT id FROM passages ORDER BY id")).all()
    for passage, pan in zip(ids, pans, strict=True):
        session.execute(text("UPDATE passages SET pan = :pan WHERE id = :id"), {"pan": pan, "id": passage})
    session.execute(
        text("INSERT INTO tags (agreement_id, printed_number, pan, issued_at) VALUES (:a, 'NO12345678', :pan, :at)"),
        {"a": agreement, "pan": pans[0], "at": JANUARY},
    )
    view = view_of(session, one(session, world, claim))
    assert [row.plate for row in view.passages] == ["NO12345678", "…000022", "–"]
    assert {row.plate: row.total_ore for row in view.vehicles} == {"NO12345678": 1_000, "…000022": 2_000, "–": 4_000}


def test_there_is_no_page_of_no_document(sessions: SessionFactory) -> None:
    with pytest.raises(LookupError):
        pdf(sessions, 404)
