"""HEARTH_RETURNS_IMAP_URL: what is read, and what is refused by name without showing the password."""

from __future__ import annotations

import pytest

from channels.email.returns.mailbox_config import parse_mailbox_url
from runtime.settings import BadSetting

NAME = "HEARTH_RETURNS_IMAP_URL"


def test_tls_is_the_rule_and_all_parts_are_read() -> None:
    found = parse_mailbox_url(
        "imaps://returns%40example.com:p%2Fw%3A@imap.example.com/Bounces%20here?every=30&move=Done"
    )
    assert (found.host, found.port, found.tls, found.verify) == ("imap.example.com", 993, True, True)
    assert (found.username, found.password, found.folder) == ("returns@example.com", "p/w:", "Bounces here")
    assert (found.every, found.move) == (30, "Done")
    plain = parse_mailbox_url("imap://a:b@imap.example.com")
    assert (plain.port, plain.tls, plain.starttls, plain.folder) == (143, False, True, "INBOX")
    assert parse_mailbox_url("imap://a:b@[::1]:1143?starttls=never").starttls is False
    assert "p/w:" not in repr(found) + found.name


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("smtp://a:secret@h", "scheme"),
        ("imaps://a:secret@", "host"),
        ("imaps://h/INBOX", "user and password"),
        ("imaps://a:secret@h:0", "port"),
        ("imaps://a:secret@h:99999", "port"),
        ("imaps://a:secret@h/INBOX?starttls=never", "starttls"),
        ("imap://a:secret@h?starttls=maybe", "starttls"),
        ("imaps://a:secret@h?every=1", "every"),
        ("imaps://a:secret@h?every=30&every=40", "twice"),
        ("imaps://a:secret@h?color=blue", "color"),
        ("imaps://a:secret@h?ca_file=/nowhere", "ca_file"),
        ("imaps://a:secret@h/Done?move=Done", "move"),
        ("imaps://a:sec%0Aret@h", "control"),
        ("imaps://a:secret@h/In box", "blank"),
    ],
)
def test_what_is_wrong_is_named(url: str, part: str) -> None:
    with pytest.raises(BadSetting, match=part) as told:
        parse_mailbox_url(url)
    assert NAME in str(told.value)
    assert "secret" not in str(told.value)
