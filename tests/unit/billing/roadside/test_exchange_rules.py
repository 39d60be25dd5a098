"""What may be a name, a folder, a key; when to try again."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.roadside.exchange import rules
from config.checks import Wrong, refuse_unprintable
from config.sftp import unfinished

NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)


@pytest.mark.parametrize("name", ["a.jsonl", "passages 2026.csv", "Ærøskøbing.xml", "x"])
def test_names_that_can_be_taken(name: str) -> None:
    assert rules.usable_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".a",
        "..",
        "a/b",
        "../a",
        "a\\b",
        "C:a",
        "a\nb",
        "a\0b",
        "a.part",
        "a.TMP",
        "a\u202eb",
        "x" * 201,
        "ø" * 101,
    ],
)
def test_names_that_cannot(name: str) -> None:
    assert not rules.usable_name(name)


@given(st.text(max_size=300))
def test_a_name_that_is_shown_is_one_line_and_a_safe_one_can_be_used(name: str) -> None:
    shown = rules.shown_name(name)
    assert rules.shown_name(shown) == shown
    assert len(shown.encode()) <= rules.LONGEST_NAME
    refuse_unprintable(shown)
    assert rules.usable_name(rules.safe_name(name)) or unfinished(shown)


@pytest.mark.parametrize(
    ("name", "shown", "safe"),
    [
        ("a.jsonl", "a.jsonl", "a.jsonl"),
        ("T08:00.jsonl", "T08:00.jsonl", "T08_00.jsonl"),
        ("d\\e.xml", "d\\e.xml", "d_e.xml"),
        ("a/b\n\u202e.csv", "a_b__.csv", "a_b__.csv"),
        ("\udce6.jsonl", "_.jsonl", "_.jsonl"),
        ("ø" * 130 + ".jsonl", "ø" * 97 + ".jsonl", "ø" * 97 + ".jsonl"),
        (" ", "file", "file"),
    ],
)
def test_names_of_chargers_files(name: str, shown: str, safe: str) -> None:
    assert (rules.shown_name(name), rules.safe_name(name)) == (shown, safe)


@given(st.text(max_size=300), st.sampled_from([".answers.jsonl", ".refused.json"]), st.sampled_from(["", "-17"]))
def test_an_answer_always_has_a_name_that_can_be_used(name: str, suffix: str, more: str) -> None:
    made = rules.answer_name(name, suffix, more)
    assert rules.usable_name(made), ascii(made)
    assert made.endswith(f"{more}{suffix}")


def test_an_answer_is_named_after_its_file() -> None:
    assert rules.answer_name("a.b.jsonl", ".answers.jsonl") == "a.b.answers.jsonl"
    assert rules.answer_name("../../etc/x.jsonl", ".answers.jsonl") == "x.answers.jsonl"


@pytest.mark.parametrize(("attempts", "minutes"), [(0, 1), (1, 1), (2, 2), (3, 5), (6, 60), (7, 60), (1000, 60)])
def test_it_is_tried_again_for_ever(attempts: int, minutes: int) -> None:
    assert rules.next_try(attempts, NOW) == NOW + dt.timedelta(minutes=minutes)


@pytest.mark.parametrize("name", ["fjell.key", "id_ed25519", "A-1"])
def test_names_of_keys(name: str) -> None:
    assert rules.secret_name(name) == name


@pytest.mark.parametrize("name", ["", ".key", "..", "../key", "/etc/passwd", "a/b", "a b", "k\n", "x" * 65])
def test_what_leads_out_of_the_folder_of_keys(name: str) -> None:
    with pytest.raises(Wrong):
        rules.secret_name(name)


@pytest.mark.parametrize("value", ["in", "/a/b", "to brikke", "."])
def test_folders_there(value: str) -> None:
    assert rules.remote_folder(value) == value


@pytest.mark.parametrize("value", ["", "..", "a/../b", "a\nb", "x" * 201, "a\\b"])
def test_what_is_no_folder_there(value: str) -> None:
    with pytest.raises(Wrong):
        rules.remote_folder(value)


@pytest.mark.parametrize("value", ["SHA256:" + "a" * 43, "SHA256:" + "a" * 43 + "="])
def test_fingerprints(value: str) -> None:
    assert rules.fingerprint(value) == "SHA256:" + "a" * 43


@pytest.mark.parametrize("value", ["", "a" * 43, "SHA256:short", "MD5:" + "a" * 43, "SHA256:" + "a" * 44])
def test_what_is_none(value: str) -> None:
    with pytest.raises(Wrong):
        rules.fingerprint(value)
