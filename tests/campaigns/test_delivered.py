"""What arrives: the shipped templates sent as campaigns over SMTP with DKIM on, read as strictly as receivers do."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.utils import format_datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.dispatch.verdicts import POLICY
from channels.email.channel import EmailChannel
from customers.models import appliances, customers, salespeople
from demo.story import SENDER, plans
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.scene import Sink, add_people, launched, record, work_off
from tests.channels.dkim_help import two_keys, verified
from web import i18n
from web.starter import starter_mjml, starter_subject

SPAM_AT = 2.0
SPAMASSASSIN = shutil.which("spamassassin")
# With the string that every spam filter must find (GTUBE): the check can fail.
SPAM = b"Subject: x\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
# As the receiving side writes it, from an address that a sender may have.
RECEIVED = (
    "Return-Path: <service@changan.example>\r\n"
    "Received: from mail.changan.example (mail.changan.example [93.184.216.34])\r\n"
    "\tby mx.example.com (Postfix) with ESMTPS id 4F1A22C01\r\n\tfor <p1@example.com>; {date}\r\n"
)
ONCE = "From To Subject Date Message-ID MIME-Version Content-Type List-Unsubscribe List-Unsubscribe-Post List-Id"


@pytest.fixture
def signing(house: House, tmp_path: Path) -> House:
    """The house with two selectors for the demo's domain."""
    keys = two_keys(tmp_path / "keys", "changan.example")
    return dataclasses.replace(house, settings=dataclasses.replace(house.settings, dkim_keys=keys))


@pytest.fixture
def language() -> Iterator[None]:
    yield
    i18n.use_language(i18n.SOURCE)


async def somebody(conn: AsyncConnection) -> None:
    """A customer with everything that the demo's mails speak of."""
    [person] = await add_people(conn, 1)
    await conn.execute(
        insert(salespeople), {"code": "s1", "name": "李四", "name_folded": "李四", "phone": "+8613800000000"}
    )
    await conn.execute(update(customers).where(customers.c.id == person).values(salesperson="s1"))
    soon = date.today() + timedelta(days=20)  # noqa: DTZ011
    await conn.execute(
        insert(appliances),
        {
            "customer_id": person,
            "number": "A1",
            **{name: value for one, value in APPLIANCE.items() for name in (one, f"{one}_folded")},
            "installed_on": date(2016, 5, 1),
            "warranty_until": soon,
            "next_consumable_due_on": soon,
        },
    )


APPLIANCE = {"category": "air_conditioner", "brand": "Gree", "model": "KFR-35GW"}


def shipped() -> dict[str, dict[str, str]]:
    """The contents that come with Hearth, by name."""
    found = {plan.name: {"subject": plan.subject, **plan.content} for plan in plans(datetime(2026, 11, 22, tzinfo=UTC))}
    for language in i18n.LANGUAGES:
        i18n.use_language(language)
        found[f"starter {language}"] = {"subject": starter_subject(), "mjml": starter_mjml()}
    return found


async def test_shipped_templates_arrive_whole_signed_and_unsuspicious(
    signing: House, sink: Sink, tmp_path: Path, language: None
) -> None:
    async with signing.database.begin() as conn:
        await somebody(conn)
    contents = shipped()
    for name, content in contents.items():
        await launched(signing, name=name, content=content, **{"from": SENDER})
    await work_off(signing)
    assert len(sink.raw) == len(contents) == 6
    keyring = EmailChannel().configure(signing.settings).dkim
    for mail in sink.raw:
        read_strictly(mail)
        assert verified(mail, keyring) == 2
    scores = spam_scores([*sink.raw, SPAM], tmp_path)
    assert scores[-1] > 100
    assert max(scores[:-1]) < SPAM_AT, scores


def read_strictly(mail: bytes) -> None:
    """RFC 5322 to the letter, and what bulk senders owe."""
    assert b"\n" not in mail.replace(b"\r\n", b"")
    assert b"\r" not in mail.replace(b"\r\n", b"")
    assert max(map(len, mail.split(b"\r\n"))) <= 998
    message = message_from_bytes(mail, policy=policy.strict)
    for part in message.walk():
        assert not part.defects
        assert not [defect for value in part.values() for defect in value.defects]
    assert {name: len(message.get_all(name, [])) for name in ONCE.split()} == dict.fromkeys(ONCE.split(), 1)
    assert re.fullmatch(r"<https?://[^<>\s]+>", message["List-Unsubscribe"])
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for signature in message.get_all("DKIM-Signature"):
        names = "".join(re.search(r"h=([^;]+);", str(signature))[1].split()).lower().split(":")
        assert {"list-unsubscribe", "list-unsubscribe-post", "from", "date", "message-id"} <= set(names)
    plain, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert not [part for part in message.walk() if part["Content-Transfer-Encoding"] == "base64"]
    assert len(plain) > 100
    assert "Person 1" in plain
    assert "</html>" in html
    assert "{{" not in plain + html


def spam_scores(mails: list[bytes], folder: Path) -> list[float]:
    """SpamAssassin's offline verdicts; all mails in one process, since it takes seconds to start."""
    if SPAMASSASSIN is None:
        pytest.skip("spamassassin (Debian's package) is not installed: the mails were checked but for their spam score")
    head = RECEIVED.format(date=format_datetime(utc_now())).encode()
    paths = [folder / f"{number}.eml" for number in range(len(mails))]
    for path, mail in zip(paths, mails, strict=True):
        path.write_bytes(head + mail)
    said = subprocess.run(
        [SPAMASSASSIN, "-L", "-t", "-x", *map(str, paths)],
        env={"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        timeout=120,
        check=True,
    ).stdout
    scores = [float(score) for score in re.findall(rb"^X-Spam-Status: \w+, score=(-?[\d.]+)", said, re.MULTILINE)]
    assert len(scores) == len(mails)
    return scores


async def test_a_retry_is_the_same_mail_byte_by_byte(
    signing: House, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POLICY.__dict__, "refused", Backoff(None, timedelta(milliseconds=50)))
    async with signing.database.begin() as conn:
        await add_people(conn, 1)
    tries = iter(["451 4.7.1 greylisted"])
    sink.at_data = lambda address: next(tries, None)
    campaign_id = await launched(signing, **{"from": SENDER})
    await work_off(signing, future=True)
    assert (await record(signing, campaign_id))["counts"]["sent"] == 1
    first, second = sink.tried
    assert first == second
    assert first.count(b"Message-ID: <") == 1
