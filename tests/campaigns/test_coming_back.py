"""A campaign's mails carry their own return paths, and what comes back to one counts in the campaign."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from channels.email.mailbox import MailboxStore, serving
from channels.email.models import mailbox
from runtime.house import House
from tests.campaigns.scene import add_people, launched, record, work_off
from tests.channels.returns.corpus import dsn
from tracking.return_desk import ReturnDesk, return_paths


async def test_a_bounce_finds_its_way_from_the_envelope_to_the_campaign(house: House) -> None:
    kept = MailboxStore(house.database)
    async with serving("127.0.0.1", 0, kept.deliver) as port:
        url = f"smtp://127.0.0.1:{port}"
        told = {"return_path": "returns@example.com", "hook_secrets": (("postmark", "user:password"),)}
        sending = replace(house, settings=replace(house.settings, smtp_url=url, **told))
        async with house.database.begin() as conn:
            people = await add_people(conn, 3)
        campaign_id = await launched(sending)
        await work_off(sending)
    await kept.close()
    async with house.database.connect() as conn:
        mails = (await conn.execute(select(mailbox.c.sender, mailbox.c.recipient, mailbox.c.raw))).all()
    paths = return_paths(sending)
    keys = {mail.recipient: paths.read(mail.sender) for mail in mails}
    assert sorted(key.customer_id for key in keys.values() if key) == sorted(people)
    for header in ("Message-ID", "X-PM-Metadata-hearth"):
        assert all(paths.read_mail(_header(bytes(mail.raw), header)) == keys[mail.recipient] for mail in mails)
    desk = ReturnDesk(house.database, paths)
    await desk.take(dsn("5.1.1", "550 no such user"), mails[0].sender)
    await desk.close()
    counts = (await record(house, campaign_id))["counts"]
    assert (counts["sent"], counts["bounced"]) == (3, 1)


def _header(raw: bytes, name: str) -> str:
    line = next(line for line in raw.decode().splitlines() if line.startswith(f"{name}:"))
    return line.partition(":")[2]
