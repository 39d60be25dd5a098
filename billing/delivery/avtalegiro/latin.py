"""Text for files in ISO-8859-1: what the character set lacks is written another way, and told; nothing is cut in half.

A text is taken apart into *pieces*: what a reader sees as one letter (a base and the marks on it), as it is written in
the file. A piece can be several characters (œ → oe, Ж → ZH). Cutting is between pieces only.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

UNKNOWN = "?"
_JOINER = "\u200d"
_SKIN = range(0x1F3FB, 0x1F400)
_FLAGS = range(0x1F1E6, 0x1F200)
_SPACES = {"\u00a0", "\u2007", "\u202f", "\t", "\r", "\n"}

_LETTERS = {
    "œ": "oe", "Œ": "OE", "ĳ": "ij", "Ĳ": "IJ", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ŋ": "ng", "Ŋ": "NG",
    "ŧ": "t", "Ŧ": "T", "ħ": "h", "Ħ": "H", "ı": "i", "ĸ": "k", "ſ": "s", "ẞ": "SS", "ə": "e", "Ə": "E",
    "ș": "s", "ț": "t", "€": "EUR", "‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-",
    "‐": "-", "‑": "-", "−": "-", "…": "...", "•": "*", "№": "No",
}  # fmt: skip
_CYRILLIC = {
    "а": "a", "б": "b", "в": "v", "г": "g", "ґ": "g", "д": "d", "е": "e", "ё": "e", "є": "ie", "ж": "zh", "з": "z",
    "и": "i", "і": "i", "ї": "i", "й": "i", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r",
    "с": "s", "т": "t", "у": "u", "ф": "f", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y",
    "ь": "", "э": "e", "ю": "iu", "я": "ia", "ђ": "dj", "ј": "j", "љ": "lj", "њ": "nj", "ћ": "c", "џ": "dz", "ў": "u",
}  # fmt: skip
_GREEK = {
    "α": "a", "β": "v", "γ": "g", "δ": "d", "ε": "e", "ζ": "z", "η": "i", "θ": "th", "ι": "i", "κ": "k", "λ": "l",
    "μ": "m", "ν": "n", "ξ": "x", "ο": "o", "π": "p", "ρ": "r", "σ": "s", "ς": "s", "τ": "t", "υ": "y", "φ": "f",
    "χ": "ch", "ψ": "ps", "ω": "o",
}  # fmt: skip


def _with_capitals(table: dict[str, str]) -> dict[str, str]:
    capitals = {letter.upper(): written.upper() for letter, written in table.items() if len(letter.upper()) == 1}
    return capitals | table


_WRITTEN = _with_capitals(_GREEK) | _with_capitals(_CYRILLIC) | _LETTERS


@dataclass(frozen=True, slots=True)
class Piece:
    """One letter as a reader sees it: as it was, and as it is written."""

    was: str
    written: str

    @property
    def changed(self) -> bool:
        """Whether another than the letter itself is written; a hard space as a space is no change to tell of."""
        return unicodedata.normalize("NFC", self.was) != self.written and self.was not in _SPACES


@dataclass(frozen=True, slots=True)
class Written:
    """A text as it is written. ``changed``: letters that are written another way, each once, in their order.
    ``cut``: the rest did not fit."""

    text: str
    changed: tuple[tuple[str, str], ...] = ()
    cut: bool = False


def pieces(text: str) -> list[Piece]:
    """Take a text apart into letters as they are written; what nobody sees (control and format characters) is gone."""
    return [Piece(cluster, _written(cluster)) for cluster in _clusters(unicodedata.normalize("NFC", text))]


def written(text: str, width: int | None = None) -> Written:
    """Write a text in ISO-8859-1, at most ``width`` characters of it: whole letters, trailing blanks left out."""
    out, changed, length, cut = [], {}, 0, False
    for piece in pieces(text):
        if width is not None and length + len(piece.written) > width:
            cut = True
            break
        out.append(piece.written)
        length += len(piece.written)
        if piece.changed:
            changed[piece.was] = piece.written
    return Written("".join(out).rstrip(" "), tuple(changed.items()), cut)


def _clusters(text: str) -> Iterator[str]:
    """Yield what is seen as one letter: a base with its marks, joined signs, pairs that make a flag."""
    cluster = ""
    for char in text:
        if cluster and _belongs(cluster, char):
            cluster += char
            continue
        if cluster:
            yield cluster
        cluster = char
    if cluster:
        yield cluster


def _belongs(cluster: str, char: str) -> bool:
    if unicodedata.category(char).startswith("M") or char == _JOINER or ord(char) in _SKIN:
        return True
    if cluster.endswith(_JOINER):
        return ord(char) >= 0x2000  # joined signs; between letters a joiner is only a hint to the printer
    return ord(char) in _FLAGS and len(cluster) == 1 and ord(cluster) in _FLAGS


def _written(cluster: str) -> str:
    base = cluster[0]
    if base in _SPACES:
        return " "
    seen = "".join(char for char in cluster if unicodedata.category(char) not in {"Cc", "Cf"})
    if not seen:
        return ""
    if _fits(seen):
        return seen
    if base in _WRITTEN:
        return _WRITTEN[base]
    # Ǆ and ﬁ come apart, Š loses its caron; Å never comes here, for it fits.
    apart = "".join(
        char if _fits(char) else _WRITTEN.get(char, UNKNOWN)
        for char in unicodedata.normalize("NFKD", seen)
        if not unicodedata.category(char).startswith("M") and unicodedata.category(char) not in {"Cc", "Cf"}
    )
    return UNKNOWN if not apart.strip(UNKNOWN + " ") else apart


def _fits(text: str) -> bool:
    return all(" " <= char <= "~" or "\u00a1" <= char <= "\u00ff" for char in text) and "\u00ad" not in text
