"""What a batch needs, loaded in a few statements; nothing of the session is held while messages go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience
from campaigns.dispatch.verdicts import IN_DOUBT
from campaigns.experiments.editions import Editions, read_editions
from campaigns.experiments.share import held_from
from campaigns.models import campaigns, experiments, runs, snapshots
from campaigns.options import Options
from campaigns.people import Person, Setting, load_people
from campaigns.ranks import Rank
from campaigns.respect.underway import Courtesy, courtesy, put_off_quiet
from campaigns.states import RunState
from channels.contract import Channel
from channels.registry import channel_named
from runtime.clock import local_date
from runtime.registry import ChannelKind
from runtime.settings import Settings
from runtime.workspace import lasting_key
from segments.context import context_at
from tracking.ledger import Due, due, give_up


@dataclass(frozen=True)
class Run:
    """A run that is being sent, with what was approved. `winner`: the variant that the rest of an experiment gets;
    `held_from`: the batch from which on it waits for that. `note`: what it waits for, as people are told."""

    id: int
    campaign_id: int
    rank: Rank
    name: str
    state: RunState
    note: str | None
    occurrence: datetime
    frozen_at: datetime
    frozen_snapshot: str | None
    snapshot_id: int
    sender: str
    compiled: str
    variants: str | None
    winner: int | None
    held_from: int | None
    audience: audience.Stored
    options: Options
    channel: Channel

    @property
    def editions(self) -> Editions:
        return read_editions(self.compiled, self.variants, self.winner)

    def holds(self, batch: int) -> bool:
        """Whether the batch waits for the decision of an experiment."""
        return self.held_from is not None and batch >= self.held_from


@dataclass(frozen=True)
class Work:
    """One batch: the messages that are due and what their templates ask for. `doubted`: those in doubt before;
    `courtesy`: what the contact rules say of them."""

    run: Run
    batch: int
    due: Sequence[Due]
    people: Mapping[int, Person]
    doubted: frozenset[int]
    message_key: bytes
    courtesy: Courtesy


async def load_run(conn: AsyncConnection, run_id: int) -> Run | None:
    """The run with its snapshot; None for one that is not there or was never frozen."""
    statement = (
        select(*runs.c["id", "campaign_id", "rank", "state", "note", "frozen_at", "frozen_snapshot", "snapshot_id"])
        .add_columns(*campaigns.c["name", "channel"])
        .add_columns(*snapshots.c["sender", "audience", "options"], experiments.c.winner)
        .add_columns(*(cast(snapshots.c[name], Text).label(name) for name in ("compiled", "variants")))
        .add_columns(held_from(runs.c.id).label("held_from"), runs.c.occurrence)
        .join_from(runs, campaigns, campaigns.c.id == runs.c.campaign_id)
        .join(snapshots, snapshots.c.id == runs.c.snapshot_id)
        .outerjoin(experiments, experiments.c.run_id == runs.c.id)
        .where(runs.c.id == run_id, runs.c.frozen_at.is_not(None))
    )
    row = (await conn.execute(statement)).one_or_none()
    if row is None:
        return None
    read = {
        "audience": audience.of_run(row.audience, row.occurrence),
        "state": RunState(row.state),
        "rank": Rank(row.rank),
        "options": Options.from_json(row.options),
        "channel": channel_named(row.channel),
    }
    return Run(**{**row._mapping, **read})


async def load_work(conn: AsyncConnection, run: Run, batch: int, settings: Settings, now: datetime) -> Work:
    """What of the batch is due at `now`. What a dead sender left as `sending` is given up first."""
    if run.channel.capabilities.commit_before_submit:
        await give_up(conn, run.id, batch)
    found = await due(conn, run.id, batch, now)
    kind = ChannelKind(run.channel.name, run.channel.address_kind)
    ids = [message.key.customer_id for message in found]
    manners = await courtesy(conn, run.id, kind, run.options, ids, settings.timezone)
    found = await put_off_quiet(conn, manners, found, now)
    ids = [message.key.customer_id for message in found]
    return Work(
        run,
        batch,
        found,
        await people_of(conn, run, ids, settings, now),
        frozenset(message.key.customer_id for message in found if (message.reason or "").startswith(IN_DOUBT)),
        await lasting_key(conn, "message"),
        manners,
    )


async def people_of(
    conn: AsyncConnection, run: Run, ids: Sequence[int], settings: Settings, now: datetime
) -> dict[int, Person]:
    """What the run's templates see of these customers, and their names for the envelope; the appliance as the rule
    matched it at the freeze."""
    fields = run.editions.fields | {"customer.name"}
    matched = None
    if any(name.partition(".")[0] == "appliance" for name in fields):
        matched = await audience.matched_appliances(conn, run.audience, context_at(run.frozen_at, settings))
    setting = Setting(run.name, local_date(now, settings.timezone), matched)
    return await load_people(conn, ids, fields, setting)
