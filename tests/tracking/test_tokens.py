"""Tokens: what was made is read back, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import NotFound
from runtime.signing import Purpose, Signer, from_text, to_text
from tracking.ledger import MessageKey
from tracking.tokens import MessageUrls, TokenRef, read_token

SIGNER = Signer("the first key of the tests")
BASE = "https://mail.example.com"
KEYS = st.builds(MessageKey, st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1), st.integers(0, 2**15 - 1))
LINKS = st.integers(0, 300)


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


def urls_of(key: MessageKey, signer: Signer = SIGNER) -> dict[Purpose, str]:
    urls = MessageUrls(signer, BASE, key)
    return {
        Purpose.OPEN: urls.open,
        Purpose.CLICK: urls.clicks(1, 3)[0],
        Purpose.UNSUBSCRIBE: urls.unsubscribe,
        Purpose.VIEW: urls.view,
    }


PUBLISHED = [
    (MessageKey(7, 9), ["o/BwkAnvblQ3aV8Xk", "c/BwkAN8_tNOOzBiED", "u/BwkAgLpw8XboE1k", "v/BwkA3IlhopTfKDI"]),
    (
        MessageKey(1234567, 300, 2),
        ["o/h61LrAIC_DCZXOB4d3o", "c/h61LrAICM_2Wgbvyg1cD", "u/h61LrAICo9XYN8HcBFg", "v/h61LrAICScLZBF5Nd-8"],
    ),
    (MessageKey(200, 9), ["o/yAEJABDHhOndqTXD", "c/yAEJAC_bqv1SCdexAw", "u/yAEJAE0YW0iMVogN", "v/yAEJAOKBWkKjCXx0"]),
]


@pytest.mark.parametrize(("key", "paths"), PUBLISHED)
def test_addresses_are_those_that_were_mailed_before(key: MessageKey, paths: list[str]) -> None:
    assert list(urls_of(key).values()) == [f"{BASE}/{path}" for path in paths]


@given(KEYS, LINKS)
def test_a_click_names_its_message_and_link(key: MessageKey, link: int) -> None:
    url = MessageUrls(SIGNER, BASE, key).clicks(1, link)[0]
    assert url.startswith(f"{BASE}/c/")
    assert read_token(SIGNER, token_of(url), Purpose.CLICK) == TokenRef(key, link)


@given(KEYS, LINKS, st.integers(0, 20))
def test_the_clicks_of_a_message_name_its_links(key: MessageKey, first: int, count: int) -> None:
    found = [
        read_token(SIGNER, token_of(url), Purpose.CLICK) for url in MessageUrls(SIGNER, BASE, key).clicks(count, first)
    ]
    assert found == [TokenRef(key, link) for link in range(first, first + count)]


@given(KEYS)
def test_a_token_serves_its_own_purpose_alone(key: MessageKey) -> None:
    for purpose, url in urls_of(key).items():
        assert read_token(SIGNER, token_of(url), purpose).key == key
        for other in set(Purpose) - {purpose}:
            with pytest.raises(NotFound):
                read_token(SIGNER, token_of(url), other)


@given(KEYS, LINKS, st.data())
def test_no_flipped_bit_leads_to_another_message(key: MessageKey, link: int, data: st.DataObject) -> None:
    """Only the bits of the link's index, which the link table checks, may flip to something readable."""
    good = from_text(token_of(MessageUrls(SIGNER, BASE, key).clicks(1, link)[0]))
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    flipped = bytearray(good)
    flipped[bit // 8] ^= 1 << (bit % 8)
    try:
        found = read_token(SIGNER, to_text(bytes(flipped)), Purpose.CLICK)
    except NotFound:
        return
    assert found.key == key
    assert found.link != link


@given(KEYS, st.sampled_from([Purpose.OPEN, Purpose.UNSUBSCRIBE, Purpose.VIEW]), st.data())
def test_no_flipped_bit_verifies(key: MessageKey, purpose: Purpose, data: st.DataObject) -> None:
    good = from_text(token_of(urls_of(key)[purpose]))
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    flipped = bytearray(good)
    flipped[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(NotFound):
        read_token(SIGNER, to_text(bytes(flipped)), purpose)


@given(KEYS, st.data())
def test_nothing_cut_off_or_added_verifies(key: MessageKey, data: st.DataObject) -> None:
    good = token_of(MessageUrls(SIGNER, BASE, key).unsubscribe)
    length = data.draw(st.integers(0, len(good) - 1))
    added = data.draw(st.text(st.sampled_from("Aa0-_=/ .é%"), min_size=1, max_size=8))
    for mangled in (good[:length], good + added, added + good):
        with pytest.raises(NotFound):
            read_token(SIGNER, mangled, Purpose.UNSUBSCRIBE)


@given(st.text(max_size=200))
def test_anything_else_is_refused(token: str) -> None:
    for purpose in Purpose:
        with pytest.raises(NotFound):
            read_token(SIGNER, token, purpose)


def test_old_links_survive_a_change_of_keys_and_strange_ones_do_not_verify() -> None:
    key = MessageKey(7, 9)
    old = token_of(MessageUrls(SIGNER, BASE, key).unsubscribe)
    rotated = Signer("the first key of the tests,the second key of the tests")
    assert read_token(rotated, old, Purpose.UNSUBSCRIBE).key == key
    assert token_of(MessageUrls(rotated, BASE, key).unsubscribe) != old
    with pytest.raises(NotFound):
        read_token(Signer("somebody else's key for tests"), old, Purpose.UNSUBSCRIBE)


def test_preferences_are_on_the_page_of_the_one_click_address() -> None:
    urls = MessageUrls(SIGNER, BASE, MessageKey(7, 9))
    assert urls.preferences == f"{urls.unsubscribe}#preferences"
