"""Tokens: nothing that we did not sign passes, and a tag serves one message and one purpose."""

from __future__ import annotations

import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.signing import TAG_BYTES, BadSignature, Mac, Purpose, Signer, from_text, local_secret, to_text

OLD, NEW = "the-old-key-sixteen", "the-new-key-sixteen"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

signer = Signer(NEW)
purposes = st.sampled_from(Purpose)


def tag_of(ids: bytes, purpose: Purpose, by: Signer = signer) -> bytes:
    tags = by.message_tags(ids)
    return bytes(getattr(tags, purpose.name.lower()))


@given(ids=st.binary(max_size=40), purpose=purposes)
def test_own_tag_passes(ids: bytes, purpose: Purpose) -> None:
    tag = tag_of(ids, purpose)
    assert len(tag) == TAG_BYTES >= 8
    assert signer.verify_message(ids, purpose, tag)


@given(ids=st.binary(max_size=40), made=purposes, used=purposes)
def test_tag_serves_one_purpose(ids: bytes, made: Purpose, used: Purpose) -> None:
    assert signer.verify_message(ids, used, tag_of(ids, made)) == (made == used)


@given(ids=st.binary(max_size=40), other=st.binary(max_size=40), purpose=purposes)
def test_tag_serves_one_message(ids: bytes, other: bytes, purpose: Purpose) -> None:
    assert signer.verify_message(other, purpose, tag_of(ids, purpose)) == (ids == other)


@given(ids=st.binary(max_size=40), purpose=purposes, tag=st.binary(max_size=12))
def test_guessed_tags_fail(ids: bytes, purpose: Purpose, tag: bytes) -> None:
    assert signer.verify_message(ids, purpose, tag) == (tag == tag_of(ids, purpose))


@given(key=st.binary(max_size=150), data=st.binary(max_size=200))
def test_a_mac_is_the_standard_one(key: bytes, data: bytes) -> None:
    mac = Mac(key)
    assert mac.digest(data) == mac.digest(data) == hmac.digest(key, data, "sha256")


def test_rotation_signs_with_the_last_key_and_accepts_both() -> None:
    both = Signer(f"{OLD},{NEW}")
    assert both.message_tags(b"m") == Signer(NEW).message_tags(b"m")
    for by in (Signer(OLD), Signer(NEW)):
        assert both.verify_message(b"m", Purpose.CLICK, tag_of(b"m", Purpose.CLICK, by))
        assert both.verify("reset", by.sign("reset", b"user 1", LATER), NOW) == b"user 1"
    assert not Signer(NEW).verify_message(b"m", Purpose.CLICK, tag_of(b"m", Purpose.CLICK, Signer(OLD)))
    assert both.fingerprints == Signer(OLD).fingerprints + Signer(NEW).fingerprints


@given(payload=st.binary(max_size=60))
def test_signed_payload_returns(payload: bytes) -> None:
    assert signer.verify("reset", signer.sign("reset", payload, LATER), NOW) == payload


@given(payload=st.binary(max_size=20), place=st.integers(0, 200), bit=st.integers(0, 7))
def test_any_changed_bit_fails(payload: bytes, place: int, bit: int) -> None:
    data = bytearray(from_text(signer.sign("reset", payload, LATER)))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(BadSignature):
        signer.verify("reset", to_text(bytes(data)), NOW)


@pytest.mark.parametrize(
    ("purpose", "now", "by"),
    [("reset", LATER, signer), ("login", NOW, signer), ("reset", NOW, Signer(OLD))],
    ids=["too late", "other purpose", "other key"],
)
def test_token_out_of_place_fails(purpose: str, now: datetime, by: Signer) -> None:
    with pytest.raises(BadSignature):
        by.verify(purpose, signer.sign("reset", b"user 1", LATER), now)


@given(token=st.text(max_size=60))
def test_any_text_is_refused_calmly(token: str) -> None:
    with pytest.raises(BadSignature):
        signer.verify("reset", token, NOW)


@given(data=st.binary(max_size=50))
def test_text_has_one_spelling(data: bytes) -> None:
    text = to_text(data)
    assert from_text(text) == data
    with pytest.raises(BadSignature):
        from_text(text + "=")


def test_local_secret_is_made_once_and_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(local_secret, [tmp_path] * 8))
    assert len(made) == 1
    assert len(made.pop()) == 64
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
