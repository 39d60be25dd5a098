"""Letters that ISO-8859-1 lacks are written another way and told; no letter is ever cut in half."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.delivery.avtalegiro.latin import pieces, written


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("Ærlig Øystein Ås", "Ærlig Øystein Ås"),
        ("A\u030ase", "Åse"),  # a ring on its own is put on its letter
        ("Łukasz Żółć", "Lukasz Zólc"),
        ("Áhkku Ŧuommá Đávvi Ŋiŋ", "Áhkku Tuommá Dávvi NGing"),
        ("Œuvre", "OEuvre"),
        ("Щербань Юлія", "SHCHerban IUliia"),
        ("Γιώργος", "Giorgos"),
        ("ﬁn Ǆ", "fin DZ"),
        ("‘x’ – y… €5", "'x' - y... EUR5"),
        ("山田", "??"),
        ("Kari 👩‍👩‍👧 N", "Kari ? N"),
        ("🇳🇴!", "?!"),
        ("a\u00adb\u200bc\u0000d\u0085e", "abcde"),
        ("a\tb\u00a0c", "a b c"),
        ("x  ", "x"),
        ("", ""),
    ],
)
def test_as_it_is_written(text: str, out: str) -> None:
    assert written(text).text == out


def test_what_changed_is_told_once() -> None:
    assert written("Šaša Œ").changed == (("Š", "S"), ("š", "s"), ("Œ", "OE"))
    assert written("Ås\u00a0x").changed == ()


@pytest.mark.parametrize(
    ("text", "width", "out", "cut"),
    [
        ("œœ", 4, "oeoe", False),
        ("œœ", 3, "oe", True),
        ("œœ", 1, "", True),
        ("abЩ", 5, "ab", True),
        ("ab c", 3, "ab", True),
        ("ééé", 2, "éé", True),
        ("e\u0301e\u0301", 1, "é", True),
        ("abc", 3, "abc", False),
    ],
)
def test_cut_between_letters_only(text: str, width: int, out: str, cut: bool) -> None:
    found = written(text, width)
    assert (found.text, found.cut) == (out, cut)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.integers(0, 20))
def test_always_fits_and_ends_with_a_whole_letter(text: str, width: int) -> None:
    found = written(text, width)
    assert len(found.text) <= width
    assert len(found.text.encode("iso-8859-1")) == len(found.text)
    assert all(char.isprintable() for char in found.text)
    whole = "".join(piece.written for piece in pieces(text))
    ends = {0}
    for piece in pieces(text):
        ends.add(max(ends) + len(piece.written))
    assert whole.startswith(found.text)
    assert any(whole[:end].rstrip(" ") == found.text for end in ends)
    if not found.cut:
        assert found.text == whole.rstrip(" ")
