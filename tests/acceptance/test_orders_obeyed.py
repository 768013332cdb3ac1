"""FAULTS.md rows 5, 6 and 23, and a graceful stop: what people and operators ask for while a campaign goes out.

One campaign through the web process and two workers: some unsubscribe, template, segment and sender are edited, a
second worker joins, the first one is asked to stop, the campaign is paused and resumed fifty times, then cancelled.
At full size with HEARTH_SOAK=1 (`make soak`).
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from runtime.house import House, open_house
from runtime.settings import load_settings
from tests.acceptance.counting_sink import CountingSink, Dot, counting_sink
from tests.acceptance.exact import PATIENCE, PEOPLE, SOAK, Api, Print, check_agreement, ledger, settle
from tests.acceptance.hall import Hall
from tests.waiting import until

CONNECTIONS = 4
RATE = 400 if SOAK else 80  # so slow that there is somebody left to cancel, on a machine that does much else
CYCLES = 50
WATCHED = 25 if SOAK else 3  # pauses that last long enough to see what comes after two seconds
LEAVERS = 400 if SOAK else 40
BEFORE = PEOPLE // 4  # each batch goes by id: so many are written to before the turn of the leavers comes
# Where other tests take the processor, the sink itself may be late to note what it was told in time.
PAUSE_SECONDS = 2.0 if SOAK else 4.0
LEAVE_SECONDS = 5.0 if SOAK else 7.0
APPROVED, OTHER = "Approved <approved@shop.example>", "Other <other@shop.example>"


@dataclass
class Ground:
    """An installation with its API, its database, and what it sends to."""

    hall: Hall
    api: Api
    house: House
    sink: CountingSink


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[CountingSink]:
    with counting_sink(tmp_path) as running:
        yield running


@pytest.fixture
async def ground(database_url: str, tmp_path: Path, sink: CountingSink) -> AsyncIterator[Ground]:
    hall = Hall(
        tmp_path,
        {
            "HEARTH_DATABASE_URL": database_url,
            "HEARTH_SECRET_KEY": "a secret for tests of exactness",
            "HEARTH_SMTP_URL": f"smtp://127.0.0.1:{sink.port}?connections={CONNECTIONS}",
            "HEARTH_MAIL_FROM": APPROVED,
        },
    )
    try:
        hall.start("web", "web", "--port", str(hall.port))
        hall.start("first", "worker")
        await hall.answering()
        async with open_house(load_settings(hall.environ, env_file=tmp_path / "none")) as house:
            yield Ground(hall, Api(hall), house, sink)
    finally:
        await hall.stop()


async def test_a_campaign_under_way_does_what_it_is_told_and_nothing_twice(ground: Ground, figures: Print) -> None:
    sink, api = ground.sink, ground.api
    async with ground.house.database.begin() as conn:
        await settle(conn, BEFORE)
        await settle(conn, LEAVERS, first=BEFORE + 1, city="Turku")
        await settle(conn, PEOPLE - BEFORE - LEAVERS, first=BEFORE + LEAVERS + 1)
    ways_out = await links_of_leavers(ground)
    template, segment = await template_and_segment(api)
    since = sink.count()
    campaign_id = await api.launched(template_id=template, segment_id=segment, options={"rate_per_second": RATE})
    await until(lambda: sink.count() >= since + 100, PATIENCE)

    left_at = await leave(ground, ways_out, {dot.recipient for dot in sink.look()[since:]})
    assert len(left_at) >= LEAVERS // 2
    await edit_everything(api, campaign_id, template, segment)
    await hand_over_to_another_worker(ground, since)
    latest = await pause_again_and_again(ground, campaign_id)
    assert latest <= PAUSE_SECONDS
    await decided(ground, campaign_id)
    await until(lambda: time.monotonic() > max(left_at.values()) + LEAVE_SECONDS + 1, PATIENCE)
    await checked_at_rest(ground, campaign_id, since)
    after_cancel = await cancel(ground, campaign_id)
    assert after_cancel <= PAUSE_SECONDS

    found = await api.reached(campaign_id, "cancelled")
    dots = sink.look()[since:]
    lost, repeated = await check_agreement(ground.house.database, sink, campaign_id, since)
    after_leaving = [max(0.0, dot.at - left_at[dot.recipient]) for dot in dots if dot.recipient in left_at]
    figures(
        f"row 5: {CYCLES} pauses, the last final dot {latest:.2f} s after one, {after_cancel:.2f} s after the cancel; "
        f"of {len(dots)} mails lost {lost}, duplicated {repeated}, bound 0\n"
        f"row 23: {len(left_at)} unsubscribed under way, the last final dot "
        f"{max(after_leaving, default=0.0):.2f} s later, bound 5 s\n"
        f"row 6: {len(dots)} mails, {len(Counter(dot.subject.split()[0] for dot in dots))} edition"
    )
    assert (lost, repeated) == (0, 0)
    assert max(after_leaving, default=0.0) <= LEAVE_SECONDS
    assert found["skipped_reasons"] == {"unsubscribed": len(left_at) - len(after_leaving)}
    assert found["counts"]["sent"] == len(dots)
    assert found["counts"]["cancelled"] > 0, "the campaign was over before it was cancelled"
    assert {(dot.sender, dot.subject.split()[0]) for dot in dots} == {(APPROVED, "Approved")}


async def links_of_leavers(ground: Ground) -> dict[str, str]:
    """By address, how to unsubscribe: from a mail that they got before."""
    rule = {"field": "city", "op": "eq", "value": "Turku"}
    content = {"subject": "Before", "html": "<p>{{ customer.name }}</p>"}
    campaign_id = await ground.api.launched(rule=rule, content=content)
    await ground.api.reached(campaign_id, "finished")
    found = {dot.recipient: re.findall(r"<(http[^>]+)>", dot.unsubscribe)[0] for dot in ground.sink.look()}
    assert len(found) == LEAVERS
    return found


async def template_and_segment(api: Api) -> tuple[int, int]:
    html = "<p>Approved for {{ customer.name }}</p>"
    content = {"subject": "Approved {{ customer.name }}", "html": html}
    template = await api.post("/templates", {"name": "Edited", "channel": "email", **content})
    everybody = {"any": [{"field": "city", "op": "eq", "value": city} for city in ("Espoo", "Turku")]}
    segment = await api.post("/segments", {"name": "Edited", "rule": everybody})
    return template["id"], segment["id"]


async def leave(ground: Ground, ways_out: dict[str, str], written_to: set[str]) -> dict[str, float]:
    """Those who have no mail yet unsubscribe, by one click; when each of them had the answer."""
    left_at = {}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for address, link in ways_out.items():
            if address not in written_to:
                answer = await client.post(link, data={"List-Unsubscribe": "One-Click"})
                assert answer.status_code == 200
                left_at[address] = time.monotonic()
    return left_at


async def decided(ground: Ground, campaign_id: int) -> None:
    """Wait until the turn of those who left has come."""
    waiting = text("""
        SELECT count(*) FROM messages JOIN customers ON customers.id = customer_id
        WHERE campaign_id = :id AND state = 'queued' AND city = 'Turku'
    """)

    async def none_waits() -> bool:
        async with ground.house.database.connect() as conn:
            return await conn.scalar(waiting, {"id": campaign_id}) == 0

    await until(none_waits, PATIENCE)


async def edit_everything(api: Api, campaign_id: int, template: int, segment: int) -> None:
    await api.patch(f"/templates/{template}", {"subject": "Edited {{ customer.name }}", "html": "<p>Edited</p>"})
    await api.patch(f"/segments/{segment}", {"rule": {"field": "city", "op": "eq", "value": "nowhere"}})
    answer = await api.client.patch(f"/campaigns/{campaign_id}", json={"from": OTHER})
    assert answer.status_code == 409


async def hand_over_to_another_worker(ground: Ground, since: int) -> None:
    """A second worker joins, whose sender is set to another; the first one is asked to stop, and does."""
    hall, sink = ground.hall, ground.sink
    hall.settings["HEARTH_MAIL_FROM"] = OTHER
    hall.start("second", "worker")
    mark = sink.count() + RATE
    await until(lambda: sink.count() >= mark, PATIENCE)
    first = hall.running.pop("first")
    first.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, PATIENCE) == 0, hall.log("first")
    mark = sink.count() + RATE
    await until(lambda: sink.count() >= mark, PATIENCE)


async def pause_again_and_again(ground: Ground, campaign_id: int) -> float:
    """The longest that a final dot came after the pause that should have stopped it."""
    latest = 0.0
    for cycle in range(CYCLES):
        await ground.api.post(f"/campaigns/{campaign_id}/pause")
        paused_at = time.monotonic()
        if cycle % (CYCLES // WATCHED) == 0:
            await until(lambda since=paused_at: time.monotonic() > since + PAUSE_SECONDS + 0.5, PATIENCE)
        resumed_at = time.monotonic()
        await ground.api.post(f"/campaigns/{campaign_id}/resume")
        latest = max(latest, _latest(ground.sink.look(), paused_at, resumed_at))
        mark = ground.sink.count() + 5
        if cycle % 5 == 0:  # the others come at once, before anything goes again
            await until(lambda mark=mark: ground.sink.count() >= mark, PATIENCE)
    return latest


async def checked_at_rest(ground: Ground, campaign_id: int, since: int) -> None:
    """Paused, every final dot is recorded, none is in doubt; and it goes on."""
    await ground.api.post(f"/campaigns/{campaign_id}/pause")
    paused_at = time.monotonic()
    await until(lambda: time.monotonic() > paused_at + PAUSE_SECONDS, PATIENCE)

    async def all_recorded() -> bool:
        found = await ledger(ground.house.database, campaign_id)
        return found.attempts == ground.sink.count() - since

    await until(all_recorded, PATIENCE)
    counts = (await ground.api.get(f"/campaigns/{campaign_id}"))["counts"]
    assert (counts["sending"], counts["unknown"], counts["sent"]) == (0, 0, ground.sink.count() - since)
    mark = ground.sink.count() + RATE
    await ground.api.post(f"/campaigns/{campaign_id}/resume")
    await until(lambda: ground.sink.count() >= mark, PATIENCE)


async def cancel(ground: Ground, campaign_id: int) -> float:
    """How long after the cancel the last final dot came."""
    await ground.api.post(f"/campaigns/{campaign_id}/cancel")
    cancelled_at = time.monotonic()
    await until(lambda: time.monotonic() > cancelled_at + PAUSE_SECONDS + 1, PATIENCE)
    return _latest(ground.sink.look(), cancelled_at, time.monotonic())


def _latest(dots: Sequence[Dot], begin: float, end: float) -> float:
    return max((dot.at - begin for dot in dots if begin < dot.at < end), default=0.0)
