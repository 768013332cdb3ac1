"""The reference mail is what the figures say it is."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from bench.reference import compiled, person
from bench.render import Ours, PlainWay


def parsed(data: bytes) -> EmailMessage:
    mail = message_from_bytes(data, _class=EmailMessage, policy=default)
    assert not mail.defects
    return mail


def test_its_size_and_parts() -> None:
    content = compiled()
    assert len(content.links) == 12
    personal = {name for name in content.fields if not name.startswith("appliances")}
    assert personal == {
        "customer.name",
        "customer.city",
        "household.community",
        "salesperson.name",
        "salesperson.phone",
    }
    html = parsed(Ours(content, eight_bit=True).message(1)).get_body(("html",))
    assert html is not None
    assert 14_500 <= len(html.get_content().encode()) <= 15_500
    assert html.get_content().count("/c/") == 12
    assert html.get_content().count("/o/") == 2  # the pixel, and the link that nobody sees
    assert all(item["model"] in html.get_content() for item in person(1)["appliances"])


def test_both_ways_say_the_same() -> None:
    content = compiled()
    for eight_bit in (True, False):
        ours = parsed(Ours(content, eight_bit=eight_bit).message(7))
        plain = parsed(PlainWay(content, eight_bit=eight_bit).message(7))
        assert sorted(name.lower() for name in ours) == sorted(name.lower() for name in plain)
        for name in ("From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "Feedback-ID"):
            assert ours[name] == plain[name], name
        for kind in ("plain", "html"):
            mine, theirs = ours.get_body((kind,)), plain.get_body((kind,))
            assert mine is not None
            assert theirs is not None
            assert mine.get_content().strip() == theirs.get_content().strip()
