"""The bytes of a mail, read back by Python's own parser in its strict mode."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import ChannelError, Common, Lines, Personal
from channels.email.address import parse_sender, wire_address
from channels.email.dkim import SigningKey
from channels.email.mime import EmailComposer, stuffed
from runtime.errors import Invalid

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SIGNING = SigningKey("s1", "example.com", Ed25519PrivateKey.generate())
COMPOSER = EmailComposer(Common(sender="Hearth 家电 <hearth@example.com>", label="c1.r2.w3", reply_to="a@b.example"))


def personal(**changes: object) -> Personal:
    values: dict[str, object] = {"key": "m.1", "to": "zhang@example.com", "text": "Hello\n", "at": AT, "subject": "Hi"}
    return Personal(**{**values, **changes})  # type: ignore[arg-type]


def parsed(wire: bytes) -> EmailMessage:
    message = cast(EmailMessage, message_from_bytes(wire, policy=policy.strict))
    for part in message.walk():
        assert part.defects == []
        assert all(not header.defects for header in part.values())
    return message


def display_name(wire: bytes) -> str:
    """The name in To. Python's strict parser keeps the blank between two encoded words of a name, which RFC 2047 (6.2)
    drops; its older reader does not."""
    raw = message_from_bytes(wire, policy=policy.compat32)["To"]
    return str(make_header(decode_header(parseaddr(raw)[0])))


def one_line(text: str) -> str:
    """What a header keeps of a text: no control characters, one line."""
    cleaned = "".join(
        " "
        if ord(sign) < 32 or 127 <= ord(sign) < 160 or sign in "\u2028\u2029" or 0xD800 <= ord(sign) < 0xE000
        else sign
        for sign in text
    )
    return " ".join(cleaned.split())


def body_text(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").encode("utf-8", "replace").decode()


def test_a_whole_mail() -> None:
    mail = COMPOSER.compose(
        personal(
            name="张伟",
            subject="您的空调该保养了",
            html="<p>你好</p>",
            text="你好",
            unsubscribe_url="https://hearth.example/u/abc",
            return_to="bounce+m1@example.com",
        )
    )
    message = parsed(mail.wire())
    assert mail.sender == "bounce+m1@example.com"
    assert message["From"] == "Hearth 家电 <hearth@example.com>"
    assert message["To"] == "张伟 <zhang@example.com>"
    assert message["Subject"] == "您的空调该保养了"
    assert message["Reply-To"] == "a@b.example"
    assert message["Message-ID"] == "<m.1@example.com>"
    assert message["Date"].datetime == AT
    assert message["Feedback-ID"] == "c1.r2.w3"
    assert message["List-Unsubscribe"] == "<https://hearth.example/u/abc>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"):
        assert len(message.get_all(name)) == 1


names = (
    st.text(max_size=150) | st.text(alphabet="ab =?_\"\\<>@,;:()'\t.-é你🎉", max_size=120) | st.just("=?utf-8?b?YQ==?=")
)
bodies = st.text(max_size=400) | st.text(alphabet="a.\r\n -=你\0", max_size=400)


@given(name=names, subject=names, text=bodies, html=st.none() | bodies, eight_bit=st.booleans())
def test_any_content_parses_without_defects(
    name: str, subject: str, text: str, html: str | None, eight_bit: bool
) -> None:
    wire = COMPOSER.compose(personal(name=name, subject=subject, text=text, html=html)).wire(eight_bit=eight_bit)
    rest = wire.replace(b"\r\n", b"")
    assert b"\r" not in rest
    assert b"\n" not in rest
    assert b"\0" not in rest
    assert max(map(len, wire.split(b"\r\n"))) <= 998
    assert eight_bit or wire.isascii()
    message = parsed(wire)
    assert one_line(display_name(wire)) == one_line(name)
    assert [str(address.addr_spec) for address in message["To"].addresses] == ["zhang@example.com"]
    assert one_line(message["Subject"]) == one_line(subject)
    assert set(message.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Precedence", "Reply-To", "Feedback-ID", "MIME-Version"),
        *(("Content-Type",) if html is not None else ("Content-Type", "Content-Transfer-Encoding")),
    }
    parts = [part for part in message.walk() if not part.is_multipart()]
    found = [part.get_payload(decode=True).decode().replace("\r\n", "\n") for part in parts]
    assert found == [body_text(body) for body in (text, html) if body is not None]


@pytest.mark.parametrize("eight_bit", [True, False])
def test_a_body_cannot_end_its_part(eight_bit: bool) -> None:
    boundary = COMPOSER.compose(personal(html="x")).boundary.decode()
    attack = f"a\n--{boundary}\nContent-Type: text/html\n\n<b>evil</b>\n--{boundary}--\n你"
    message = parsed(COMPOSER.compose(personal(html=attack, text=attack)).wire(eight_bit=eight_bit))
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@given(st.lists(st.integers(0, 4) | st.integers(995, 1001), max_size=6), st.booleans())
def test_a_line_of_998_bytes_goes_as_it_is_and_no_longer_one(lengths: list[int], ends: bool) -> None:
    text = "\n".join("x" * length for length in lengths) + "\n" * ends
    message = parsed(COMPOSER.compose(personal(text=text)).wire(eight_bit=True))
    fits = max(lengths, default=0) <= 998
    assert message["Content-Transfer-Encoding"] == ("7bit" if fits else "quoted-printable")
    assert message.get_content().split() == text.split()


@given(text=bodies, html=st.none() | bodies, eight_bit=st.booleans())
def test_ready_lines_make_the_same_mail(text: str, html: str | None, eight_bit: bool) -> None:
    ready = personal(text=Lines.of(text), html=None if html is None else Lines.of(html))
    given_as_text = COMPOSER.compose(personal(text=text, html=html))
    assert COMPOSER.compose(ready).wire(eight_bit=eight_bit) == given_as_text.wire(eight_bit=eight_bit)


@given(st.text(alphabet=".\r\na", max_size=40), st.none() | st.text(alphabet=".\r\na", max_size=40))
def test_no_line_of_a_mail_ends_it_on_the_wire(text: str, html: str | None) -> None:
    message = COMPOSER.compose(personal(text=text, html=html)).wire(eight_bit=True)
    *lines, last, nothing = stuffed(message).split(b"\r\n")
    assert (last, nothing) == (b".", b"")
    assert b"." not in lines
    sent = b"\r\n".join(line.removeprefix(b".") for line in lines)
    assert sent == message.removesuffix(b"\r\n")


def settled(text: str) -> Lines:
    raw = Lines.of(text).raw
    return Lines(raw, all(not line.startswith((b".", b"--=")) and len(line) <= 998 for line in raw.split(b"\r\n")))


wire_texts = st.lists(st.sampled_from([".", "-", "--", "\n", "a", "你", "=", "x" * 400]), max_size=12).map("".join)


@given(text=wire_texts, html=st.none() | wire_texts, eight_bit=st.booleans(), signed=st.booleans())
def test_settled_lines_go_out_as_all_others(text: str, html: str | None, eight_bit: bool, signed: bool) -> None:
    keys = [SIGNING] if signed else []
    known = COMPOSER.compose(personal(text=settled(text), html=None if html is None else settled(html)))
    looked_at = COMPOSER.compose(personal(text=text, html=html))
    message = looked_at.wire(eight_bit=eight_bit, keys=keys)
    assert known.wire(eight_bit=eight_bit, keys=keys) == message
    assert known.data(eight_bit=eight_bit, keys=keys) == looked_at.data(eight_bit=eight_bit, keys=keys)
    assert known.data(eight_bit=eight_bit, keys=keys) == stuffed(message)


def test_long_lines_are_encoded_even_where_eight_bits_are_possible() -> None:
    for body in ("x" * 5000, "你" * 5000):
        wire = COMPOSER.compose(personal(text=body)).wire(eight_bit=True)
        assert max(map(len, wire.split(b"\r\n"))) <= 998
        assert parsed(wire).get_content().strip() == body


NO_ADDRESSES = [
    *("", "a", "a@", "@b", "a b@c", "a@b>c", "<a@b>", "a,b@c", 'a"b@c', "a@b c", "a@b..c", "a@-b", "a@[1.2.3.4]x"),
    *("a@b.example\r\nRCPT TO:<x@y>", "a\0@b", "a@b\n", "\ud800@b", "a@\ud800"),
    *("é" * 40 + "@b.example", "a@" + "b" * 300),
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused_for_good(address: str) -> None:
    with pytest.raises(ChannelError) as caught:
        COMPOSER.compose(personal(to=address))
    assert caught.value.permanent
    assert caught.value.bad_address


GOOD = [
    ("a@b.example", "a@b.example"),
    ("a..b.@docomo.example", "a..b.@docomo.example"),
    ("o'neil+tag=x/y@b.example", "o'neil+tag=x/y@b.example"),
    ('"a b"@c.example', '"a b"@c.example'),
    ("a@例子.公司", "a@xn--fsqu00a.xn--55qx5d"),
    ("a@faß.example", "a@xn--fa-hia.example"),
    ("张三@例子.公司", "张三@xn--fsqu00a.xn--55qx5d"),
    ("a@localhost", "a@localhost"),
    ("a@[127.0.0.1]", "a@[127.0.0.1]"),
    (" a@b.example ", "a@b.example"),
]


@pytest.mark.parametrize(("address", "wire"), GOOD)
def test_addresses_for_the_wire(address: str, wire: str) -> None:
    assert str(wire_address(address)) == wire
    if wire.isascii():
        message = parsed(COMPOSER.compose(personal(to=address, name="A, B")).wire())
        assert message["To"].addresses[0].display_name == "A, B"


@given(st.text())
def test_no_address_carries_a_line_break(address: str) -> None:
    try:
        wire = str(wire_address(address))
    except ChannelError:
        return
    assert not {unicodedata.category(sign) for sign in wire} & {"Cc", "Cs", "Zl", "Zp", "Zs"}
    assert "<" not in wire
    assert ">" not in wire


BAD_SENDERS = [
    "",
    "Hearth",
    "a@b\r\nBcc: c@d",
    "{{ customer.name }} <a@b.example>",
    "{% x %} <a@b.example>",
    "A <é@b.example>",
    "a@b.example, c@d.example",
    "Gree, Xi'an <news@example.com>",
    "A\x00 <a@b>",
]


@pytest.mark.parametrize("sender", BAD_SENDERS)
def test_a_sender_is_a_fixed_good_address(sender: str) -> None:
    with pytest.raises(Invalid) as caught:
        EmailComposer(Common(sender=sender))
    assert caught.value.problems[0].path == "from"


def test_sender_names() -> None:
    assert parse_sender('"Li, Ming" <li@example.com>')[0] == "Li, Ming"
    assert parse_sender("li@example.com")[0] == ""


@pytest.mark.parametrize("key", ["", "a b", "a@b", "a\r\n", ".a", "a..b", "é"])
def test_a_key_fits_into_a_message_id(key: str) -> None:
    with pytest.raises(ChannelError):
        COMPOSER.compose(personal(key=key))


@pytest.mark.parametrize(
    "url", ["http://a b", "https://a>x", "https://a\r\nX: y", "javascript:x", "", "https://" + "a" * 2000, "https://é"]
)
def test_an_unsubscribe_address_fits_into_its_header(url: str) -> None:
    with pytest.raises(ChannelError):
        COMPOSER.compose(personal(unsubscribe_url=url))


@pytest.mark.parametrize(
    "headers", [{"To": "x"}, {"X-A": "a\r\nB: c"}, {"X A": "b"}, {"X:": "b"}, {"bcc": "x@y"}, {"": "x"}]
)
def test_further_headers_cannot_replace_or_break_ours(headers: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        EmailComposer(Common(sender="a@b.example", headers=headers))


def test_further_headers_stand_in_the_mail() -> None:
    composer = EmailComposer(Common(sender="a@b.example", headers={"X-Mailer": "Hearth 家电"}))
    assert parsed(composer.compose(personal()).wire())["X-Mailer"] == "Hearth 家电"
