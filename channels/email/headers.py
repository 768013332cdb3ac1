"""Header lines: encoded words (RFC 2047), quoted names (RFC 5322), folding; no input can start a line of its own."""

from __future__ import annotations

import re
from binascii import b2a_base64
from functools import lru_cache

from runtime.errors import Invalid, Problem

WIDTH = 76
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_BLANKS = re.compile(r" {2,}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,60}")
_OWN_NAMES = (
    "from to cc bcc sender subject date message-id mime-version content-type content-transfer-encoding list-unsubscribe"
    " list-unsubscribe-post list-id feedback-id reply-to precedence return-path received dkim-signature"
)
_OWN = frozenset(_OWN_NAMES.split())


def text_header(name: str, value: str) -> str:
    """An unstructured header, folded, ending with CRLF; control characters become blanks."""
    value = _one_line(value)
    plain = value.isascii() and "=?" not in value
    if plain and len(name) + 2 + len(value) <= WIDTH:
        return f"{name}: {value}\r\n"
    if plain and "  " not in value and max(map(len, value.split(" "))) < WIDTH - len(name) - 2:
        return f"{name}: {_fold_words(value, len(name) + 2)}\r\n"
    return f"{name}: {_encoded_words(value, len(name) + 2)}\r\n"


def mailbox_header(header: str, name: str, address: str) -> str:
    """`header: name <address>`; `address` comes from `wire_address` and holds nothing that needs care."""
    name = _one_line(name)
    if "  " in name:
        name = _BLANKS.sub(" ", name)
    if not name:
        return f"{header}: {address}\r\n" if not address.startswith('"') else f"{header}: <{address}>\r\n"
    if name.isascii() and "=?" not in name and len(name) <= WIDTH - len(header) - 4:
        phrase = name if _PLAIN_NAME.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    else:
        phrase = _encoded_words(name, len(header) + 2)
    gap = " " if len(header) + len(phrase) + len(address) + 5 <= WIDTH else "\r\n "
    return f"{header}: {phrase}{gap}<{address}>\r\n"


def fixed_header(name: str, value: str) -> str:
    """A further header that somebody configured. Raises Invalid for one that Hearth writes itself or that is no
    header."""
    if not _FIELD_NAME.fullmatch(name) or name.lower() in _OWN:
        raise Invalid(Problem(f"headers.{name}", "not a header that can be added"))
    if _BREAKS.search(value):
        raise Invalid(Problem(f"headers.{name}", "a line break or control character in the value"))
    return text_header(name, value)


def _one_line(value: str) -> str:
    return value.strip() if value.isprintable() else _BREAKS.sub(" ", value).strip()


def _fold_words(value: str, used: int) -> str:
    lines: list[str] = []
    line = ""
    for word in value.split(" "):
        if line and used + len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line, used = word, 1
        else:
            line = f"{line} {word}" if line else word
    return "\r\n ".join([*lines, line])


@lru_cache(maxsize=4096)
def _encoded_words(value: str, used: int) -> str:
    """RFC 2047 in base64: words of at most 75 characters, no character split between two, one word a line."""
    words: list[str] = []
    data = value.encode()
    start, end = 0, _room(used)
    while end < len(data):
        while data[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        words.append(_word(data[start:end]))
        start, end = end, end + _ROOM_OF_A_LINE
    return "\r\n ".join([*words, _word(data[start:])])


def _room(used: int) -> int:
    """Bytes that fit into an encoded word which starts after `used` characters of its line."""
    return max(0, min(75, WIDTH - used) - len("=?utf-8?b??=")) // 4 * 3


_ROOM_OF_A_LINE = _room(1)


def _word(chunk: bytes) -> str:
    return f"=?utf-8?b?{b2a_base64(chunk, newline=False).decode()}?="
