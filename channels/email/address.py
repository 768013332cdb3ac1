"""Mail addresses as they stand in an envelope and in a header; nothing that could end a line gets through."""

from __future__ import annotations

import re
from email.utils import getaddresses
from functools import lru_cache
from typing import NamedTuple

import idna

from channels.contract import ChannelError
from runtime.errors import Invalid, Problem

# Lenient about dots, which some providers hand out against RFC 5321 (`a..b@`, `.a@`), strict about everything that
# means something in an envelope or a header.
_ATOM = re.compile(r"[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff<>()\[\],:;\\\"@]+")
_QUOTED = re.compile(r'"(?:[ !#-\[\]-~]|\\[ -~])*"')
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_LITERAL = re.compile(r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+)\]")


class Address(NamedTuple):
    """An address ready for the wire: the domain in ASCII (IDNA 2008, UTS 46); `utf8` says that the local part needs
    SMTPUTF8."""

    local: str
    domain: str

    @property
    def utf8(self) -> bool:
        return not self.local.isascii()

    @property
    def in_header(self) -> str:
        """As a header spells it: what is no dot-atom (RFC 5322) is quoted there."""
        if ".." in f".{self.local}." and not self.local.startswith('"'):
            return f'"{self.local}"@{self.domain}'
        return str(self)

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def wire_address(text: str) -> Address:
    """Raises ChannelError (permanent, bad address) for what is no address or cannot stand in an envelope."""
    local, at, domain = text.strip(" ").rpartition("@")
    if not at or not (_ATOM.fullmatch(local) or _QUOTED.fullmatch(local)):
        raise _refused(text, "is not an e-mail address")
    host = _ascii_domain(domain)
    if host is None:
        raise _refused(text, "has no valid domain")
    if len(local.encode()) > 64:
        raise _refused(text, "has more than 64 bytes before the @")
    return Address(local, host)


def parse_sender(text: str) -> tuple[str, Address]:
    """`Name <address>` or a bare address as (name, address). Raises Invalid: it is a fixed text, not a template."""
    if "{{" in text or "{%" in text or "{#" in text:
        raise _bad_sender(f"{text!r}: the sender is a fixed text, a template is not possible here")
    if any(ord(sign) < 0x20 or sign in "\x7f\x85\u2028\u2029" for sign in text):
        raise _bad_sender(f"{text!r}: there is a line break or control character in the sender")
    found = getaddresses([text])
    if len(found) != 1:
        raise _bad_sender(f"{text!r} is more than one sender; a name with a comma in it stands in quotes")
    name, address = found[0]
    try:
        wire = wire_address(address)
    except ChannelError as error:
        raise _bad_sender(f"{text!r} is not like 'Name <address@example.com>': {error.text}") from None
    if wire.utf8:
        raise _bad_sender(f"{text!r}: the sender's address must be ASCII before the @")
    return name, wire


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str | None:
    if len(domain) > 255:
        return None
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    if _HOST.fullmatch(domain) or _LITERAL.fullmatch(domain):
        return domain
    return None


def _refused(text: str, why: str) -> ChannelError:
    shown = text if len(text) <= 80 else text[:77] + "…"
    return ChannelError(f"{shown!r} {why}", permanent=True, bad_address=True, status="5.1.3")


def _bad_sender(message: str) -> Invalid:
    return Invalid(Problem("from", message))
