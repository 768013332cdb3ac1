"""Campaigns as they are kept: create, read, change, delete. What was approved is in `snapshots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, Table, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.anchors import check_anchor
from campaigns.draft import Body, Draft, compiled, read_draft
from campaigns.due import Schedule, read_schedule
from campaigns.experiments.check import checked_senders, compiled_variants
from campaigns.models import campaigns, templates
from campaigns.options import Options
from campaigns.states import State, Verb, require
from channels.registry import channel_named, channels
from customers.changes import note_changed
from customers.models import attribute_definitions
from customers.topics import topic_problems
from runtime.errors import Invalid, NotFound, Problem
from runtime.settings import Settings
from runtime.text import fold
from segments.models import audiences, segments
from segments.store import check_rule
from tracking.models import campaign_names, events


@dataclass(frozen=True)
class Campaign:
    """A campaign as its row says; `options` and `schedule` read."""

    id: int
    name: str
    channel: str
    segment_id: int | None
    audience_id: int | None
    rule: Mapping[str, Any] | None
    exclude_segment_ids: Sequence[int]
    sender: str | None
    content: Mapping[str, str] | None
    template_id: int | None
    schedule: Schedule
    options: Options
    state: State
    pause_reason: str | None
    alarm: str | None
    judged_from: Mapping[str, Any] | None
    snapshot_id: int | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    finished_at: datetime | None

    def __str__(self) -> str:
        return f"campaign {self.id} ({self.name})"


async def create_campaign(conn: AsyncConnection, body: Body, *, settings: Settings, by: str | None) -> int:
    """Keep a new draft; answers its id. Raises Invalid naming every culprit."""
    draft = read_draft(body)
    await _check_references(conn, draft, settings)
    campaign_id = (
        await conn.execute(insert(campaigns).values(**draft.columns, created_by=by).returning(campaigns.c.id))
    ).scalar_one()
    await _publish_name(conn, campaign_id, draft.columns["name"])
    return int(campaign_id)


async def update_campaign(conn: AsyncConnection, campaign_id: int, body: Body, *, settings: Settings) -> None:
    """Replace a draft by the whole record in `body`. Raises NotFound, Conflict for one that was launched, Invalid."""
    found = await campaign(conn, campaign_id, lock=True)
    require(Verb.EDIT, found.state, str(found))
    draft = read_draft(body)
    await _check_references(conn, draft, settings)
    await conn.execute(
        update(campaigns).where(campaigns.c.id == campaign_id).values(**draft.columns, updated_at=func.now())
    )
    await _publish_name(conn, campaign_id, draft.columns["name"])


async def delete_campaign(conn: AsyncConnection, campaign_id: int) -> None:
    """Forget a draft. Raises NotFound, Conflict for one that was launched: its messages refer to it."""
    found = await campaign(conn, campaign_id, lock=True)
    require(Verb.DELETE, found.state, str(found))
    await conn.execute(delete(campaigns).where(campaigns.c.id == campaign_id))
    await conn.execute(delete(campaign_names).where(campaign_names.c.campaign_id == campaign_id))
    await _note_named(conn, campaign_id)


async def campaign(conn: AsyncConnection, campaign_id: int, *, lock: bool = False) -> Campaign:
    """The campaign of that id; `lock` keeps others from moving it until the transaction ends. Raises NotFound."""
    statement = select(campaigns).where(campaigns.c.id == campaign_id)
    row = (await conn.execute(statement.with_for_update() if lock else statement)).one_or_none()
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    return _campaign(row)


def campaign_rows() -> Select[Any]:
    """All campaigns, for lists; `campaign_of(row)` reads one."""
    return select(campaigns)


def campaign_of(row: Row[Any]) -> Campaign:
    """A row of `campaign_rows` (further columns are left aside)."""
    return _campaign(row)


async def states(conn: AsyncConnection) -> dict[str, int]:
    """How many campaigns are in each state that one is in."""
    rows = await conn.execute(select(campaigns.c.state, func.count()).group_by(campaigns.c.state))
    return {row[0]: row[1] for row in rows}


def body_of(found: Campaign) -> dict[str, Any]:
    """The body that would create the same campaign: for editing and copying."""
    return {
        "name": found.name,
        "channel": found.channel,
        **{
            key: value
            for key in ("segment_id", "audience_id", "rule", "content", "template_id")
            if (value := getattr(found, key)) is not None
        },
        "exclude_segment_ids": list(found.exclude_segment_ids),
        "from": found.sender,
        "schedule": found.schedule.to_json(),
        "options": found.options.to_json(),
    }


async def content_of(conn: AsyncConnection, found: Campaign) -> Mapping[str, str]:
    """The content of a draft: its own, or that of its template as it stands now."""
    if found.content is not None:
        return found.content
    return await _template_content(conn, found.template_id)


async def attribute_keys(conn: AsyncConnection) -> list[str]:
    """The keys that `customer.attributes` may have in a template."""
    return list((await conn.execute(select(attribute_definitions.c.key))).scalars())


def _campaign(row: Row[Any]) -> Campaign:
    values = {column.name: row._mapping[column.name] for column in campaigns.columns}
    return Campaign(
        **{
            **values,
            "schedule": read_schedule(values["schedule"]),
            "options": Options.from_json(values["options"]),
            "state": State(values["state"]),
        }
    )


async def _check_references(conn: AsyncConnection, draft: Draft, settings: Settings) -> None:
    columns = draft.columns
    problems = known_channel(columns["channel"])
    problems += await _exists(conn, segments, "segment_id", [columns["segment_id"]])
    problems += await _exists(conn, audiences, "audience_id", [columns["audience_id"]])
    problems += await _exists(conn, templates, "template_id", [columns["template_id"]])
    problems += await _exists(conn, segments, "exclude_segment_ids", columns["exclude_segment_ids"])
    problems += await _rule_problems(conn, columns["rule"])
    topic = Options.from_json(columns["options"]).topic
    problems += await topic_problems(conn, [topic] if topic else [], "options.topic")
    anchor = read_schedule(columns["schedule"]).anchor
    problems += [] if anchor is None else await check_anchor(conn, anchor)
    if problems:
        raise Invalid(problems)
    await _check_content(conn, draft, settings)


async def _check_content(conn: AsyncConnection, draft: Draft, settings: Settings) -> None:
    """The content, and what an experiment makes of it."""
    own, attributes = draft.columns["content"], await attribute_keys(conn)
    if own is not None:
        compiled(own, settings, attributes)
    experiment = Options.from_json(draft.columns["options"]).tested
    if experiment is not None:
        content = own if own is not None else await _template_content(conn, draft.columns["template_id"])
        compiled_variants(content, experiment, settings, attributes)
        sender = draft.columns["sender"] or settings.mail_from
        checked_senders(channel_named(draft.columns["channel"]), experiment, sender)


async def _template_content(conn: AsyncConnection, template_id: int | None) -> Mapping[str, str]:
    kept = await conn.scalar(select(templates.c.content).where(templates.c.id == template_id))
    if kept is None:
        raise Invalid(Problem("template_id", f"there is no template {template_id}"))
    return dict(kept)


async def _rule_problems(conn: AsyncConnection, rule: object) -> list[Problem]:
    if rule is None:
        return []
    try:
        await check_rule(conn, rule)
    except Invalid as error:
        return [Problem(f"rule.{one.path}".rstrip("."), one.message) for one in error.problems]
    return []


def known_channel(name: str) -> list[Problem]:
    """A problem where there is no such channel."""
    known = sorted(channel.name for channel in channels())
    return [] if name in known else [Problem("channel", f"unknown channel {name!r}; there are: {', '.join(known)}")]


async def _exists(conn: AsyncConnection, table: Table, path: str, ids: Sequence[int | None]) -> list[Problem]:
    wanted = {id_ for id_ in ids if id_ is not None}
    found = set((await conn.execute(select(table.c.id).where(table.c.id.in_(wanted)))).scalars()) if wanted else set()
    return [Problem(path, f"there is no {table.name[:-1]} {id_}") for id_ in sorted(wanted - found)]


async def _publish_name(conn: AsyncConnection, campaign_id: int, name: str) -> None:
    """Rules and timelines name campaigns from a table of the room below."""
    values = {"name": name, "name_folded": fold(name)}
    statement = upsert(campaign_names).values(campaign_id=campaign_id, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["campaign_id"], set_=values))
    await _note_named(conn, campaign_id)


async def _note_named(conn: AsyncConnection, campaign_id: int) -> None:
    """Others tell events of drafts too; a draft has no messages."""
    await note_changed(conn, "events", select(events.c.customer_id).where(events.c.campaign_id == campaign_id))
