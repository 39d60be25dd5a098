"""A message of the profile as a stream: its header, then its structs one at a time, in flat memory.

Expat reads every byte and vouches for well-formedness; this module sees to it that there is nothing in the file but
elements and text (no DTD, so no entities and nothing external; after the header no comments, CDATA or processing
instructions), and cuts the structs out of the bytes that expat has gone through. So the many small elements inside
a struct cost no call each.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import BinaryIO, NoReturn
from xml.parsers import expat

from billing.passages.rules import Fault
from billing.roadside.formats.broken import BrokenFile
from billing.roadside.formats.iso12855 import elements
from billing.roadside.formats.iso12855.names import (
    DEEPEST_HEADER,
    LARGEST_STRUCT,
    LONGEST_HEADER,
    LONGEST_RECORD,
    LONGEST_TAG,
    NAMESPACE,
    PIECE,
    Header,
    Provider,
)

_ROOT = "InfoExchange"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_ENCODINGS = frozenset({"UTF-8", "US-ASCII", "ASCII"})
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_LARGEST_NUMBER = 2_147_483_647


def _provider(name: str, number: int) -> elements.Spec:
    return {"": number, "countryCode": f"{name}/countryCode", "providerIdentifier": f"{name}/providerIdentifier"}


_APCI: elements.Spec = {
    "apci": {
        "": 1,
        "originator": _provider("originator", 2),
        "sender": _provider("sender", 3),
        "recipient": _provider("recipient", 4),
        "messageIdentifier": "messageIdentifier",
        "relatedMessage": "relatedMessage",
        "type": "type",
        "numberOfStructs": "numberOfStructs",
        "date": "date",
    }
}


@lru_cache(maxsize=64)
def _opening(prefix: bytes) -> re.Pattern[bytes]:
    """Return what finds the beginning of a struct: (its ``<``, name, slash of an empty one)."""
    return re.compile(
        rb"\s*+(<)" + re.escape(prefix) + rb"([^\s<>\"'=/:]++)"
        rb"(?:\s++[^\s<>\"'=/]++\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+'))*+\s*+(/?)>"
    )


@lru_cache(maxsize=64)
def _inside(tag: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"<" + re.escape(tag) + rb"[\s/>]")


@lru_cache(maxsize=64)
def _loose_end(tag: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"</" + re.escape(tag) + rb"\s*+>")


class Message:
    """A message being read. Opening it reads as far as the header; ``structs`` goes on to the end, once.

    Raises BrokenFile, here and there, for whatever is wrong with the file as a whole.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._parser = self._guarded()
        self._held = b""  # read and not yet given out
        self._before = 0  # bytes before it
        self._lines = 1  # the line it begins on
        self._safe = 0  # how much of it expat has gone through
        self._at = 0  # where in it the struct that was given out last begins
        self._tags: list[str] = []
        self._header_span = [-1, -1]
        self.prefix = ""
        self.header = self._read_header()

    @property
    def line(self) -> int:
        """Line of the struct given out last."""
        return self._lines + self._held.count(b"\n", 0, self._at)

    def _guarded(self) -> expat.XMLParserType:
        """Return a parser that goes no further than this profile does."""
        parser = expat.ParserCreate("UTF-8")

        def refuse(reason: str) -> Callable[..., None]:
            def refused(*_: object) -> None:
                raise BrokenFile(parser.CurrentLineNumber, reason)

            return refused

        def declared(version: str, encoding: str | None, _standalone: int) -> None:
            if version != "1.0":
                raise BrokenFile(parser.CurrentLineNumber, f"is XML {version[:20]}; send XML 1.0")
            if encoding is not None and encoding.upper() not in _ENCODINGS:
                raise BrokenFile(parser.CurrentLineNumber, f"is in {encoding[:20]}; send UTF-8")

        parser.XmlDeclHandler = declared
        parser.StartDoctypeDeclHandler = refuse("has a DTD, which is never read; send the message without")
        parser.StartElementHandler = self._header_start
        parser.EndElementHandler = self._header_end
        self._only_elements = {
            "CommentHandler": refuse("has a comment after its header began; send the message without"),
            "StartCdataSectionHandler": refuse("has a CDATA section; send text as text"),
            "ProcessingInstructionHandler": refuse("has a processing instruction; send the message without"),
        }
        return parser

    def _more(self) -> bool:
        """Read and parse the next piece. False when there is none: then the whole file has been found well-formed."""
        piece = self._stream.read(PIECE)
        parser = self._parser
        if self._before + len(self._held) == 0 and (piece.startswith(_WIDE) or b"\0" in piece[:4]):
            raise BrokenFile(1, "is not UTF-8 (it begins as UTF-16)")
        try:
            parser.Parse(piece, not piece)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            said = "is not well-formed XML" if piece else "ends before it is whole: it is cut off"
            raise BrokenFile(error.lineno, f"{said} ({reason})") from None
        self._held += piece
        self._safe = parser.CurrentByteIndex - self._before if piece else len(self._held)
        if len(self._held) - self._safe > LONGEST_TAG:
            raise BrokenFile(parser.CurrentLineNumber, f"has a tag longer than {LONGEST_TAG} bytes")
        return bool(piece)

    def _drop(self, count: int) -> None:
        """Forget the first ``count`` bytes held."""
        self._lines += self._held.count(b"\n", 0, count)
        self._held = self._held[count:]
        self._before += count
        self._safe -= count
        self._at = 0

    def _header_start(self, name: str, attributes: dict[str, str]) -> None:
        parser, tags = self._parser, self._tags
        if not tags:
            self._open_root(name, attributes)
        elif len(tags) == 1:
            if name != f"{self.prefix}apci":
                raise BrokenFile(parser.CurrentLineNumber, f"begins with {name[:40]}; first comes apci, the header")
            self._header_span[0] = parser.CurrentByteIndex
        elif len(tags) >= DEEPEST_HEADER:
            raise BrokenFile(parser.CurrentLineNumber, f"has a header nested deeper than {DEEPEST_HEADER}")
        tags.append(name)

    def _open_root(self, name: str, attributes: dict[str, str]) -> None:
        """Take the root's prefix: its names, and no others, are of the profile."""
        parser = self._parser
        prefix, _, local = name.rpartition(":")
        space = attributes.get(f"xmlns:{prefix}" if prefix else "xmlns")
        if local != _ROOT or space != NAMESPACE:
            raise BrokenFile(parser.CurrentLineNumber, f"is not an {_ROOT} of {NAMESPACE}")
        for attribute in attributes:
            owner = attributes.get(f"xmlns:{attribute.partition(':')[0]}")
            if attribute != "xmlns" and not attribute.startswith("xmlns:") and owner != _XSI:
                raise BrokenFile(parser.CurrentLineNumber, f"has an unknown attribute {attribute[:40]!r}")
        self.prefix = f"{prefix}:" if prefix else ""
        for handler, refuse in self._only_elements.items():
            setattr(parser, handler, refuse)

    def _header_end(self, _name: str) -> None:
        self._tags.pop()
        if len(self._tags) == 1:
            parser = self._parser
            self._header_span[1] = parser.CurrentByteIndex
            # From here on expat reads without a call for each element.
            parser.StartElementHandler = parser.EndElementHandler = None

    def _read_header(self) -> Header:
        span = self._header_span
        while span[1] < 0:
            if not self._more():
                raise BrokenFile(self._parser.CurrentLineNumber, "has no header (apci)")
            if span[1] < 0 and len(self._held) > LONGEST_HEADER:
                raise BrokenFile(1, f"has no whole header (apci) in its first {LONGEST_HEADER} bytes")
        held = self._held
        # Of an empty element (<apci/>) expat says where it ends; of others where the tag begins that ends it.
        tag = f"</{self.prefix}apci".encode()
        end = held.index(b">", span[1]) + 1 if held.startswith(tag, span[1]) else span[1]
        self._at = span[0]
        try:
            if end - span[0] > LONGEST_HEADER:
                raise Fault("invalid_record", None, f"is longer than {LONGEST_HEADER} bytes")
            header = _header(elements.read(elements.text_of(held[span[0] : end]), self.prefix, _APCI))
        except Fault as fault:
            self.refuse(f"the header: {fault.field or 'apci'} {fault.reason}")
        self._drop(end)
        return header

    def structs(self, *names: str) -> Iterator[tuple[str, bytes]]:
        """Yield (name, text) of each struct in order. Raises BrokenFile for one of another name than ``names``.

        A struct with attributes, or an empty one, is given out like any other: it breaks only itself.
        """
        prefix = self.prefix.encode()
        known = {name.encode(): name for name in names}
        opening = _opening(prefix).match
        more = True
        while more:
            held, safe, at = self._held, self._safe, 0
            while found := opening(held, at, safe):
                self._at = start = found.start(1)
                name = found[2]
                if name not in known:
                    self.refuse(f"holds {name.decode()[:40]} where {' or '.join(names)} belongs")
                end = found.end() if found[3] else self._end(prefix + name, found.end())
                if not end:
                    break
                yield known[name], held[start:end]
                at = end
            self._drop(at)
            if found is None and self._at_root_end():
                return
            if len(self._held) > LARGEST_STRUCT:
                self._at = len(self._held) - len(self._held.lstrip())
                self.refuse(f"has a {' or '.join(names)} longer than {LARGEST_STRUCT} bytes")
            more = self._more()

    def counted(self, *names: str) -> Iterator[tuple[str, bytes]]:
        """Yield what ``structs`` does; raises BrokenFile at the end where the header promised another number."""
        count = 0
        for struct in self.structs(*names):
            count += 1
            yield struct
        if count != self.header.structs:
            self.refuse(f"holds {count} structs; its header says {self.header.structs}")

    def fields(self, raw: bytes, spec: elements.Spec) -> dict[str, str]:
        """Return the values of a struct without which the message is worth nothing. Raises BrokenFile."""
        if len(raw) > LONGEST_RECORD:
            self.refuse(f"has a struct longer than {LONGEST_RECORD} bytes")
        try:
            return elements.read(elements.text_of(raw), self.prefix, spec)
        except Fault as fault:
            self.refuse(f"{fault.field or 'a struct'} {fault.reason}")

    def needed(self, values: dict[str, str], name: str, longest: int) -> str:
        """Return a text that must be there, of at most so many characters. Raises BrokenFile."""
        value = values.get(name)
        if value is None:
            self.refuse(f"{name} is missing")
        if len(value) > longest:
            self.refuse(f"{name} is longer than {longest} characters")
        return value

    def refuse(self, reason: str) -> NoReturn:
        """Raise BrokenFile at the struct given out last."""
        raise BrokenFile(self.line, reason)

    def _end(self, tag: bytes, start: int) -> int:
        """Return where the struct ends whose content begins at ``start``; 0 while its end has not been read."""
        held, safe = self._held, self._safe
        close = b"</" + tag + b">"
        at = held.find(close, start, safe)
        if at >= 0 and held.find(b"<" + tag, start, at) < 0:
            return at + len(close)
        found = _loose_end(tag).search(held, start, safe)
        if found is None:
            return 0
        if _inside(tag).search(held, start, found.start()):
            self.refuse(f"has a {tag.decode()} inside another")
        return found.end()

    def _at_root_end(self) -> bool:
        """Look at what stands between structs. True when it was the root's end and the file has been read to its end.

        Raises BrokenFile for anything but blanks."""
        rest = self._held[: self._safe].lstrip()
        self._drop(self._safe - len(rest))
        if rest.startswith(b"</"):
            # Well-formed as it is, this can only be the root's end; what comes after it says nothing.
            while self._more():
                self._drop(self._safe)
            return True
        if rest:
            self.refuse("has text, or an element of another namespace, where a record belongs")
        return False


def _header(values: dict[str, str]) -> Header:
    """Return what a header says. Raises Fault."""

    def provider(name: str) -> Provider:
        country = _text(values, f"{name}/countryCode")
        if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
            raise Fault("invalid_record", f"{name}/countryCode", "must be two capital letters")
        try:
            return Provider.read(f"{country}:{_text(values, f'{name}/providerIdentifier')}")
        except ValueError:
            raise Fault("invalid_record", f"{name}/providerIdentifier", "must be 1 to 40 letters or digits") from None

    kind = _text(values, "type")
    if len(kind) > 40:
        raise Fault("invalid_record", "type", "is too long")
    return Header(
        originator=provider("originator"),
        sender=provider("sender"),
        recipient=provider("recipient"),
        number=whole(values, "messageIdentifier", 1),
        kind=kind,
        structs=whole(values, "numberOfStructs", 0),
        made_at=_instant(_text(values, "date")),
        related=whole(values, "relatedMessage", 1) if "relatedMessage" in values else None,
    )


def _text(values: dict[str, str], name: str) -> str:
    if name not in values:
        raise Fault("invalid_record", name, "is missing")
    return values[name]


def whole(values: dict[str, str], name: str, least: int) -> int:
    """Return a whole number from ``least`` up. Raises Fault."""
    text = _text(values, name)
    number = int(text) if _NUMBER.fullmatch(text) else -1
    if not least <= number <= _LARGEST_NUMBER:
        raise Fault("invalid_record", name, f"must be a whole number from {least}")
    return number


def _instant(text: str) -> dt.datetime:
    """Return an instant written as YYYYMMDDhhmmssZ. Raises Fault."""
    found = _DATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, found.groups())
        return dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        raise Fault("invalid_record", "date", "must be YYYYMMDDhhmmssZ") from None
