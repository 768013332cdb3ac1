"""Experiments: drafts, the split, variants as they go out, the rest that waits, decisions and what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import figures, halt, store
from campaigns.draft import read_draft
from campaigns.experiments.decide import _due, decide, decide_due, decide_now, stop
from campaigns.experiments.lift import Group, Lift, lift
from campaigns.experiments.numbers import tallies
from campaigns.experiments.outcome import outcomes
from campaigns.experiments.plan import Experiment, Variant
from campaigns.experiments.verdict import How, Verdict
from campaigns.freeze import prepare_run
from campaigns.launch import resume
from campaigns.models import experiments, runs, snapshots
from campaigns.revisit import click_target, in_browser
from campaigns.trial import send_test
from customers.models import contact_addresses, orders
from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid
from runtime.house import House
from runtime.leader import NotLeader, Term, acquire
from runtime.signing import Purpose
from tests.campaigns.scene import Sink, add_people, body, launched, links_of, record, work_off
from tracking.facts import Fact, FactKind
from tracking.ingest import store as store_facts
from tracking.ledger import MessageKey
from tracking.links import LinkTables
from tracking.models import messages
from tracking.tokens import read_token
from tracking.tracker import standing

TWO = [{"name": "A"}, {"name": "B", "subject": "Only today, {{ customer.name }}"}]


def experiment(**changes: Any) -> dict[str, Any]:
    return {"options": {"experiment": {"variants": TWO, "test_percent": 50, **changes}}}


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"variants": [TWO[0]]}, "variants", "2 to 10"),
        ({"variants": [TWO[0], {"name": "B"}]}, "variants[1]", "variant 'B' does not differ from 'A'"),
        ({"variants": [TWO[0], {"name": "A", "subject": "x"}]}, "variants[1].name", "two variants are called 'A'"),
        ({"variants": [TWO[0], {"name": "B", "subjet": "x"}]}, "variants[1].subjet", "unknown field"),
        ({"variants": [TWO[0], {"name": "B", "html": "a", "mjml": "b"}]}, "variants[1].mjml", "only one of"),
        ({"variants": [TWO[0], {"name": "B", "send_at": "25:00"}]}, "variants[1].send_at", "a time of day"),
        ({"variants": [TWO[0], {**TWO[1], "weight": 0.01}], "test_percent": 0.1}, "variants[1].weight", "nobody"),
        ({"winner": "luck"}, "winner", "one of clicks, opens, revenue"),
        ({"test_percent": 0}, "test_percent", "from 0.1 to 100"),
        ({"wait": 4}, "wait", "unknown field"),
    ],
)
def test_a_faulty_draft_names_variant_and_field(changes: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_draft(body(**experiment(**changes)))
    [problem] = caught.value.problems
    assert problem.path == f"options.experiment.{path}"
    assert words in problem.message


async def test_what_a_variant_would_send_is_checked_with_the_draft(house: House) -> None:
    faulty = {"name": "B", "html": "<p>{{ customer.nam }}</p>"}
    for variant, field in ((faulty, "html"), ({"name": "B", "from": "nobody"}, "from")):
        async with house.database.begin() as conn:
            changes = experiment(variants=[TWO[0], variant])
            with pytest.raises(Invalid) as caught:
                await store.create_campaign(conn, body(**changes), settings=house.settings, by=None)
        [problem] = caught.value.problems
        assert problem.path == f"options.experiment.variants[1].{field}"
        assert "variant 'B'" in problem.message


async def test_the_test_gets_its_variants_and_the_rest_waits(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 40)
    campaign_id = await launched(house, **experiment())
    await work_off(house)
    found = await record(house, campaign_id)
    async with house.database.connect() as conn:
        rows = (await conn.execute(select(messages.c["customer_id", "variant", "state", "address"]))).all()
        report = await conn.scalar(select(snapshots.c.report))
    of = {row.address: row.variant for row in rows}
    assert {row.state for row in rows if row.variant is not None} == {"sent"}
    assert {row.state for row in rows if row.variant is None} == {"queued"}
    assert len(sink.mails) == sum(row.variant is not None for row in rows)
    for address, mail in sink.mails:
        assert str(mail["Subject"]).startswith("Only today" if of[address] == 1 else "Hello")
    counts = found["counts"]
    assert (found["state"], counts["audience"]) == ("sending", 40)
    assert counts["queued"] + counts["sent"] == 40
    assert [variant["name"] for variant in report["variants"]] == ["A", "B"]


async def test_a_test_send_shows_each_variant(house: House, sink: Sink) -> None:
    changes = experiment(variants=[TWO[0], {**TWO[1], "from": "Other <other@shop.example>"}])
    async with house.database.begin() as conn:
        await add_people(conn, 1)
        campaign_id = await store.create_campaign(conn, body(**changes), settings=house.settings, by=None)
    await send_test(house, campaign_id, "me@example.com", now=utc_now())
    assert [(str(mail["Subject"]), str(mail["From"])) for _, mail in sink.mails] == [
        ("[Test A] Hello Person 1", house.settings.mail_from),
        ("[Test B] Only today, Person 1", "Other <other@shop.example>"),
    ]


DAY = timedelta(days=1)
LINK = "https://shop.example/p?c={{ (customer.external_id)|_url }}"
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"


@dataclass
class Scene:
    """A campaign whose test went out some hours ago; `people` by variant, None the rest."""

    house: House
    campaign_id: int
    run_id: int
    people: dict[int | None, list[int]]

    async def seen(self, kind: FactKind, who: Sequence[int], machine: str | None = None, link: str = "") -> None:
        facts = [
            Fact(MessageKey(one, self.run_id), kind, utc_now(), machine, BROWSER, link, 0 if link else None)
            for one in who
        ]
        async with self.house.database.begin() as conn:
            await store_facts(conn, facts, utc_now())

    async def clicked(self, who: Sequence[int], machine: str | None = None) -> None:
        await self.seen(FactKind.CLICKED, who, machine, LINK)

    async def decided(self, after: timedelta = DAY) -> Verdict | None:
        """What the due decision is, that much later."""
        zone = self.house.settings.zone
        async with self.house.database.begin() as conn:
            return await decide(conn, self.campaign_id, self.run_id, now=utc_now() + after, zone=zone)

    async def row(self) -> Any:
        async with self.house.database.connect() as conn:
            return (await conn.execute(select(experiments).where(experiments.c.run_id == self.run_id))).one()


async def ordered(conn: AsyncConnection, customer_id: int, number: str, at: datetime, amount: int = 100) -> None:
    row = {"customer_id": customer_id, "number": number, "status": "completed", "ordered_at": at, "amount": amount}
    await conn.execute(insert(orders).values(row))


async def put_out(house: House, number: int = 40, **changes: Any) -> Scene:
    async with house.database.begin() as conn:
        await add_people(conn, number)
    campaign_id = await launched(house, **experiment(**changes))
    await work_off(house)
    async with house.database.begin() as conn:
        rows = (
            await conn.execute(select(messages.c["customer_id", "run_id", "variant"]).order_by("customer_id"))
        ).all()
        earlier = update(messages).where(messages.c.sent_at.is_not(None))
        await conn.execute(earlier.values(sent_at=utc_now() - timedelta(hours=3)))
    people: dict[int | None, list[int]] = {}
    for row in rows:
        people.setdefault(row.variant, []).append(row.customer_id)
    return Scene(house, campaign_id, rows[0].run_id, people)


async def test_the_winner_goes_to_the_rest(house: House, sink: Sink) -> None:
    scene = await put_out(house, test_percent=60)
    await scene.clicked(scene.people[1])
    await scene.clicked(scene.people[0], "scanner")
    before = len(sink.mails)
    assert await scene.decided(timedelta(minutes=10)) is None  # the wait is not over
    verdict = await scene.decided()
    assert verdict is not None
    assert (verdict.winner, verdict.how) == (1, How.SIGNIFICANT)
    assert await scene.decided() is None  # once is enough
    await work_off(house)
    rest = [str(mail["Subject"]) for _, mail in sink.mails[before:]]
    assert len(rest) == len(scene.people[None])
    assert all(subject.startswith("Only today") for subject in rest)
    assert (await record(house, scene.campaign_id))["state"] == "finished"
    row = await scene.row()
    assert (row.state, row.winner, row.how, row.decided_by) == ("decided", 1, "significant", None)
    assert row.numbers["variants"][1]["clicked"] == len(scene.people[1])
    assert row.numbers["variants"][0]["clicked"] == 0


@pytest.mark.parametrize(("fallback", "winner", "how"), [("first", 0, How.FIRST), ("leading", 1, How.LEADING)])
async def test_undecided_it_falls_back(house: House, sink: Sink, fallback: str, winner: int, how: How) -> None:
    scene = await put_out(house, fallback=fallback, winner="opens")
    await scene.seen(FactKind.OPENED, scene.people[1][:2])
    verdict = await scene.decided()
    assert verdict is not None
    assert (verdict.winner, verdict.how, verdict.leader) == (winner, how, 1)
    await work_off(house)
    assert (await record(house, scene.campaign_id))["counts"]["sent"] == 40


async def test_revenue_decides_by_orders_after_clicks(house: House, sink: Sink) -> None:
    scene = await put_out(house, 80, winner="revenue", test_percent=100)
    await scene.clicked(scene.people[0] + scene.people[1])
    async with house.database.begin() as conn:
        for place, one in enumerate(scene.people[0]):
            await ordered(conn, one, f"a{one}", utc_now() + timedelta(minutes=1), amount=1000 + 10 * (place % 3))
        for place, one in enumerate(scene.people[1]):
            await ordered(conn, one, f"b{one}", utc_now() + timedelta(minutes=1), amount=100 + 10 * (place % 3))
    verdict = await scene.decided()
    assert verdict is not None
    assert (verdict.winner, verdict.how) == (0, How.SIGNIFICANT)
    assert (await record(house, scene.campaign_id))["state"] == "finished"


async def test_nothing_of_a_decision_stays_that_was_not_committed(house: House, sink: Sink) -> None:
    """Decision and queueing are one: a crash between them leaves neither."""
    scene = await put_out(house)
    zone = house.settings.zone
    async with house.database.connect() as conn:
        await decide(conn, scene.campaign_id, scene.run_id, now=utc_now() + DAY, zone=zone)
        await conn.rollback()
    before = len(sink.mails)
    await work_off(house)
    assert (len(sink.mails), (await scene.row()).state) == (before, "testing")
    assert await scene.decided() is not None
    await work_off(house)
    assert len(sink.mails) == 40


async def test_the_leader_decides_what_is_due_and_one_who_was_replaced_does_not(house: House, sink: Sink) -> None:
    scene = await put_out(house)
    async with house.database.begin() as conn:
        first = await acquire(conn, "scheduler", "first")
    assert first is not None
    await decide_due(house, first, utc_now())
    assert (await scene.row()).state == "testing"
    await decide_due(house, first, utc_now() + DAY)
    assert (await scene.row()).state == "decided"
    async with house.database.begin() as conn:
        await conn.execute(update(experiments).values(state="testing"))
    with pytest.raises(NotLeader):
        await decide_due(house, Term(first.lease, first.number - 1), utc_now() + DAY)


async def test_one_test_that_cannot_be_decided_keeps_no_other_waiting(
    house: House, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    strange = await put_out(house)
    other = await launched(house, **experiment())
    await work_off(house)
    async with house.database.begin() as conn:
        await conn.execute(update(messages).values(sent_at=utc_now() - timedelta(hours=3)))
        odd = update(snapshots).where(snapshots.c.campaign_id == strange.campaign_id)
        await conn.execute(odd.values(options={"experiment": {"variants": 7}}))
        term = await acquire(conn, "scheduler", "first")
    assert term is not None
    await decide_due(house, term, utc_now() + DAY)
    async with house.database.connect() as conn:
        found = await conn.execute(select(experiments.c["campaign_id", "state"]))
    assert {row.campaign_id: row.state for row in found} == {strange.campaign_id: "testing", other: "decided"}
    assert f"campaign {strange.campaign_id} (Spring) is passed over" in caplog.text


async def test_by_hand(house: House, sink: Sink) -> None:
    scene = await put_out(house)
    zone = house.settings.zone
    async with house.database.begin() as conn:
        with pytest.raises(Invalid, match="there are: A, B"):
            await decide_now(conn, scene.campaign_id, "C", by="me", now=utc_now(), zone=zone)
    async with house.database.begin() as conn:
        await decide_now(conn, scene.campaign_id, "B", by="me", now=utc_now(), zone=zone)
        with pytest.raises(Conflict, match="no test that is under way"):
            await decide_now(conn, scene.campaign_id, "A", by="me", now=utc_now(), zone=zone)
    await work_off(house)
    row = await scene.row()
    assert (row.winner, row.how, row.decided_by) == (1, "by_hand", "me")
    assert (await record(house, scene.campaign_id))["state"] == "finished"


async def test_stopped_the_rest_gets_nothing(house: House, sink: Sink) -> None:
    scene = await put_out(house)
    async with house.database.begin() as conn:
        await stop(conn, scene.campaign_id, by="me", now=utc_now())
    await work_off(house)
    found = await record(house, scene.campaign_id)
    assert found["state"] == "finished"
    assert found["counts"]["cancelled"] == len(scene.people[None])
    assert await scene.decided() is None


async def test_paused_it_is_not_decided_and_resumed_the_rest_still_waits(house: House, sink: Sink) -> None:
    scene = await put_out(house)
    async with house.database.begin() as conn:
        await halt.pause(conn, scene.campaign_id, now=utc_now())
    async with house.database.connect() as conn:
        assert (await conn.execute(_due(utc_now() + DAY))).all() == []
    async with house.database.begin() as conn:
        await resume(conn, scene.campaign_id, now=utc_now())
    before = len(sink.mails)
    await work_off(house)
    assert len(sink.mails) == before
    async with house.database.connect() as conn:
        assert len((await conn.execute(_due(utc_now() + DAY))).all()) == 1
    async with house.database.begin() as conn:
        await halt.pause(conn, scene.campaign_id, now=utc_now())
        await decide_now(conn, scene.campaign_id, "B", by="me", now=utc_now(), zone=house.settings.zone)
    await work_off(house)
    assert len(sink.mails) == before
    async with house.database.begin() as conn:
        await resume(conn, scene.campaign_id, now=utc_now())
    await work_off(house)
    assert len(sink.mails) == 40


async def test_cancelled_the_rest_is_cancelled(house: House, sink: Sink) -> None:
    scene = await put_out(house)
    async with house.database.begin() as conn:
        await halt.cancel(conn, scene.campaign_id, now=utc_now())
    found = await record(house, scene.campaign_id)
    assert (found["state"], found["counts"]["cancelled"]) == ("cancelled", len(scene.people[None]))
    async with house.database.connect() as conn:
        assert (await conn.execute(_due(utc_now() + DAY))).all() == []
        [told] = await outcomes(conn, scene.campaign_id)
    assert (told["state"], told["how"], told["decidable"]) == ("stopped", "cancelled", False)


async def test_times_of_sending(house: House, sink: Sink) -> None:
    """Each variant at its time; the rest at the winner's time of day."""
    variants = [{"name": "now"}, {"name": "later", "delay_minutes": 120}]
    async with house.database.begin() as conn:
        await add_people(conn, 40)
    campaign_id = await launched(house, **experiment(variants=variants))
    await work_off(house)
    async with house.database.connect() as conn:
        rows = (await conn.execute(select(messages.c["run_id", "variant", "state", "not_before"]))).all()
        frozen_at = await conn.scalar(select(runs.c.frozen_at))
    assert {row.state for row in rows if row.variant == 0} == {"sent"}
    assert {(row.state, row.not_before) for row in rows if row.variant == 1} == {
        ("queued", frozen_at + timedelta(minutes=120))
    }
    zone, now = house.settings.zone, utc_now() + timedelta(hours=5)
    async with house.database.begin() as conn:
        assert await decide(conn, campaign_id, rows[0].run_id, now=now, zone=zone) is None  # half of it is not out
        await decide_now(conn, campaign_id, "later", by="me", now=now, zone=zone)
        due = set((await conn.execute(select(messages.c.not_before).where(messages.c.variant.is_(None)))).scalars())
    expected = (frozen_at + timedelta(minutes=120)).replace(second=0, microsecond=0)
    [found] = due
    assert abs(found - (expected + DAY)) < timedelta(minutes=1)


async def test_each_link_leads_where_its_own_message_says(house: House, sink: Sink) -> None:
    """All links stand in one table: a token of one variant leads to that variant's page, personal or not."""
    page = "<p>Hello</p><a href='https://{}.example/q?c={{{{ customer.external_id }}}}'>Go</a>"
    variants = [{"name": name, "html": page.format(name)} for name in ("one", "two", "three")]
    async with house.database.begin() as conn:
        await add_people(conn, 60)
    await launched(house, **experiment(variants=variants, test_percent=100))
    await work_off(house)
    async with house.database.connect() as conn:
        variant_of = {row.address: row.variant for row in await conn.execute(select(messages.c["address", "variant"]))}
        links = LinkTables(house.database)
        for address, mail in sink.mails:
            [token] = {url.rpartition("/c/")[2] for url in links_of(mail) if "/c/" in url}
            ref = read_token(house.signer, token, Purpose.CLICK)
            name = variants[variant_of[address]]["name"]
            assert (await links.template(ref.key.run_id, ref.link)).startswith(f"https://{name}.example/q")
            message = await standing(conn, ref.key)
            target = await click_target(conn, house, message, ref.link)
            assert target == f"https://{name}.example/q?c={address.partition('@')[0]}"
            shown = await in_browser(conn, house, message)
            assert f"/c/{token}" in (shown.html or "")
    assert set(variant_of.values()) == {0, 1, 2}


@given(
    st.integers(1, 2**40),
    st.integers(1, 2**40),
    st.floats(0.1, 100),
    st.lists(st.floats(0.5, 5), min_size=2, max_size=6),
)
def test_everybody_falls_to_one_place_for_ever(
    campaign_id: int, customer: int, percent: float, weights: list[float]
) -> None:
    variants = tuple(Variant(str(number), {"subject": str(number)}, weight) for number, weight in enumerate(weights))
    plan = Experiment(variants, percent)
    assert plan.slot(campaign_id, customer) == Experiment(variants, percent).slot(campaign_id, customer)
    edges = plan.edges
    assert edges == sorted(edges)
    assert edges[-1] == round(percent * 100)
    for place, weight in enumerate(weights):
        share = (edges[place] - (edges[place - 1] if place else 0)) / 10_000
        assert abs(share - percent / 100 * weight / sum(weights)) <= 1.01e-4


async def test_the_database_splits_as_python_does_and_in_the_shares_asked_for(conn: AsyncConnection) -> None:
    plan = Experiment((Variant("A", {}), Variant("B", {"subject": "b"}, 2.0)), 30.0)
    ids = select(func.generate_series(1, 20_000).label("id")).subquery("ids")
    rows = (await conn.execute(select(ids.c.id, plan.slot_sql(7, ids.c.id)))).all()
    assert all(plan.slot(7, customer) == slot for customer, slot in rows)
    found = Counter(slot for _, slot in rows)
    for slot, share in enumerate((0.1, 0.2, 0.7)):  # within five standard deviations
        assert abs(found[slot] - 20_000 * share) < 5 * (20_000 * share * (1 - share)) ** 0.5
    assert sum(plan.slot(8, customer) != slot for customer, slot in rows) > 5_000  # another campaign, another split


async def test_the_outcome_tells_numbers_intervals_and_what_waits(house: House, sink: Sink) -> None:
    scene = await put_out(house)
    await scene.clicked(scene.people[1][:2])
    async with house.database.connect() as conn:
        [found] = await outcomes(conn, scene.campaign_id)
    assert (found["state"], found["winner"], found["decidable"]) == ("testing", None, True)
    assert found["rest"]["waiting"] == len(scene.people[None])
    second = found["variants"][1]
    assert (second["name"], second["sent"], second["clicked"]) == ("B", len(scene.people[1]), 2)
    assert second["click_rate"]["low"] < 2 / len(scene.people[1]) < second["click_rate"]["high"]
    await scene.decided()
    await work_off(house)
    async with house.database.connect() as conn:
        [found] = await outcomes(conn, scene.campaign_id)
    assert (found["state"], found["winner"], found["leader"]) == ("decided", "A", "B")
    assert found["decided_on"][1]["clicked"] == 2
    assert (found["rest"]["waiting"], found["rest"]["sent"]) == (0, len(scene.people[None]))


@pytest.mark.parametrize(
    ("after", "clock", "expected"),
    [
        ("2026-05-04T09:10-04:00", "18:30", "2026-05-04T18:30-04:00"),
        ("2026-05-04T19:10-04:00", "18:30", "2026-05-05T18:30-04:00"),
        ("2026-05-04T18:30:20-04:00", "18:30", "2026-05-04T18:30:20-04:00"),
        ("2026-03-08T01:00-05:00", "02:30", "2026-03-08T03:00-04:00"),  # a gap: its end
        ("2026-03-07T09:00-05:00", "09:00", "2026-03-07T09:00-05:00"),
        ("2026-03-07T10:00-05:00", "09:00", "2026-03-08T09:00-04:00"),
        ("2026-11-01T00:10-04:00", "01:30", "2026-11-01T01:30-04:00"),  # twice: the first coming
        ("2026-11-01T01:40-04:00", "01:30", "2026-11-02T01:30-05:00"),
    ],
)
def test_the_next_time_of_day(after: str, clock: str, expected: str) -> None:
    start, new_york = datetime.fromisoformat(after), ZoneInfo("America/New_York")
    variant = Variant("A", {}, send_at=clock)
    assert variant.starts(start, new_york) == datetime.fromisoformat(expected)


async def test_lift_compares_all_orders_with_those_of_the_held_out(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 120)
    campaign_id = await launched(house, options={"holdout_percent": 30})
    await work_off(house)
    async with house.database.begin() as conn:
        rows = (await conn.execute(select(messages.c["customer_id", "reason"]))).all()
        held = [row.customer_id for row in rows if row.reason == "holdout"]
        sent = [row.customer_id for row in rows if row.reason != "holdout"]
        assert await lift(conn, 0) is None
        for one in sent[::2]:
            await ordered(conn, one, f"n{one}", utc_now())
        for one in held[::20]:
            await ordered(conn, one, f"n{one}", utc_now(), amount=50)
        await ordered(conn, held[1], "before", utc_now() - DAY)
        found = await lift(conn, campaign_id)
        kept = await figures.keep(conn, campaign_id, utc_now())
        assert (await figures.kept(conn, [campaign_id]))[campaign_id] == kept
    assert found is not None
    assert (found.sent.people, found.held_out.people) == (len(sent), len(held))
    assert (found.sent.buyers, found.held_out.buyers) == (len(sent[::2]), len(held[::20]))
    assert found.held_out.revenue == 50 * len(held[::20])
    assert found.proved
    assert found.buyers.low > 0.2
    assert found.enough_for_revenue == (min(len(sent), len(held)) >= (found.people_needed_for_revenue or 0))


async def test_who_is_skipped_for_another_with_the_same_address_has_no_variant_and_no_time(house: House) -> None:
    async with house.database.begin() as conn:
        ids = await add_people(conn, 12)
        await conn.execute(update(contact_addresses).values(value="home@example.com"))
    delayed = [{"name": "A"}, {"name": "B", "delay_minutes": 30}]
    await launched(house, **experiment(variants=delayed, test_percent=100))
    async with house.database.connect() as conn:
        run_id = int(await conn.scalar(select(runs.c.id)) or 0)
    await prepare_run(house, run_id=run_id)
    async with house.database.connect() as conn:
        skipped = messages.c["reason", "batch", "variant", "not_before"]
        rows = (await conn.execute(select(*skipped).where(messages.c.state == "skipped"))).all()
    assert [tuple(row) for row in rows] == [("duplicate_address", None, None, None)] * (len(ids) - 1)


async def test_a_run_of_which_the_statistics_know_nothing_is_compared_soon(house: House) -> None:
    """Analysed when only other runs were there, the planner takes this one for a message or none: no join may then
    become a loop over everybody for everybody."""
    people = 12_000
    async with house.database.begin() as conn:
        await conn.execute(_CROWD, {"people": people})
    campaign_id = await launched(house)
    async with house.database.begin() as conn:
        run_id = await conn.scalar(select(runs.c.id).where(runs.c.campaign_id == campaign_id))
        await conn.execute(_WRITTEN, {"run": 9_999, "campaign": 9_999})
        await conn.execute(text("ANALYZE"))
        await conn.execute(update(runs).values(frozen_at=utc_now() - DAY))
        await conn.execute(_WRITTEN, {"run": run_id, "campaign": campaign_id})
        await conn.execute(_CLICKED, {"run": run_id, "campaign": campaign_id})
        await conn.execute(text("SET LOCAL statement_timeout = 4000"))
        found, numbers = await lift(conn, campaign_id), (await tallies(conn, [run_id]))[run_id]
    assert found is not None
    assert (found.sent.people, found.sent.buyers) == (people * 9 // 10, people * 9 // 10)
    assert (found.held_out.people, found.held_out.orders) == (people // 10, people // 10)
    assert [numbers[variant].buyers for variant in (None, 0, 1)] == [0, people // 5, 0]
    assert [numbers[variant].sent for variant in (None, 0, 1)] == [people // 2, people // 5, people // 5]


_CROWD = text("INSERT INTO customers (name) SELECT 'Person ' || n FROM generate_series(1, :people) n")

# A tenth is held out, a fifth has variant 0, another 1; all buy, and those of variant 0 had clicked before.
_WRITTEN = text("""
    WITH m AS (
        INSERT INTO messages (customer_id, run_id, campaign_id, channel, state, reason, sent_at, clicked_at, variant)
        SELECT id, :run, :campaign, 'email', CASE n % 10 WHEN 0 THEN 'skipped' ELSE 'sent' END,
               CASE n % 10 WHEN 0 THEN 'holdout' END, CASE n % 10 WHEN 0 THEN NULL ELSE now() END,
               CASE WHEN n % 10 IN (1, 2) THEN now() END,
               CASE WHEN n % 10 IN (1, 2) THEN 0 WHEN n % 10 IN (3, 4) THEN 1 END
        FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM customers) c RETURNING customer_id
    )
    INSERT INTO orders (customer_id, number, status, ordered_at, amount)
    SELECT customer_id, 'n' || customer_id, 'completed', now(), 10 FROM m ON CONFLICT DO NOTHING
""")
_CLICKED = text("""
    INSERT INTO events (customer_id, at, key, kind, kind_folded, campaign_id, run_id)
    SELECT customer_id, now() - interval '1 hour', gen_random_uuid(), 'clicked', 'clicked', :campaign, :run
    FROM messages WHERE run_id = :run AND variant = 0
""")


def test_lift_says_nothing_where_it_cannot() -> None:
    few = Lift(Group(30, 3, 3, 300.0, 30_000.0, 3e6), Group(10, 0))
    assert not few.enough
    assert not few.proved
    assert few.people_needed is few.people_needed_for_revenue is None
    sent = Group(10_000, 500, 500, 50_000.0, 5_000_000.0, 5e8)  # 100 each
    tiny = Lift(sent, Group(8, 0))
    assert (tiny.enough, tiny.people_needed, tiny.smaller) == (False, 101, 8)
    assert tiny.revenue.low < 0 < tiny.revenue.high  # nobody of 8 bought: no proof of anything
    small = Lift(sent, Group(200, 0))
    assert (small.enough, small.proved, small.enough_for_revenue) == (True, True, False)
    assert small.people_needed_for_revenue == pytest.approx(25 * (1 - 2 * 0.049) ** 2 / (0.049 * 0.951), rel=0.01)
    large = Lift(sent, Group(1_000, 20, 20, 2_000.0, 200_000.0, 2e7))
    assert large.enough_for_revenue
