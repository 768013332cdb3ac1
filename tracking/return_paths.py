"""The return path of one message: an address that only we can make, to which bounces of this message come back.

`b-TOKEN@bounces.example.com` or `returns+TOKEN@example.com`, where TOKEN is `ids tag` in base32, since servers fold the
case of what they return. Nothing is stored; what any of our keys signed is read.
"""

from __future__ import annotations

import binascii
from base64 import b32decode, b32encode

from runtime.house import House
from runtime.signing import TAG_BYTES, Purpose, Signer
from tracking.ledger import MessageKey
from tracking.tokens import message_ids, read_ids

_PREFIX = "b-"
# Behind the ids, so that no tag of a link or of the other passes for one.
_RETURN = b"return"
_MAIL = b"message-id"
_LONGEST = 64  # octets of a local part (RFC 5321 4.5.3.1.1)


class ReturnPaths:
    """`place`: the setting HEARTH_RETURN_PATH, a domain or a mailbox; None where mails go back to their sender and
    providers alone report of them. `domain` is "" then."""

    def __init__(self, signer: Signer, place: str | None) -> None:
        self._signer = signer
        mailbox, at, domain = (place or "").lower().rpartition("@")
        self._prefix = f"{mailbox}+" if at else _PREFIX
        self.domain = domain

    @classmethod
    def of(cls, house: House) -> ReturnPaths | None:
        """None where nothing can come back."""
        settings = house.settings
        return cls(house.signer, settings.return_path) if settings.return_path or settings.hook_secrets else None

    def address(self, key: MessageKey) -> str | None:
        """The return path of a message, None where it goes back to its sender."""
        return f"{self._prefix}{self._token(key, _RETURN)}@{self.domain}" if self.domain else None

    def mail_key(self, key: MessageKey) -> str:
        """What names the message in its Message-ID, under which providers report. Who was sent the mail knows it, so it
        is believed in authenticated reports alone."""
        return self._token(key, _MAIL)

    def read(self, address: str) -> MessageKey | None:
        """The message whose return path this is, in whatever case; None for every other address."""
        local, _, domain = address.strip().lower().rpartition("@")
        if not domain or domain != self.domain or not local.startswith(self._prefix):
            return None
        return self._read(local.removeprefix(self._prefix), _RETURN)

    def read_mail(self, message_id: str) -> MessageKey | None:
        """The message that has this Message-ID (with its brackets or without); None for every other."""
        return self._read(message_id.strip().strip("<>").lower().partition("@")[0], _MAIL)

    def _token(self, key: MessageKey, use: bytes) -> str:
        ids = message_ids(key)
        return b32encode(ids + self._signer.message_tags(ids + use).open).decode().rstrip("=").lower()

    def _read(self, token: str, use: bytes) -> MessageKey | None:
        if len(token) > _LONGEST:
            return None
        try:
            data = _decoded(token)
            key, at = read_ids(data)
        except ValueError:
            return None
        good = self._signer.verify_message(data[:at] + use, Purpose.OPEN, data[at:])
        return key if good and len(data) == at + TAG_BYTES else None


def _decoded(token: str) -> bytes:
    """The bytes of base32, which has one spelling for each. Raises ValueError."""
    try:
        data = b32decode(token.upper() + "=" * (-len(token) % 8))
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("no base32") from None
    if b32encode(data).decode().rstrip("=").lower() != token:
        raise ValueError("not the one spelling")
    return data
