"""DKIM: what we sign, dkimpy verifies; what is changed, it does not; a bad key stops the start and is never shown."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

import dkim
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from channels.commands import mail as mail_command
from channels.contract import Common, Personal
from channels.email.channel import EmailChannel
from channels.email.config import parse_smtp_url
from channels.email.dkim import canonical_body
from channels.email.dkim_keys import Keyring, read_keys, txt_record
from channels.email.mailbox import Caught, serving
from channels.email.mime import EmailComposer
from runtime.registry import check_configurations
from runtime.settings import BadSetting, load_settings
from tests.channels.dkim_help import pem, put_key, rsa_key, two_keys, verified

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
COMMON = Common(
    sender="Hearth 家电 <hearth@Example.com>",
    label="c1.r2.w3",
    reply_to="service@example.com",
)
COMPOSER = EmailComposer(COMMON)
SIGNED = (
    "from reply-to to subject date message-id mime-version content-type list-unsubscribe list-unsubscribe-post list-id"
)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return read_keys(two_keys(tmp_path_factory.mktemp("keys")))


def personal(**changes: object) -> Personal:
    values: dict[str, object] = {
        "key": "m.1",
        "to": "zhang@example.net",
        "name": "张伟",
        "text": "您好\n.\n",
        "html": "<p>您好 \t  <b>x</b>  </p>\n\n",
        "at": AT,
        "subject": "您的空调该保养了，" * 9,
        "unsubscribe_url": "https://hearth.example/u/" + "a" * 60,
    }
    return Personal(**{**values, **changes})  # type: ignore[arg-type]


def wire(keyring: Keyring, eight_bit: bool = True, **changes: object) -> bytes:
    mail = COMPOSER.compose(personal(**changes))
    return mail.wire(eight_bit=eight_bit, keys=keyring.of(mail.domain))


@pytest.mark.parametrize("eight_bit", [True, False])
def test_every_selector_signs_once_and_dkimpy_verifies_each(keyring: Keyring, eight_bit: bool) -> None:
    mail = wire(keyring, eight_bit)
    assert verified(mail, keyring) == 2
    message = message_from_bytes(mail, policy=policy.strict)
    assert not message.defects
    signatures = [str(value) for value in message.get_all("DKIM-Signature")]
    for value, kind in zip(signatures, ("ed25519", "rsa"), strict=True):
        tags = dict(tag.strip().split("=", 1) for tag in value.split(";"))
        assert (tags["a"], tags["c"], tags["d"]) == (f"{kind}-sha256", "relaxed/relaxed", "example.com")
        names = "".join(tags["h"].split()).split(":")
        assert set(SIGNED.split()) <= set(names)
        assert names.count("from") == 2
        assert "l" not in tags
    assert max(map(len, mail.split(b"\r\n"))) <= 998


def test_without_a_key_of_exactly_that_domain_nothing_is_signed(keyring: Keyring) -> None:
    assert len(keyring.of("EXAMPLE.com")) == 2
    for domain in ("news.example.com", "com", "example.com.evil", ""):
        assert keyring.of(domain) == ()
    mail = COMPOSER.compose(personal())
    assert b"DKIM-Signature" not in mail.wire(eight_bit=True)


CHANGES = [
    (b"Subject: ", b"Subject: x"),
    (b"From: ", b"From: Evil <evil@evil.example>\r\nFrom: "),
    (b"To: ", b"To: x"),
    (b"Reply-To: ", b"Reply-To: x"),
    (b"Message-ID: <", b"Message-ID: <x"),
    (b"List-Unsubscribe: <https", b"List-Unsubscribe: <http"),
    (b"List-Unsubscribe-Post: ", b"List-Unsubscribe-Post: x"),
    (b"List-Id: ", b"List-Id: x"),
    (b"Feedback-ID: ", b"Feedback-ID: x"),
    (b"\r\n--=_", b"\r\nx\r\n--=_"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_or_put_in_front_breaks_the_signature(keyring: Keyring, change: tuple[bytes, bytes]) -> None:
    mail = wire(keyring)
    spoiled = mail.replace(*change, 1)
    assert spoiled != mail
    with pytest.raises(AssertionError):
        verified(spoiled, keyring)


def test_what_is_appended_breaks_it_too(keyring: Keyring) -> None:
    with pytest.raises(AssertionError):
        verified(wire(keyring) + b"more\r\n", keyring)


def test_a_retry_is_the_same_mail(keyring: Keyring) -> None:
    assert wire(keyring) == wire(keyring)


texts = st.text(max_size=300) | st.text(alphabet="ab \t\r\n.-=你\0", max_size=300)
lines = st.text(alphabet='ab \t"<>=?,;:\\你🎉é', max_size=120)


@given(text=texts, html=st.none() | texts, subject=lines, name=lines, eight_bit=st.booleans())
def test_whatever_stands_in_a_mail_it_verifies(
    keyring: Keyring, text: str, html: str | None, subject: str, name: str, eight_bit: bool
) -> None:
    mail = wire(keyring, eight_bit, text=text, html=html, subject=subject, name=name)
    assert verified(mail if mail.endswith(b"\r\n") else mail + b"\r\n", keyring) == 2  # as it arrives over SMTP


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b".", b"\r\n\r\n"]), max_size=40).map(b"".join))
def test_the_canonical_body_is_dkimpys(body: bytes) -> None:
    """dkimpy takes a last line without an end as it is; every mail has one."""
    assert canonical_body(body) == Relaxed.canonicalize_body(
        body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    )


async def test_what_arrives_over_smtp_verifies(tmp_path: Path) -> None:
    folder = two_keys(tmp_path)
    channel = EmailChannel()
    arrived: list[Caught] = []

    async def deliver(mail: Caught) -> None:
        arrived.append(mail)

    async with serving("127.0.0.1", 0, deliver) as port:
        environ = {"HEARTH_SMTP_URL": f"smtp://127.0.0.1:{port}", "HEARTH_DKIM_KEYS": str(folder)}
        config = channel.configure(load_settings(environ, Path("/nonexistent")))
        async with channel.open(config) as sender:
            for common in (COMMON, replace(COMMON, sender="other@example.org")):
                assert (await sender.send(channel.composer(common).compose(personal(text="..\n.\n")))).accepted
    assert [verified(mail.raw, config.dkim) for mail in arrived] == [2, 0]


def test_records_to_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = two_keys(tmp_path / "keys")
    monkeypatch.setenv("HEARTH_DKIM_KEYS", str(folder))
    said = CliRunner().invoke(mail_command, ["dkim"], catch_exceptions=False)
    ed, rsa = said.output.splitlines()
    assert ed.startswith('e1._domainkey.example.com. IN TXT ( "v=DKIM1; k=ed25519; p=')
    assert rsa.startswith('r1._domainkey.example.com. IN TXT ( "v=DKIM1; k=rsa; p=')
    pieces = re.findall('"([^"]*)"', rsa)
    assert [len(piece) <= 255 for piece in pieces] == [True, True]
    assert "".join(pieces) == txt_record(read_keys(folder).of("example.com")[1]).value
    monkeypatch.delenv("HEARTH_DKIM_KEYS")
    assert "not set" in CliRunner().invoke(mail_command, ["dkim"], catch_exceptions=False).output


def locked() -> bytes:
    return rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


BAD_KEYS = [
    ("s1.example.com.pem", lambda: pem(rsa_key(1024)), "1024 bits; 2048 to 4096"),
    ("s1.example.com.pem", lambda: pem(ec.generate_private_key(ec.SECP256R1())), "neither an RSA nor an Ed25519 key"),
    ("s1.example.com.pem", lambda: b"hunter2", "no private key in PEM"),
    (
        "s1.example.com.pem",
        lambda: b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
        "no private key",
    ),
    ("s1.example.com.pem", locked, "locked with a password"),
    ("example.pem", lambda: pem(rsa_key()), "is not named selector.domain.pem"),
    ("-s.example.com.pem", lambda: pem(rsa_key()), "is not named selector.domain.pem"),
]


@pytest.mark.parametrize(("name", "made", "words"), BAD_KEYS)
def test_a_bad_key_is_named_with_the_remedy(tmp_path: Path, name: str, made, words: str) -> None:
    put_key(tmp_path, name, made())
    with pytest.raises(BadSetting) as caught:
        read_keys(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"HEARTH_DKIM_KEYS: {tmp_path / name} ")
    assert words in said
    assert "hunter2" not in said


def test_a_bad_key_stops_every_start(tmp_path: Path) -> None:
    put_key(tmp_path, "s1.example.com.pem", rsa_key(1024))
    settings = load_settings({"HEARTH_DKIM_KEYS": str(tmp_path)}, Path("/nonexistent"))
    with pytest.raises(BadSetting, match="1024 bits"):
        check_configurations(settings)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_key_open_to_everybody_is_refused(tmp_path: Path, mode: int) -> None:
    path = put_key(tmp_path, "s1.example.com.pem", Ed25519PrivateKey.generate())
    path.chmod(mode)
    with pytest.raises(BadSetting, match="chmod 600"):
        read_keys(tmp_path)
    path.chmod(0o640)  # as secrets are mounted for a group
    assert len(read_keys(tmp_path).of("example.com")) == 1


def test_a_folder_without_keys_is_no_way_to_sign(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="no folder that can be read"):
        read_keys(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadSetting, match="has no key in it"):
        read_keys(tmp_path)
    assert read_keys(None).of("example.com") == ()


def test_no_key_shows_in_a_representation(tmp_path: Path) -> None:
    keyring = read_keys(two_keys(tmp_path))
    config = replace(parse_smtp_url("smtp://mail.example"), dkim=keyring)
    for shown in (repr(config), repr(keyring), str(keyring.of("example.com"))):
        assert "PrivateKey" not in shown
        assert "BEGIN" not in shown


def test_dkimpy_signs_the_same_body_hash(keyring: Keyring) -> None:
    """Their signer over our mail without signatures: the same digest of the body."""
    mail = COMPOSER.compose(personal()).wire(eight_bit=True)
    theirs = dkim.sign(mail, b"r1", b"example.com", pem(rsa_key()), canonicalize=(b"relaxed", b"relaxed"))
    digest = re.compile(rb"bh=([^;]+);")
    assert digest.search(theirs.replace(b"\r\n ", b""))[1] in wire(keyring)
