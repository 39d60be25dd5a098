"""Settings that name a partner's mailbox or place for files: read once, never half safe, passwords never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import SettingsError, describe, load
from config.targets import Exchange, Mailbox, exchange, host_key, mailbox

KEY = "SHA256:" + "a" * 43


def test_a_mailbox_on_a_server_or_in_a_folder() -> None:
    assert mailbox("") is None
    assert mailbox("folder:var/bounces") == Mailbox(folder=Path("var/bounces"))
    assert mailbox("imaps://u%40x:p%2Fw@mail.example.no/Returned") == Mailbox(
        None, "mail.example.no", 993, True, "u@x", "p/w", "Returned"
    )
    assert mailbox("imap://u:p@127.0.0.1:1143") == Mailbox(None, "127.0.0.1", 1143, False, "u", "p", "INBOX")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("imap://u:p@mail.example.no", "unprotected"),
        ("imaps://mail.example.no", "no user or password"),
        ("imaps://u:p@", "no host"),
        ("pop3://u:p@mail.example.no", "must begin with folder: or imaps:// or imap://"),
        ("imaps://u:p@mail.example.no:99999", "not a number"),
        ('imaps://u:p@mail.example.no/IN"BOX', "not plain ASCII"),
        ("imaps://u:p@mail.example.no/%0d%0aX", "not plain ASCII"),
        ("folder:", "must not be empty"),
    ],
)
def test_what_is_no_mailbox(value: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as error:
        mailbox(value)
    assert ":p@" not in str(error.value)


def test_a_place_for_files() -> None:
    assert exchange("") is None
    assert exchange("folder:var/print") == Exchange(folder=Path("var/print"))
    assert exchange("sftp://brikke@print.example.no/brikke/live") == Exchange(
        None, "print.example.no", 22, "brikke", None, "brikke/live"
    )
    assert exchange("sftp://u:p@print.example.no:2222") == Exchange(None, "print.example.no", 2222, "u", "p", ".")


@pytest.mark.parametrize("value", ["sftp://print.example.no/x", "sftp://u@h/../x", "ftp://u@h/x", "sftp://u@h/a%5Cb"])
def test_what_is_no_place(value: str) -> None:
    with pytest.raises(ValueError, match=r"must begin|names"):
        exchange(value)


def test_a_host_key_is_a_fingerprint() -> None:
    assert host_key("") == ""
    assert host_key(KEY + "=") == KEY
    with pytest.raises(ValueError, match="43 characters"):
        host_key("SHA256:abc")


def test_a_server_needs_its_key_and_ours(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    with pytest.raises(SettingsError, match="PRINT_HOST_KEY is missing"):
        load({"PRINT_TARGET": "sftp://u:p@h/x"}, dotenv)
    with pytest.raises(SettingsError, match="PRINT_KEY_FILE is missing"):
        load({"PRINT_TARGET": "sftp://u@h/x", "PRINT_HOST_KEY": KEY}, dotenv)
    found = load({"PRINT_TARGET": "sftp://u:hemmelig@h/x", "PRINT_HOST_KEY": KEY}, dotenv)
    assert "hemmelig" not in repr(found) + repr(describe(found))


def test_folders_are_beside_the_dotenv_and_passwords_are_hidden(tmp_path: Path) -> None:
    told = {"BOUNCE_URL": "folder:var/bounces", "PRINT_TARGET": "folder:var/print"}
    found = load(told, tmp_path / ".env")
    assert found.bounce_url == Mailbox(folder=tmp_path / "var/bounces")
    assert found.print_target == Exchange(folder=tmp_path / "var/print")
    found = load({"BOUNCE_URL": "imaps://u:hemmelig@h/INBOX"}, tmp_path / ".env")
    assert "hemmelig" not in repr(found.bounce_url) + repr(describe(found))


def test_nothing_of_it_is_set_up_from_the_start(tmp_path: Path) -> None:
    found = load({}, tmp_path / ".env")
    assert (found.bounce_url, found.print_target, found.mail_documents, found.mail_unopened) == (
        None, None, "attached", False,
    )  # fmt: skip
