"""CPU per message of making the reference mail's bytes: rendered, addressed, ready for the wire.

Ours: the compiled content, and the composer's skeleton with a few joins. The plain way: the same rendering of the same
template in the same sandbox with the same links, then an `email.message.EmailMessage` with the same headers and
`as_bytes`. `render` is for servers that announce 8BITMIME, as all common ones do; `render-7bit` for the others, where
ours encodes the body as well. `sign-rsa` and `sign-ed25519` say what a DKIM signature adds to either, beside dkimpy's
`sign` of the same mail.
"""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.harness import Result, alternate, main
from bench.reference import compiled, person
from campaigns.content import CompiledContent, Rendered
from campaigns.dispatch.letters import message_links, stable_key
from channels.contract import Common, Personal
from channels.email.dkim import SIGNED, SigningKey, signature_headers
from channels.email.mime import EmailComposer
from runtime.signing import Mac, Signer
from tracking.ledger import MessageKey
from tracking.tokens import MessageUrls

MESSAGES = 200  # a side and round, at scale 1
AT = datetime(2026, 11, 22, 9, tzinfo=UTC)
MAC = Mac(b"key")
SIGNER = Signer("a secret for benchmarks that is long enough")
PUBLIC_URL = "https://mail.shop.example"
LABEL = "1.1.hearth"
PLAIN_WAY = "jinja2 + EmailMessage"
DOMAIN, SELECTOR = "shop.example", "s1"


class Ours:
    def __init__(self, content: CompiledContent, *, eight_bit: bool) -> None:
        self._content = content
        self._composer = EmailComposer(Common(sender="Shop <news@shop.example>", label=LABEL))
        self._eight_bit = eight_bit

    def message(self, number: int) -> bytes:
        key = MessageKey(number, 1)
        urls = MessageUrls(SIGNER, PUBLIC_URL, key)
        written = self._content.write(who := person(number), message_links(urls))
        personal = Personal(
            key=stable_key(MAC, key), to=f"c{number}@example.com", text=written.text, at=AT,
            name=who["customer"]["name"], subject=written.subject, html=written.html,
            unsubscribe_url=urls.unsubscribe,
        )  # fmt: skip
        return self._composer.compose(personal).wire(eight_bit=self._eight_bit)


class PlainWay:
    def __init__(self, content: CompiledContent, *, eight_bit: bool) -> None:
        self._content = content
        self._policy = SMTP.clone(cte_type="8bit" if eight_bit else "7bit")

    def message(self, number: int) -> bytes:
        key = MessageKey(number, 1)
        urls = MessageUrls(SIGNER, PUBLIC_URL, key)
        rendered = self._content.render(who := person(number), message_links(urls))
        mail = EmailMessage(self._policy)
        mail["To"] = Address(who["customer"]["name"], addr_spec=f"c{number}@example.com")
        mail["Message-ID"] = f"<{stable_key(MAC, key)}@shop.example>"
        _fill(mail, rendered, urls)
        return mail.as_bytes()


async def measure(scale: float) -> list[Result]:
    content = compiled()
    count = max(10, int(MESSAGES * scale))
    rendered = [await _compared(name, content, count, eight_bit=name == "render") for name in ("render", "render-7bit")]
    mail = Ours(content, eight_bit=True).message(1)
    rsa = await _signed("sign-rsa", mail, generate_private_key(65537, 2048), count)
    return [*rendered, rsa, await _signed("sign-ed25519", mail, Ed25519PrivateKey.generate(), count)]


async def _compared(name: str, content: CompiledContent, count: int, *, eight_bit: bool) -> Result:
    ours, plain = Ours(content, eight_bit=eight_bit), PlainWay(content, eight_bit=eight_bit)
    for side in (ours, plain):
        side.message(0)
    pair = await alternate(lambda: _cpu(ours.message, count), lambda: _cpu(plain.message, count))
    return pair.cost(name, "µs CPU/message", PLAIN_WAY, bar=5.0, goal=15.0)


async def _signed(name: str, mail: bytes, private: RSAPrivateKey | Ed25519PrivateKey, count: int) -> Result:
    head, _, body = mail.partition(b"\r\n\r\n")
    key = SigningKey(SELECTOR, DOMAIN, private)
    theirs = _for_dkimpy(private)

    def ours(_: int) -> bytes:
        return signature_headers(head + b"\r\n", body, [key])

    def baseline(_: int) -> bytes:
        return bytes(
            dkim.sign(
                mail, SELECTOR.encode(), DOMAIN.encode(), theirs, canonicalize=(b"relaxed", b"relaxed"),
                include_headers=sorted(SIGNED), signature_algorithm=key.algorithm.encode(),
            )
        )  # fmt: skip

    pair = await alternate(lambda: _cpu(ours, count), lambda: _cpu(baseline, max(5, count // 10)))
    return pair.cost(name, "µs CPU/message", "dkimpy sign", bar=4.0, goal=8.0)


def _for_dkimpy(private: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    """PEM, and for Ed25519 the bare key in base64."""
    if isinstance(private, RSAPrivateKey):
        return private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return b64encode(private.private_bytes_raw())


async def _cpu(message: Callable[[int], bytes], count: int) -> float:
    """Microseconds of CPU for each of `count` messages."""
    begun = time.process_time()
    for number in range(count):
        message(number)
    return (time.process_time() - begun) / count * 1e6


def _fill(mail: EmailMessage, rendered: Rendered, urls: MessageUrls) -> None:
    mail["From"] = Address("Shop", addr_spec="news@shop.example")
    mail["Subject"] = rendered.subject
    mail["Date"] = format_datetime(AT)
    mail["Precedence"] = "bulk"
    mail["Feedback-ID"] = LABEL
    mail["List-Id"] = "<campaigns.shop.example>"
    mail["List-Unsubscribe"] = f"<{urls.unsubscribe}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(rendered.text)
    mail.add_alternative(rendered.html, subtype="html")


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))
