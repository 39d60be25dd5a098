"""An e-mail's bytes: nothing a customer is called can add a header, and a server reads it as we wrote it."""

from __future__ import annotations

import datetime as dt
from email.parser import BytesParser
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.delivery.mail import Attachment, BadAddressError, compose, envelope, message_id
from billing.delivery.transports import _stuffed
from billing.delivery.words import Letter

NOW = dt.datetime(2026, 2, 1, 8, 0, tzinfo=dt.UTC)
HEADERS = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Content-Language", "Auto-Submitted",
           "X-Brikke-Template", "MIME-Version", "Content-Type"]  # fmt: skip


def made(name: str, subject: str = "Faktura", address: str = "kari@example.no", plain: str = "Hei på deg\n") -> bytes:
    return compose(
        Letter(subject, plain, "<p>Hei på deg</p>\n"),
        sender_name="Brikke Eksempel AS",
        sender="faktura@brikke.example",
        reply_to="support@brikke.example",
        recipient_name=name,
        recipient=address,
        rfc_message_id="<1.2@brikke.example>",
        template="invoice",
        language="nb",
        now=NOW,
        attachment=Attachment("faktura-1.pdf", b"%PDF-\x00\r\n.\r\n"),
    )


@given(name=st.text(max_size=150), subject=st.text(max_size=150))
@settings(max_examples=150, deadline=None)
def test_no_name_or_subject_adds_a_header_or_loses_the_mail(name: str, subject: str) -> None:
    content = made(name, subject)
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    mail = BytesParser(policy=default).parsebytes(content)
    assert [header for header in mail.keys() if header not in HEADERS] == []  # noqa: SIM118 - repeated headers count
    assert len(mail.keys()) == len(HEADERS)
    assert [address.addr_spec for address in mail["To"].addresses] == ["kari@example.no"]


@pytest.mark.parametrize("line", ["\r\nBcc: all@example.no", "\nSubject: x", "\u2028x", "\x00", "\x85Bcc: a@b.no"])
def test_line_breaks_become_spaces(line: str) -> None:
    head = made(f"Kari{line}", f"Faktura{line}").split(b"\r\n\r\n")[0]
    assert not any(row.lower().startswith(b"bcc") for row in head.splitlines())
    assert sum(row.startswith(b"Subject:") for row in head.splitlines()) == 1


def test_it_reads_back_as_it_was_written() -> None:
    mail = BytesParser(policy=default).parsebytes(made('Kari Nordmann, "Bjørk" <x@y.no>'))
    assert mail["To"].addresses[0].display_name == 'Kari Nordmann, "Bjørk" <x@y.no>'
    assert mail["Date"].datetime == NOW
    assert str(mail["Date"]).endswith("+0100")
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content() == "Hei på deg\r\n"
    [pdf] = mail.iter_attachments()
    assert (pdf.get_filename(), pdf.get_content()) == ("faktura-1.pdf", b"%PDF-\x00\r\n.\r\n")


NO_ADDRESS = ["", "kari", "@example.no", "kari@", "a b@example.no", "kari@example", "å@x.no", "a@b.no>", "<a@b.no"]


@pytest.mark.parametrize("address", [*NO_ADDRESS, "a@b.no\r\nRCPT TO:<c@d.no>", "a@-.no", "a,b@c.no"])
def test_an_address_that_no_server_takes(address: str) -> None:
    with pytest.raises(BadAddressError):
        envelope(address)
    with pytest.raises(BadAddressError):
        made("Kari", address=address)


def test_a_domain_in_norwegian() -> None:
    assert envelope("kari@blåbær.no") == "kari@xn--blbr-roah.no"


def test_a_message_id_stays_and_is_another_in_another_database() -> None:
    first = message_id(7, NOW, "faktura@brikke.example")
    assert first == message_id(7, NOW, "annen@brikke.example") == "<7.20260201080000000000@brikke.example>"
    assert first != message_id(7, NOW + dt.timedelta(seconds=1), "faktura@brikke.example")


def test_dots_are_doubled_and_lines_end_as_smtp_asks() -> None:
    assert _stuffed(b"a\n.b\r\n..c") == b"a\r\n..b\r\n...c\r\n.\r\n"
    assert _stuffed(b"a\r\n") == b"a\r\n.\r\n"
