"""What is sealed is opened by our keys only, and by nobody once it was changed."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.sealed import BrokenSeal, Sealing, UnknownKey, Unsealable, new_key, sealing
from config.settings import SettingsError, describe, load

ONE, TWO = b"1" * 32, b"2" * 32
KEYS = [base64.b64encode(key).decode() for key in (ONE, TWO)]


@given(st.text(max_size=200))
@settings(max_examples=50)
def test_what_is_sealed_opens_to_the_same_and_shows_nothing(text: str) -> None:
    one = Sealing([ONE])
    sealed = one.seal(text)
    assert one.open(sealed) == text
    assert one.seal(text) != sealed
    if len(text) > 3:
        assert text.encode() not in sealed


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=60)
def test_a_changed_byte_is_never_opened(place: int, change: int) -> None:
    one = Sealing([ONE])
    sealed = bytearray(one.seal("15108695088"))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(Unsealable):
        one.open(bytes(sealed))


@given(st.binary(max_size=60))
@settings(max_examples=60)
def test_garbage_is_no_seal(garbage: bytes) -> None:
    with pytest.raises(Unsealable) as caught:
        Sealing([ONE]).open(garbage)
    assert isinstance(caught.value, BrokenSeal | UnknownKey)


def test_keys_are_rolled_over() -> None:
    old = Sealing([ONE]).seal("15108695088")
    both = Sealing([TWO, ONE])
    assert both.open(old) == "15108695088"
    assert not both.is_of_first(old)
    anew = both.seal("15108695088")
    assert both.is_of_first(anew)
    assert Sealing([TWO]).open(anew) == "15108695088"
    with pytest.raises(UnknownKey):
        Sealing([TWO]).open(old)
    with pytest.raises(UnknownKey):
        Sealing([ONE]).open(anew)
    # The same key named twice still seals as the first.
    assert Sealing([ONE, TWO, ONE]).is_of_first(old)


def test_the_errors_say_nothing_of_what_is_in_it() -> None:
    sealed = Sealing([ONE]).seal("15108695088")
    for keys, bytes_ in (([TWO], sealed), ([ONE], sealed[:-1])):
        with pytest.raises(Unsealable) as caught:
            Sealing(keys).open(bytes_)
        assert "15108695088" not in repr(caught.value)


def test_a_key_is_made_once_for_us_alone(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    first = sealing(load({}, dotenv)).seal("x")
    file = tmp_path / "var/sealing.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(base64.urlsafe_b64decode(file.read_text())) == 32
    assert sealing(load({}, dotenv)).open(first) == "x"


def test_keys_of_the_settings_win_and_are_hidden(tmp_path: Path) -> None:
    found = load({"SEALING_KEYS": f" {KEYS[0]}, {KEYS[1]}"}, tmp_path / ".env")
    sealed = sealing(found).seal("x")
    assert Sealing([ONE]).open(sealed) == "x"
    assert not (tmp_path / "var/sealing.key").exists()
    assert describe(found)["SEALING_KEYS"] == "***"
    assert sealing(load({"SEALING_KEYS": new_key()}, tmp_path / ".env")).is_of_first(sealed) is False


@pytest.mark.parametrize("keys", ["hush", "aHVzaA==", f"{KEYS[0]},hush", "hush" * 11])
def test_a_key_that_is_none_is_refused_and_not_repeated(tmp_path: Path, keys: str) -> None:
    with pytest.raises(SettingsError, match="SEALING_KEYS") as caught:
        load({"SEALING_KEYS": keys}, tmp_path / ".env")
    assert "hush" not in str(caught.value)


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        Sealing([])


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"DIGIPOST_URL": "https://api.digipost.no"}, "DIGIPOST_SENDER_ID"),
        ({"DIGIPOST_URL": "https://api.digipost.no", "DIGIPOST_SENDER_ID": "1"}, "DIGIPOST_KEY_FILE"),
        ({"DIGIPOST_URL": "http://api.digipost.no"}, "DIGIPOST_URL"),
        ({"DIGIPOST_URL": "https://me:hush@api.digipost.no"}, "DIGIPOST_URL"),
        ({"DIGIPOST_URL": "http://me:hush@api.digipost.no"}, "DIGIPOST_URL"),
        ({"DIGIPOST_URL": "ftp://me:hush@api.digipost.no"}, "DIGIPOST_URL"),
        ({"EBOKS_URL": "https://eboks.example.no?key=hush"}, "EBOKS_URL"),
        ({"DIGIPOST_SENDER_ID": "NO 1"}, "DIGIPOST_SENDER_ID"),
        ({"EBOKS_URL": "https://eboks.example.no"}, "EBOKS_KEY"),
        ({"EBOKS_TOKEN_URL": "https://eboks.example.no"}, "EBOKS_CLIENT_ID"),
        ({"EBOKS_TOKEN_URL": "http://eboks.example.no", "EBOKS_CLIENT_ID": "us"}, "EBOKS_TOKEN_URL"),
        ({"SYNTHETIC_NATIONAL_IDS": "perhaps"}, "SYNTHETIC_NATIONAL_IDS"),
    ],
)
def test_a_channel_that_is_half_set_up_is_refused(tmp_path: Path, environ: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load(environ, tmp_path / ".env")
    assert "hush" not in str(caught.value)


def test_made_up_ids_are_taken_in_a_demo_unless_told_otherwise(tmp_path: Path) -> None:
    def takes(**environ: str) -> bool:
        return load(environ, tmp_path / ".env").takes_synthetic_ids()

    assert not takes()
    assert takes(DEMO="true")
    assert takes(SYNTHETIC_NATIONAL_IDS="true")
    assert not takes(DEMO="true", SYNTHETIC_NATIONAL_IDS="false")


def test_the_key_file_is_beside_the_dotenv(tmp_path: Path) -> None:
    environ = {"DIGIPOST_URL": "https://api.digipost.no/", "DIGIPOST_SENDER_ID": "1", "DIGIPOST_KEY_FILE": "d.p12"}
    found = load(environ, tmp_path / ".env")
    assert (found.digipost_url, found.digipost_key_file) == ("https://api.digipost.no", str(tmp_path / "d.p12"))
