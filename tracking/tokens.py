"""The addresses of one message and the tokens in them: ids and a tag, nothing stored.

A token is `varint(customer) varint(run) varint(step) tag [varint(link)]` in URL-safe base64. The tag is the
purpose's slice of the message's one HMAC, so a click token never unsubscribes; it covers the ids, and the link's
index is checked against the run's link table by whoever follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from runtime.errors import NotFound
from runtime.signing import TAG_BYTES, BadSignature, MessageTags, Purpose, Signer, from_text, to_text
from tracking.ledger import MessageKey

_LARGEST_ID = 2**63 - 1
_LARGEST_STEP = 2**15 - 1
_LONGEST_TOKEN = 64
_LONGEST_VARINT = 10  # bytes


@dataclass(frozen=True, slots=True)
class TokenRef:
    """What a good token names. `link` is the index of a click; it may still lie outside of the run's table."""

    key: MessageKey
    link: int = 0


class MessageUrls:
    """The addresses of one message under `public_url` (no slash at its end), by one HMAC: `open` is the pixel,
    `unsubscribe` the one-click address, which also serves the page with the button, `preferences` the same page at its
    preferences, `view` the mail in a browser."""

    def __init__(self, signer: Signer, public_url: str, key: MessageKey) -> None:
        ids = message_ids(key)
        tags = signer.message_tags(ids)
        opened, clicked, unsubscribed, viewed = _tokens(ids, tags)
        self._click = ids + tags.click
        self._clicks = f"{public_url}/c/{clicked}"
        self.open = f"{public_url}/o/{opened}"
        self.unsubscribe = f"{public_url}/u/{unsubscribed}"
        self.preferences = f"{self.unsubscribe}#preferences"
        self.view = f"{public_url}/v/{viewed}"

    def clicks(self, count: int, first: int = 0) -> list[str]:
        """The tracked addresses of `count` of the run's links. They differ in the ends of their tokens, which depend
        on no more than the last bits of what stands before."""
        over = len(self._click) % 3
        beginning = self._clicks[:-1] if over else self._clicks  # its last sign also holds bits of what follows
        return [beginning + end for end in _endings(over, self._click[-1] & (0, 3, 15)[over], count, first)]


def _tokens(ids: bytes, tags: MessageTags) -> list[str]:
    """The message's token for each purpose, spelled in one go: each is filled up to where a spelling begins anew."""
    size = len(ids) + TAG_BYTES
    filling = bytes(-size % 3)
    text = to_text(ids + (filling + ids).join(tags) + filling)
    width, signs = len(text) // len(tags), (size * 8 + 5) // 6
    return [text[start : start + signs] for start in range(0, len(text), width)]


@lru_cache(maxsize=1024)
def _endings(over: int, bits: int, count: int, first: int) -> tuple[str, ...]:
    """How the tokens of links end behind `over` bytes, of which the last `bits` are not written yet."""
    before = bytes((*(0,) * (over - 1), bits)) if over else b""
    return tuple(to_text(before + _varint(link))[over:] for link in range(first, first + count))


def read_token(signer: Signer, token: str, purpose: Purpose) -> TokenRef:
    """The message that `token` names. Raises NotFound for anything that was not made for it and for `purpose`."""
    if len(token) > _LONGEST_TOKEN:
        raise _unknown()
    try:
        data = from_text(token)
        key, at = read_ids(data)
    except (BadSignature, ValueError):
        raise _unknown() from None
    if not signer.verify_message(data[:at], purpose, data[at : at + TAG_BYTES]):
        raise _unknown()
    return TokenRef(key, _read_link(data[at + TAG_BYTES :], purpose))


def read_ids(data: bytes) -> tuple[MessageKey, int]:
    """What `message_ids` wrote at the beginning of `data`, and where it ends. Raises ValueError for anything else."""
    customer, at = _read_varint(data, 0)
    run, at = _read_varint(data, at)
    step, at = _read_varint(data, at)
    if customer > _LARGEST_ID or run > _LARGEST_ID or step > _LARGEST_STEP:
        raise ValueError("larger than any id")
    return MessageKey(customer, run, step), at


def _read_link(rest: bytes, purpose: Purpose) -> int:
    if purpose is not Purpose.CLICK:
        if rest:
            raise _unknown()
        return 0
    try:
        link, end = _read_varint(rest, 0)
    except ValueError:
        raise _unknown() from None
    if end != len(rest):
        raise _unknown()
    return link


def _unknown() -> NotFound:
    return NotFound("this link is not one of ours, or it was cut off; open it from the message again")


def message_ids(key: MessageKey) -> bytes:
    """Who, which run, which step, as tokens carry them; no beginning of one is another's."""
    return _varint(key.customer_id) + _run_and_step(key.run_id, key.step)


@lru_cache(maxsize=1024)
def _run_and_step(run_id: int, step: int) -> bytes:
    return _varint(run_id) + _varint(step)


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, start: int) -> tuple[int, int]:
    """A number and where it ends. Raises ValueError when cut off, too long, or not the one spelling of its number."""
    number = shift = 0
    for at, byte in enumerate(data[start : start + _LONGEST_VARINT], start + 1):
        if byte < 0x80:
            if byte == 0 and shift:
                raise ValueError("not the shortest spelling")
            return number | byte << shift, at
        number |= (byte & 0x7F) << shift
        shift += 7
    raise ValueError("cut off, or too long")
