"""A charger's watched folder: taken once, answered once, again on demand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import select

from accounts.chargers.models import ListVersion
from billing.passages.models import Batch
from billing.passages.rules import Sent
from billing.roadside.complaints.models import Complaint
from billing.roadside.exchange.models import Outgoing
from billing.roadside.exchange.outgoing import resend, send_file
from billing.roadside.exchange.world import TAKING
from billing.roadside.formats.iso12855 import Header, Provider
from billing.roadside.formats.iso12855.write import write_details
from billing.roadside.ingest_file import ingest_file
from billing.roadside.receive import receive
from config.clock import business_now
from config.database import SessionFactory
from config.problems import NotFound
from tests.integration.billing.passages.conftest import LATER, NOW, START
from tests.integration.billing.roadside.exchange.conftest import OLD, Party, lines, record, write


def answers(content: bytes) -> list[tuple[str, str]]:
    return [(one["id"], one["code"]) for one in map(json.loads, content.splitlines())]


def test_a_file_is_booked_answered_and_moved(party: Party) -> None:
    party.put("a.jsonl", lines("A", "B"))
    assert party.look() == {"booked": 1, "sent": 1}
    assert (party.names("in"), party.names("done"), party.names("out")) == ([], ["a.jsonl"], ["a.answers.jsonl"])
    assert answers(party.out("a.answers.jsonl")) == [("A", "accepted"), ("B", "accepted")]
    assert party.ask("SELECT way, is_file, state, done FROM batches") == [("inbox", True, "done", 2)]
    assert party.ask("SELECT state, outcome, what FROM incoming_files") == [("done", "booked", "records")]
    assert party.ask("SELECT kind, state, sends FROM outgoing_files") == [("answers", "sent", 1)]
    assert party.look() == {}
    party.road.check_books()


def test_what_is_not_whole_waits(party: Party) -> None:
    for name in ("a.jsonl.part", "b.jsonl.tmp", ".c.jsonl"):
        party.put(name, lines("A"))
    party.put("empty.jsonl", b"")
    assert party.look() == {}
    assert len(party.names("in")) == 4
    assert party.ask("SELECT count(*) FROM batches") == [(0,)]


def test_what_still_grows_waits(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    path = party.put("a.jsonl", lines("A"))

    def more(_: float) -> None:
        path.write_bytes(path.read_bytes() + lines("B"))

    os.utime(path)
    monkeypatch.setattr("billing.payments.inbox.time.sleep", more)
    assert party.look(exchange_settle_seconds=30) == {}
    assert party.names("in") == ["a.jsonl"]
    os.utime(path, (OLD, OLD))
    monkeypatch.setattr("billing.payments.inbox.time.sleep", lambda _: None)
    assert party.look(exchange_settle_seconds=30) == {"booked": 1, "sent": 1}
    assert len(party.out("a.answers.jsonl").splitlines()) == 2


def test_the_same_file_again_is_answered_again_with_the_same_bytes(party: Party) -> None:
    party.put("a.jsonl", lines("A"))
    party.look()
    first = party.out("a.answers.jsonl")
    (party.folder / "out" / "a.answers.jsonl").unlink()
    party.put("a.jsonl", lines("A"))
    assert party.look() == {"again": 1, "sent": 1}
    assert party.out("a.answers.jsonl") == first
    assert party.names("done") == ["a-2.jsonl", "a.jsonl"]
    assert party.ask("SELECT count(*) FROM batches") == [(1,)]
    assert party.ask("SELECT sends FROM outgoing_files") == [(2,)]


def test_another_file_of_the_same_name_does_not_write_over_an_answer(party: Party) -> None:
    party.put("a.jsonl", lines("A"))
    party.look()
    first = party.out("a.answers.jsonl")
    party.put("a.jsonl", lines("B"))
    assert party.look() == {"booked": 1, "sent": 1}
    assert party.out("a.answers.jsonl") == first
    (other,) = [name for name in party.names("out") if name != "a.answers.jsonl"]
    assert answers(party.out(other)) == [("B", "accepted")]


def test_on_demand_again(party: Party) -> None:
    party.put("a.jsonl", lines("A"))
    party.look()
    first = party.out("a.answers.jsonl")
    (party.folder / "out" / "a.answers.jsonl").unlink()
    with party.sessions.begin() as session:
        batch = session.scalars(select(Batch.id)).one()
        resend(session, batch_id=batch, now=business_now(session))
    assert party.look() == {"sent": 1}
    assert party.out("a.answers.jsonl") == first
    with party.sessions.begin() as session, pytest.raises(NotFound):
        resend(session, batch_id=batch + 1, now=NOW)
    with party.sessions.begin() as session, pytest.raises(NotFound):
        resend(session, 99, now=NOW)


def test_bytes_that_came_out_different_are_not_sent(party: Party) -> None:
    party.put("a.jsonl", lines("A"))
    party.look()
    with party.sessions.begin() as session:
        row = session.scalars(select(Outgoing)).one()
        row.sha256 = b"x" * 32
        resend(session, row.id, now=NOW)
    (party.folder / "out" / "a.answers.jsonl").unlink()
    assert party.look() == {"failed": 1}
    assert party.names("out") == []
    ((state, error),) = party.ask("SELECT state, error FROM outgoing_files")
    assert state == "waiting"
    assert "other bytes" in error


class TestRefused:
    """Files that are refused whole, and say so."""

    def test_cut_off(self, party: Party) -> None:
        party.put("a.jsonl", lines("A", "B")[:-30])
        assert party.look() == {"refused": 1, "sent": 1}
        assert party.names("refused") == ["a.jsonl", "a.jsonl.reason.txt"]
        assert "line 2" in (party.folder / "refused" / "a.jsonl.reason.txt").read_text()
        told = json.loads(party.out("a.refused.json"))
        assert (told["file"], told["refused"], told["line"]) == ("a.jsonl", True, 2)
        assert party.ask("SELECT count(*) FROM records") == [(0,)]
        assert party.ask("SELECT outcome, line, batch_id IS NOT NULL FROM incoming_files") == [("refused", 2, True)]

    def test_then_the_whole_one_comes(self, party: Party) -> None:
        party.put("a.jsonl", lines("A", "B")[:-30])
        party.look()
        party.put("a.jsonl", lines("A", "B"), OLD + 60)
        assert party.look() == {"booked": 1, "sent": 1}
        assert party.names("done") == ["a.jsonl"]

    def test_a_name_that_says_no_format(self, party: Party) -> None:
        party.put("a.txt", lines("A"))
        assert party.look() == {"refused": 1, "sent": 1}
        assert b"its name does not say" in party.out("a.refused.json")

    def test_but_a_format_may_be_agreed_on(self, party: Party) -> None:
        party.keep(kind="folder", form="jsonl", answer_form="csv")
        party.put("a.txt", lines("A"))
        assert party.look() == {"booked": 1, "sent": 1}
        assert party.out("a.answers.csv").startswith(b"position,id,code")

    def test_too_large(self, party: Party) -> None:
        party.put("a.jsonl", lines("A"))
        assert party.look(max_passage_file_bytes=10) == {"refused": 1, "sent": 1}
        assert b"MAX_PASSAGE_FILE_BYTES" in party.out("a.refused.json")

    def test_one_that_fails_costs_its_neighbours_nothing_and_is_tried_again(
        self, party: Party, monkeypatch: pytest.MonkeyPatch
    ) -> None:

        def sick(*args: object, **kwargs: object) -> object:
            if kwargs["origin"].name == "a.jsonl":  # type: ignore[attr-defined]  # an Origin
                raise RuntimeError("no disk")
            return receive(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

        party.put("a.jsonl", lines("A"))
        party.put("b.jsonl", lines("B"))
        monkeypatch.setattr("billing.roadside.exchange.inbox.receive", sick)
        assert party.look(exchange_alarm_after=2) == {"booked": 1, "sent": 1, "failed": 1}
        assert party.look(exchange_alarm_after=2) == {}  # its next attempt is not due
        party.again()
        assert party.look(exchange_alarm_after=2) == {"failed": 1, "alarms": 1}
        assert party.ask("SELECT name, attempts, error FROM incoming_files WHERE attempts > 0") == [
            ("a.jsonl", 2, "RuntimeError: no disk")
        ]
        monkeypatch.undo()
        party.again()
        assert party.look() == {"booked": 1, "sent": 1}


class TestOtherFiles:
    """What is not records goes where it belongs."""

    @pytest.fixture
    def listed(self, party: Party) -> int:
        with party.sessions.begin() as session:
            row = ListVersion(
                charger_id=party.road.toll.id, list_type="tags", version=1, kind="full", from_change=1,
                through_change=0, format="jsonl", name="x", row_count=0, size=0, sha256=b"", made_at=START,
                state="sent", sent_at=START, next_at=LATER,
            )  # fmt: skip
            session.add(row)
            session.flush()
            return row.id

    def test_records_of_iso_12855(self, party: Party) -> None:
        header = Header(
            Provider("NO", "FJELL"), Provider("NO", "FJELL"), Provider("NO", "BRIKKE"), 1, "BillingDetails", 1, NOW
        )
        sent = msgspec.convert(record("A"), Sent)
        party.put("a.xml", b"".join(write_details([sent], header)))
        assert party.look() == {"booked": 1, "sent": 1}
        assert b"<claimId>A</claimId><status>acceptedWithRemarks</status>" in party.out("a.answers.xml")
        assert party.ask("SELECT file_number, format FROM batches") == [(1, "iso12855")]
        party.put("b.xml", b"".join(write_details([sent], header)) + b"\n")
        assert party.look() == {"refused": 1, "sent": 1}  # another file under the number
        assert b"file number 1 came before" in party.out("b.refused.xml")

    def test_an_acknowledgement_in_json(self, party: Party, listed: int) -> None:
        party.put("ack.json", b'{"acknowledge": "tags", "version": 1, "accepted": true}')
        assert party.look() == {"noted": 1}
        assert party.ask("SELECT state, acknowledged_at FROM list_versions") == [("acknowledged", NOW)]
        assert (party.names("done"), party.names("out")) == (["ack.json"], [])

    def test_a_rejection_in_json(self, party: Party, listed: int) -> None:
        party.put("ack.json", b'{"acknowledge": "tags", "version": 1, "accepted": false, "reason": "cut off"}')
        assert party.look() == {"noted": 1}
        assert party.ask("SELECT state, error FROM list_versions") == [("rejected", "cut off")]

    def test_an_ack_of_iso_12855(self, party: Party, listed: int) -> None:
        party.put("ack.xml", ack("FJELL"))
        assert party.look() == {"noted": 1}
        assert party.ask("SELECT state FROM list_versions") == [("acknowledged",)]
        assert party.ask("SELECT what FROM incoming_files") == [("ack",)]

    def test_an_ack_of_another_charger_is_refused(self, party: Party, listed: int) -> None:
        party.put("ack.xml", ack("FJORD"))
        assert party.look() == {"refused": 1, "sent": 1}
        assert party.ask("SELECT state FROM list_versions") == [("sent",)]
        assert b"<result>rejected</result>" in party.out("ack.refused.xml")

    def test_an_acknowledgement_of_a_list_that_is_not(self, party: Party) -> None:
        party.put("ack.json", b'{"acknowledge": "tags", "version": 7, "accepted": true}')
        assert party.look() == {"refused": 1, "sent": 1}
        assert b"no version 7" in party.out("ack.refused.json")

    def test_a_claim(self, party: Party) -> None:
        party.put("claim.json", claim("2026-02-27", "2026-02-28"))
        assert party.look() == {"noted": 1}
        assert party.ask("SELECT number, difference_count, received_by FROM charger_claims") == [
            ("C-1", 1, "charger:FJELL")
        ]

    def test_a_claim_of_iso_12855(self, party: Party) -> None:
        who = "<charger><countryCode>NO</countryCode><providerIdentifier>FJELL</providerIdentifier></charger>"
        party.put("claim.xml", payment_claim(who))
        assert party.look() == {"noted": 1}
        assert party.ask("SELECT number, claimed_ore FROM charger_claims") == [("C-2", 100)]

    def test_a_claim_in_csv_says_its_days_by_its_name(self, party: Party) -> None:
        party.put("claim_C-3_2026-02-27_2026-02-28.csv", b"record,amount_ore\r\nA,100\r\n")
        assert party.look() == {"noted": 1}
        assert party.ask("SELECT number, claimed_ore, period_from::text, period_to::text FROM charger_claims") == [
            ("C-3", 100, "2026-02-27", "2026-02-28")
        ]
        assert party.ask("SELECT what FROM incoming_files") == [("claim",)]

    @pytest.mark.parametrize(
        "name", ["march.csv", "claim_C-3_2026-02-30_2026-03-01.csv", "claim_2026-02-27_2026-02-28.csv"]
    )
    def test_or_is_refused(self, party: Party, name: str) -> None:
        party.put(name, b"project,count,amount_ore\nP,1,100\n")
        assert party.look() == {"refused": 1, "sent": 1}
        assert party.ask("SELECT count(*) FROM charger_claims") == [(0,)]
        assert b"claim_NUMBER_FROM_TO.csv" in party.out(name.removesuffix(".csv") + ".refused.json")

    def test_a_claim_of_days_that_are_not_over_waits(self, party: Party) -> None:
        party.put("claim.json", claim("2026-03-02", "2026-03-02"))
        assert party.look() == {"wait": 1}
        assert [name[17:] for name in party.names(TAKING)] == ["claim.json"]
        party.put("a.jsonl", lines("A"))
        assert party.look(exchange_max_files=1) == {"wait": 1, "booked": 1, "sent": 1}  # it takes no other's place

    def test_responses_to_complaints(self, party: Party) -> None:
        party.put("a.jsonl", lines("A"))
        party.look()
        with party.sessions.begin() as session:
            ((passage, agreement),) = party.ask("SELECT id, agreement_id FROM passages")
            made = Complaint(
                agreement_id=agreement, passage_id=passage, charger_id=party.road.toll.id, source_id="A",
                kind="wrong_vehicle", text="", made_at=NOW, made_by="customer:1", state="sent", sent_at=NOW,
            )  # fmt: skip
            session.add(made)
            session.flush()
            number = made.id
        party.put("r.xml", responses("FJELL", number + 1))
        assert party.look() == {"refused": 1, "sent": 1}
        party.put("r.xml", responses("FJELL", number), OLD + 1)
        assert party.look() == {"noted": 1}
        assert party.ask("SELECT outcome, response, answered_by FROM complaints") == [
            ("rejected", "it was there", "charger:FJELL")
        ]

    def test_an_object_that_is_nothing(self, party: Party) -> None:
        party.put("x.json", b'{"hello": 1}')
        assert party.look() == {"refused": 1, "sent": 1}


def claim(first: str, last: str) -> bytes:
    said = {"number": "C-1", "period_from": first, "period_to": last, "lines": [{"record": "A", "amount_ore": 100}]}
    return json.dumps(said).encode()


def message(charger: str, kind: str, body: str) -> bytes:
    """A message of ISO 12855 with one struct."""

    def who(name: str, identifier: str) -> str:
        return f"<{name}><countryCode>NO</countryCode><providerIdentifier>{identifier}</providerIdentifier></{name}>"

    return (
        '<?xml version="1.0" encoding="UTF-8"?><InfoExchange xmlns="urn:brikke:iso12855:1">'
        f"<apci>{who('originator', charger)}{who('sender', charger)}{who('recipient', 'BRIKKE')}"
        f"<messageIdentifier>1</messageIdentifier><relatedMessage>1</relatedMessage><type>{kind}</type>"
        f"<numberOfStructs>1</numberOfStructs><date>20260302090000Z</date></apci>{body}</InfoExchange>"
    ).encode()


def ack(charger: str) -> bytes:
    body = (
        "<ack><relatedType>ExceptionList</relatedType><result>accepted</result><listType>tags</listType>"
        "<listVersion>1</listVersion></ack>"
    )
    return message(charger, "Ack", body)


def payment_claim(who: str) -> bytes:
    body = (
        f"<paymentClaim><claimId>C-2</claimId>{who}<period><from>2026-02-27</from><to>2026-02-28</to></period>"
        "<currency>NOK</currency></paymentClaim><claimLine><claimId>A</claimId><count>1</count>"
        "<amount>1.00</amount></claimLine>"
    )
    return message("FJELL", "PaymentClaim", body).replace(
        b"<numberOfStructs>1</numberOfStructs>", b"<numberOfStructs>2</numberOfStructs>"
    )


def responses(charger: str, complaint: int) -> bytes:
    body = (
        f"<userComplaintResponse><complaintId>{complaint}</complaintId><outcome>rejected</outcome>"
        "<text>it was there</text></userComplaintResponse>"
    )
    return message(charger, "UserComplaintResponse", body)


def produce(_: SessionFactory, row: Outgoing) -> Iterator[bytes]:
    yield b"one"
    yield row.ref.encode()


def test_a_file_of_another_room_is_sent_too(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    from billing.roadside.exchange import outgoing

    monkeypatch.setitem(outgoing.KINDS, "test", f"{__name__}:produce")
    with party.sessions.begin() as session:
        made = send_file(session, party.road.toll.id, "test", "1", "x.txt", NOW)
        assert send_file(session, party.road.toll.id, "test", "1", "y.txt", NOW).id == made.id
        with pytest.raises(ValueError, match="called"):
            send_file(session, party.road.toll.id, "test", "2", "../x.txt", NOW)
    assert party.look() == {"sent": 1}
    assert party.out("x.txt") == b"one1"


def test_where_it_is_off_nothing_is_done(party: Party) -> None:
    party.keep(kind="folder", enabled=False)
    party.put("a.jsonl", lines("A"))
    assert party.look() == {}
    assert party.names("in") == ["a.jsonl"]


def test_no_more_files_at_once_than_the_limit(party: Party) -> None:
    for number in range(5):
        party.put(f"{number}.jsonl", lines(f"R{number}"))
    assert party.look(exchange_max_files=2) == {"booked": 2, "sent": 2}
    assert party.look(exchange_max_files=2) == {"booked": 2, "sent": 2}
    assert party.look() == {"booked": 1, "sent": 1}


def test_a_batch_that_others_booked_to_its_end_is_answered(party: Party) -> None:
    """The job ``batches`` goes on with what was cut short, also when the file is no longer in the inbox."""
    path = write(party.folder / "elsewhere.jsonl", lines("A"))
    ingest_file(party.sessions, path, "FJELL", way="inbox")
    assert party.look() == {"sent": 1}
    assert answers(party.out("elsewhere.answers.jsonl")) == [("A", "accepted")]
