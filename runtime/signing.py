"""Signatures: one secret, a derived key per purpose, tags short enough for a link.

`HEARTH_SECRET_KEY` holds one or more keys (`old,new`): the last signs, all are accepted.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import secrets
import struct
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from runtime.errors import HearthError, Unavailable

TAG_BYTES = 8
_TAGS = struct.Struct(4 * f"{TAG_BYTES}s")
_SIGNATURE_BYTES = 16
_EXPIRY = struct.Struct(">Q")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLOCK = hashlib.sha256().block_size
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))  # RFC 2104


class BadSignature(HearthError):
    """The link or token is not one of ours, was changed, or is too old."""


class TooOld(BadSignature):
    """It is one of ours, and its time is over."""


class Purpose(IntEnum):
    """What a tag of a message allows; the number is its place in the message's HMAC."""

    OPEN = 0
    CLICK = 1
    UNSUBSCRIBE = 2
    VIEW = 3


class MessageTags(NamedTuple):
    """The four tags of one message, TAG_BYTES each; none can be computed from another."""

    open: bytes
    click: bytes
    unsubscribe: bytes
    view: bytes


class Mac:
    """HMAC-SHA-256 by one key. What depends on the key alone is computed once: a digest then takes a third of the time
    of `hmac.digest`."""

    def __init__(self, key: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner, self._outer = (hashlib.sha256(block.translate(pad)) for pad in (_INNER, _OUTER))

    def digest(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


class Signer:
    """Signs with the newest key and accepts what any of the keys signed."""

    def __init__(self, secret: str) -> None:
        self._keys = [part.encode() for part in secret.split(",")]
        self._message_macs = [Mac(_derive(key, "message")) for key in self._keys]

    def message_tags(self, ids: bytes) -> MessageTags:
        """The tags of the message that `ids` names, by one HMAC."""
        return MessageTags._make(_TAGS.unpack(self._message_macs[-1].digest(ids)))

    def verify_message(self, ids: bytes, purpose: Purpose, tag: bytes) -> bool:
        """Whether `tag` was made for this message and this purpose, by any key; takes the same time either way."""
        start = purpose * TAG_BYTES
        found = False
        for mac in self._message_macs:
            found |= hmac.compare_digest(mac.digest(ids)[start : start + TAG_BYTES], tag)
        return found

    def sign(self, purpose: str, payload: bytes, expires: datetime) -> str:
        """A URL-safe token that carries `payload` until `expires` (whole seconds) and serves `purpose` alone."""
        body = _EXPIRY.pack(int(expires.timestamp())) + payload
        return to_text(body + _signature(self._keys[-1], purpose, body))

    def verify(self, purpose: str, token: str, now: datetime) -> bytes:
        """The payload that `sign` was given. Raises BadSignature, TooOld for what was good once."""
        data = from_text(token)
        body, signature = data[:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
        matches = [hmac.compare_digest(_signature(key, purpose, body), signature) for key in self._keys]
        if not any(matches) or len(body) < _EXPIRY.size:
            raise BadSignature("this link is not valid; ask for a new one")
        (expires,) = _EXPIRY.unpack_from(body)
        if now.timestamp() >= expires:
            raise TooOld("this link is too old; ask for a new one")
        return body[_EXPIRY.size :]

    @property
    def fingerprints(self) -> list[str]:
        """One short public name per key, the signing one last."""
        return [_derive(key, "fingerprint").hex()[:16] for key in self._keys]


def to_text(data: bytes) -> str:
    """URL-safe base64 without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes behind `to_text`, which has one spelling for each. Raises BadSignature."""
    try:
        data = binascii.a2b_base64(text.encode("ascii").translate(_STANDARD) + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if to_text(data) != text:
        raise BadSignature("this link is not valid; ask for a new one")
    return data


def local_secret(folder: Path) -> str:
    """The secret kept in `folder` beside the embedded database, made the first time (mode 0600)."""
    path = folder / "secret"
    try:
        if not path.exists():
            _write_once(path, secrets.token_hex(32))
        return path.read_text().strip()
    except OSError as error:
        raise Unavailable(f"HEARTH_DATA_DIR: cannot keep the secret in {path}: {error.strerror}") from None


def _write_once(path: Path, text: str) -> None:
    """Write the whole file or nothing; whoever comes second leaves the first one's."""
    fresh = path.with_name(f"secret.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        return
    finally:
        fresh.unlink()


def _derive(key: bytes, purpose: str) -> bytes:
    """A key for one purpose: HKDF (RFC 5869) with a single block."""
    extracted = hmac.digest(b"hearth", key, hashlib.sha256)
    return hmac.digest(extracted, purpose.encode() + b"\x01", hashlib.sha256)


def _signature(key: bytes, purpose: str, body: bytes) -> bytes:
    return hmac.digest(_derive(key, f"sign:{purpose}"), body, "sha256")[:_SIGNATURE_BYTES]
