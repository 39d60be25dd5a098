"""One struct of a message: its text becomes the values of its fields, held against what the profile knows.

What comes here has been found well-formed, and holds no comment, CDATA section or processing instruction
(``message``). So every ``<`` begins a tag, and a tag without attributes is all that the profile has. One pass of one
expression finds the leaves with their text and the containers' ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import count
from operator import itemgetter
from typing import Any

from billing.passages.rules import Fault

Spec = Mapping[str, "str | int | Spec"]
"""Children by name: a leaf we keep is the name of its field; one we only know is a number of its own; a container is
a Spec, whose entry "" is a number of its own."""

_REFERENCE = re.compile(r"&(?:#(\d+)|#x([0-9A-Fa-f]+)|(\w+));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_LOOSE = re.compile(r"<(/?)([^\s<>/\"'=]+)\s*(/?)>")
_FILLED = re.compile(r">(?!\s*+<)([^<]++)<", re.ASCII)
_SHAPES = 64
"""So many shapes are learned for a file; with ever other ones it is read as without."""
_SHOWN = 40


def text_of(raw: bytes) -> str:
    """Return a struct's text with line ends as XML reads them."""
    text = raw.decode()
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def plain(value: str) -> str:
    """Return a leaf's text with its references resolved. There is no DTD: the five names and numbers are all."""
    return _REFERENCE.sub(_resolve, value) if "&" in value else value


def _resolve(found: re.Match[str]) -> str:
    if found[3]:
        return _NAMED[found[3]]
    return chr(int(found[1]) if found[1] else int(found[2], 16))


@lru_cache(maxsize=64)
def _tokens(prefix: str) -> re.Pattern[str]:
    """Return what finds (leaf or container, text, container's end, anything else) where names have this prefix."""
    p = re.escape(prefix)
    return re.compile(rf"<{p}([A-Za-z]++)>(?:([^<]++)</{p}\1>)?|</{p}([A-Za-z]++)>|([^\s<][^<]*+|<[^>]*+>?)", re.ASCII)


def read(text: str, prefix: str, spec: Spec) -> dict[str, str]:
    """Return the values of the leaves that ``spec`` keeps, in the text of one struct. Raises Fault (invalid_record)
    for an element that is unknown, twice, empty or in the wrong place, for attributes, and for text between elements.
    """
    values: dict[str, str] = {}
    seen: set[int] = set()
    stack: list[Spec] = []
    node = spec
    for name, value, end, other in _tokens(prefix).findall(text):
        if name:
            known = node.get(name)
            if known.__class__ is str and value:
                if known in values:
                    raise Fault("invalid_record", known, "is there twice")
                values[known] = plain(value) if "&" in value else value
            elif known.__class__ is int and value:
                if known in seen:
                    raise Fault("invalid_record", name, "is there twice")
                seen.add(known)
            else:
                inner = _container(name, value, known, seen)
                if not value:
                    stack.append(node)
                    node = inner
        elif end:
            node = stack.pop()
        else:
            tidy = _LOOSE.sub(_tidy, text)
            if tidy == text:
                raise _strange(other)
            return read(tidy, prefix, spec)
    return values


class Shapes:
    """Reads many structs of one kind, most of which have the same elements: what ``read`` makes of those is learned
    once for each shape (a struct with NUL, which XML has nowhere, for each of its texts), and then only the texts are
    picked out of it.

    What ``read`` refuses is never learned, so each fault is found by it, and by it alone.
    """

    def __init__(self, prefix: str, spec: Spec) -> None:
        self._prefix, self._spec = prefix, spec
        self._known: dict[str, tuple[tuple[str, ...], Callable[[list[str]], tuple[str, ...]]]] = {}

    def read(self, text: str) -> dict[str, str]:
        """Return what ``read`` does, or raise what it raises."""
        shape = _FILLED.sub(">\0<", text)
        known = self._known.get(shape)
        if known is None:
            values = read(text, self._prefix, self._spec)
            if len(self._known) < _SHAPES:
                self._learn(shape, text)
            return values
        fields, pick = known
        values = dict(zip(fields, pick(_FILLED.findall(text)), strict=True))
        if "&" in text:
            for field, value in values.items():
                values[field] = plain(value)
        return values

    def _learn(self, shape: str, text: str) -> None:
        """Keep which text is of which field, found by reading numbers in the place of texts."""
        numbers = count()
        numbered = read(_FILLED.sub(lambda _: f">#{next(numbers)}<", text), self._prefix, self._spec)
        # A leaf of blanks only is part of the shape, and so never picked. Few of them are worth learning.
        if len(numbered) > 1 and all(value.startswith("#") for value in numbered.values()):
            pick: Callable[[list[str]], tuple[str, ...]] = itemgetter(*(int(n[1:]) for n in numbered.values()))
            self._known[shape] = tuple(numbered), pick


def _container(name: str, value: str, known: Any, seen: set[int]) -> Spec:
    """Return the children of an element that is no filled leaf. Raises Fault."""
    if known is None:
        raise Fault("invalid_record", name[:_SHOWN], "is not an element we know here")
    if isinstance(known, (str, int)):
        raise Fault("invalid_record", known if isinstance(known, str) else name, "is empty, or holds elements")
    if value.strip(" \t\n"):
        raise Fault("invalid_record", name, "holds text, not elements")
    if known[""] in seen:
        raise Fault("invalid_record", name, "is there twice")
    seen.add(known[""])
    return known  # type: ignore[no-any-return]  # what is left is a Spec


def _tidy(found: re.Match[str]) -> str:
    """Return a tag without attributes as the writer of this profile writes it."""
    end, name, empty = found.groups()
    return f"<{name}></{name}>" if empty else f"<{end}{name}>"


def _strange(other: str) -> Fault:
    if not other.startswith("<"):
        return Fault("invalid_record", None, "has text between its elements")
    name = re.match(r"</?([^\s<>/]*)", other)
    assert name is not None
    if re.match(r"<[^\s<>/]+\s+[^\s>]", other):
        return Fault("invalid_record", name[1][:_SHOWN], "has an attribute; no element of a record has one")
    return Fault("invalid_record", name[1][:_SHOWN], "is not an element we know here")
