"""The return path of a message: only ours are read, in any case, under old keys too."""

from __future__ import annotations

from base64 import b32decode
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import Common, Personal
from channels.email.mime import EmailComposer
from runtime.settings import BadSetting, load_settings
from runtime.signing import Purpose, Signer
from tests.tracking.people_with_mail import SENT_AT
from tracking.ledger import MessageKey
from tracking.return_paths import ReturnPaths
from tracking.tokens import message_ids

OLD, NEW = "an old secret of ours", "a newer secret of ours"
DOMAIN, MAILBOX = "bounces.example.com", "longreturns1@example.com"
SIGNER = Signer(NEW)
KEYS = st.builds(MessageKey, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**15 - 1))


@given(KEYS, st.sampled_from([DOMAIN, MAILBOX]), st.randoms(use_true_random=False))
def test_it_comes_back_in_any_case(key: MessageKey, place: str, rng: Random) -> None:
    paths = ReturnPaths(SIGNER, place)
    address = paths.address(key)
    assert len(address.rpartition("@")[0]) <= 64
    shouted = "".join(sign.upper() if rng.random() < 0.5 else sign for sign in address)
    assert paths.read(address) == paths.read(shouted) == paths.read(f" {address} ") == key


@given(KEYS, st.data())
def test_a_changed_one_is_nobodys(key: MessageKey, data: st.DataObject) -> None:
    paths = ReturnPaths(SIGNER, DOMAIN)
    local, _, domain = paths.address(key).rpartition("@")
    place = data.draw(st.integers(2, len(local) - 1))
    sign = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567=+-é"))
    changed = local[:place] + sign + local[place + 1 :]
    assert (paths.read(f"{changed}@{domain}") is None) is (changed != local)
    assert paths.read(f"{local[:place]}@{domain}") is None
    assert paths.read(f"{local}a@{domain}") is None
    assert paths.read(f"{local}@example.com") is None


@given(st.text(max_size=80))
def test_anything_else_is_nobodys(text: str) -> None:
    paths = ReturnPaths(SIGNER, DOMAIN)
    assert paths.read(text) is paths.read(f"{text}@{DOMAIN}") is paths.read(f"b-{text}@{DOMAIN}") is None


def test_old_keys_are_read_and_foreign_ones_are_not() -> None:
    key = MessageKey(7, 3)
    before, rotated, other = (Signer(secret) for secret in (OLD, f"{OLD},{NEW}", "a secret of somebody"))
    address = ReturnPaths(before, DOMAIN).address(key)
    assert ReturnPaths(rotated, DOMAIN).read(address) == key
    assert ReturnPaths(rotated, DOMAIN).address(key) == ReturnPaths(SIGNER, DOMAIN).address(key)
    assert ReturnPaths(other, DOMAIN).read(address) is None


def test_it_has_no_tag_of_a_link() -> None:
    """Who was sent a mail knows its links, and must not learn the return path from them, nor the other way round."""
    key = MessageKey(7, 3)
    ids = message_ids(key)
    address = ReturnPaths(SIGNER, DOMAIN).address(key)
    tags = SIGNER.message_tags(ids)
    token = address.removeprefix("b-").partition("@")[0].upper()
    tag = b32decode(token + "=" * (-len(token) % 8))[len(ids) :]
    assert tag not in tags
    assert not any(SIGNER.verify_message(ids, purpose, tag) for purpose in Purpose)


@pytest.mark.parametrize(
    "place", ["a b", "@example.com", "averylongname1@example.com", "x@", "a@b@c", "ex_ample.com", "a\n"]
)
def test_a_place_that_cannot_be_is_refused(place: str) -> None:
    with pytest.raises(BadSetting, match="HEARTH_RETURN_PATH"):
        load_settings({"HEARTH_RETURN_PATH": place})


def test_the_envelope_has_it_and_the_header_does_not() -> None:
    place = load_settings({"HEARTH_RETURN_PATH": "Bounces.example.com"}).return_path
    assert place == DOMAIN
    address = ReturnPaths(SIGNER, place).address(MessageKey(1, 2))
    composer = EmailComposer(Common(sender="Shop <shop@example.com>"))
    mail = composer.compose(Personal("k", "a@b.example", "text", SENT_AT, return_to=address))
    assert mail.sender == address
    assert address.encode() not in mail.wire()
    assert composer.compose(Personal("k", "a@b.example", "text", SENT_AT)).sender == "shop@example.com"


@given(KEYS)
def test_a_message_id_names_its_message_and_is_no_return_path(key: MessageKey) -> None:
    paths = ReturnPaths(SIGNER, DOMAIN)
    name = paths.mail_key(key)
    assert paths.read_mail(f"<{name.upper()}@example.com>") == paths.read_mail(name) == key
    assert paths.read(f"b-{name}@{DOMAIN}") is None
    assert paths.read_mail(paths.address(key).removeprefix("b-")) is None
