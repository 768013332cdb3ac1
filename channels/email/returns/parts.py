"""The parts of a mail that others wrote, read with bounded work: no recursion, and never an error.

The standard library's parser recurses into nested parts and takes quadratic time over some header values; a return
path is open to everybody, so what is read here has limits of size, depth and number, and what is broken is taken as
far as it goes.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header

MOST_BYTES = 1 << 20  # of a mail; the report stands before the returned original
MOST_DEPTH = 6
MOST_PARTS = 64
_MOST_HEADER_BYTES = 64 << 10
_LONGEST_VALUE = 2_000

Fields = Mapping[str, Sequence[str]]  # by name in lower case

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FOLDED = re.compile(r"\r?\n[ \t]+")
_PARAMETER = r'[;\s]{}\s*=\s*(?:"([^"\r\n]{{1,200}})"|([^\s;"]{{1,200}}))'
_BOUNDARY = re.compile(_PARAMETER.format("boundary"), re.IGNORECASE)
_CHARSET = re.compile(_PARAMETER.format("charset"), re.IGNORECASE)
_TEXT_CHARSET = re.compile(
    r"utf-?8|us-ascii|ascii|iso-?8859-?\d{1,2}|windows-125\d|cp125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|shift_jis|euc-(?:jp|kr)"
)
_CHINESE = frozenset({"gb2312", "gbk"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its header, its content type in lower case, its body as it came."""

    fields: Fields
    kind: str
    body: bytes

    def first(self, name: str) -> str:
        """The first field of that name (lower case), "" where there is none."""
        return first(self.fields, name)

    @property
    def text(self) -> str:
        """The body decoded: transfer encoding and charset, as well as they can be."""
        return decoded(self._plain_bytes(), parameter(_CHARSET, self.first("content-type")).lower())

    def _plain_bytes(self) -> bytes:
        encoding = self.first("content-transfer-encoding").lower()
        if "base64" in encoding:
            return _from_base64(self.body)
        return quopri.decodestring(self.body) if "quoted" in encoding else self.body


def parts_of(raw: bytes) -> list[Part]:
    """The mail and all parts in it, outer before inner; what lies beyond the limits is left out."""
    found: list[Part] = []
    waiting = [(raw[:MOST_BYTES], 0, "text/plain")]
    while waiting and len(found) < MOST_PARTS:
        source, depth, usual = waiting.pop()
        part = _part(source, usual)
        found.append(part)
        if depth < MOST_DEPTH:
            waiting += [(inner, depth + 1, kind) for inner, kind in reversed(_within(part))]
    return found


def first(fields: Fields, name: str) -> str:
    """The first field of that name (lower case), "" where there is none."""
    values = fields.get(name)
    return values[0] if values else ""


def read_fields(text: str) -> dict[str, list[str]]:
    """The fields of a header block, encoded words decoded, folded lines joined; lines that are no field are left
    out."""
    fields: dict[str, list[str]] = {}
    for line in _FOLDED.sub(" ", text).splitlines():
        name, colon, value = line.partition(":")
        if colon and name and " " not in name.rstrip():
            fields.setdefault(name.strip().lower(), []).append(_words(value.strip()[:_LONGEST_VALUE]))
    return fields


def decoded(raw: bytes, charset: str) -> str:
    """Text in `charset` where that is one for mails, else in UTF-8 or GB 18030 where it is that, else byte by byte."""
    known = [charset] if _TEXT_CHARSET.fullmatch(charset) else []
    for name in (*known, "utf-8", "gb18030"):
        try:
            return raw.decode("gb18030" if name in _CHINESE else name)
        except (UnicodeDecodeError, LookupError):
            continue
    return raw.decode("latin-1")


def parameter(pattern: re.Pattern[str], value: str) -> str:
    """What `pattern` (of `_PARAMETER`) finds in a field's value, "" where nothing."""
    found = pattern.search(value)
    return (found[1] or found[2]) if found else ""


def _part(source: bytes, usual: str) -> Part:
    head, body = _split(source)
    fields = read_fields(decoded(head[:_MOST_HEADER_BYTES], "utf-8"))
    kind = first(fields, "content-type").partition(";")[0].strip().lower()
    return Part(fields, kind if "/" in kind else usual, body)


def _split(source: bytes) -> tuple[bytes, bytes]:
    """Header and body; a source that begins with a blank line has no header."""
    if source.startswith((b"\n", b"\r\n")):
        return b"", source.lstrip(b"\r\n")
    found = _BLANK_LINE.search(source)
    return (source[: found.start()], source[found.end() :]) if found else (source, b"")


def _within(part: Part) -> list[tuple[bytes, str]]:
    """The sources of the parts right within, each with the type that it has where it does not say."""
    if part.kind == "message/rfc822":
        return [(part._plain_bytes(), "text/plain")]
    boundary = parameter(_BOUNDARY, part.first("content-type")) if part.kind.startswith("multipart/") else ""
    if not boundary:
        return []
    usual = "message/rfc822" if part.kind == "multipart/digest" else "text/plain"
    return [(source, usual) for source in _between(part.body, boundary)]


def _between(body: bytes, boundary: str) -> Iterator[bytes]:
    """What stands between the boundary's lines; the last may lack its end."""
    mark = rb"(?:\A|\r?\n)--" + re.escape(boundary.encode("utf-8", "replace")) + rb"(--)?[ \t]*(?=\r?\n|\Z)"
    start = None
    for place, found in enumerate(re.finditer(mark, body)):
        if start is not None:
            yield body[start : found.start()]
        if found[1] or place >= MOST_PARTS:
            return
        start = body.find(b"\n", found.end()) + 1 or len(body)
    if start is not None:
        yield body[start:]


def _from_base64(body: bytes) -> bytes:
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
    try:
        return binascii.a2b_base64(kept[: len(kept) - (len(kept) % 4 == 1)] + b"===")
    except binascii.Error:
        return b""


def _words(value: str) -> str:
    """Encoded words (RFC 2047) decoded; a value that cannot be stays as it is."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except (HeaderParseError, ValueError, IndexError):
        return value
    return "".join(piece if isinstance(piece, str) else decoded(piece, (name or "").lower()) for piece, name in pieces)
