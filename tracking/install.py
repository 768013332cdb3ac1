"""What this room tells the others: messages and events as sources of segment rules and parts of the timeline."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, func, select

from customers.fields import as_text
from customers.timeline import contribute, entry, newest
from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.models import workspace
from runtime.registry import Field, Kind, Source, fields, register_source, text_fields
from runtime.scheduler import tick
from runtime.workspace import put
from tracking.models import campaign_names, events, messages
from tracking.partitions import make_ahead
from tracking.recount import fold_missing_scores
from tracking.rejudging import look_again
from tracking.retention import horizon, put_away
from tracking.tallies import forget_tallies

log = logging.getLogger(__name__)

_SCORES_FADE_SINCE = "scores_fade_since"


def install() -> None:
    """Register the records of this room; called once a process, harmless when repeated."""
    register_source(_messages())
    register_source(_events())
    contribute("messages", _message_entries, {"message"})
    contribute("events", _event_entries)


@tick(every=timedelta(hours=6))
async def make_partitions_ahead(house: House, term: Term, now: datetime) -> None:
    """Months of events are there before they begin."""
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await make_ahead(conn, now)


@job("tracking.put_events_away")
async def put_events_away_job(house: House) -> None:
    """As the settings say; one run at a time, and another comes."""
    if house.settings.events_months is None:
        return
    before = horizon(utc_now(), house.settings.events_months)
    left = await put_away(
        house.database, before, house.settings.events_archive, going=lambda: not house.stopping.is_set()
    )
    if count := sum(month.events for month in left):
        log.info("%s events from before %s were put away", f"{count:,}", f"{before:%Y-%m}")


@tick(every=timedelta(hours=6))
async def put_old_events_away(house: House, term: Term, now: datetime) -> None:
    """Where the settings say so."""
    if house.settings.events_months is None:
        return
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await defer(conn, put_events_away_job, queueing_lock=put_events_away_job.name, lock=put_events_away_job.name)


@tick(every=timedelta(minutes=5))
async def forget_old_tallies(house: House, term: Term, now: datetime) -> None:
    """Nobody watches what happened an hour ago."""
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await forget_tallies(conn, now)


@tick(every=timedelta(minutes=1))
async def look_again_at_what_was_left(house: House, term: Term, now: datetime) -> None:
    """By processes that died between noting and looking."""
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await look_again(conn)


@job("tracking.fold_missing_scores")
async def fold_missing_scores_job(house: House) -> None:
    async with house.database.begin() as conn:
        await fold_missing_scores(conn)


@tick(every=timedelta(minutes=5))
async def give_old_messages_their_scores(house: House, term: Term, now: datetime) -> None:
    """Once in a database's life: messages answered before scores faded."""
    async with house.database.begin() as conn:
        await check_term(conn, term)
        if await conn.scalar(select(workspace.c.value).where(workspace.c.key == _SCORES_FADE_SINCE)) is None:
            await put(conn, _SCORES_FADE_SINCE, now.isoformat())
            await defer(conn, fold_missing_scores_job)


def _messages() -> Source:
    return Source(
        "messages",
        messages,
        messages.c.customer_id,
        {
            **as_text(messages, "channel", "state"),
            "campaign": _campaign_field(messages),
            **fields(messages, Kind.INSTANT, "sent_at", "opened_at", "clicked_at"),
        },
    )


def _events() -> Source:
    """What machines did is left out unless a rule asks for `machine`."""
    return Source(
        "events",
        events,
        events.c.customer_id,
        {
            **text_fields(events, "kind", "link"),
            **as_text(events, "channel"),
            "campaign": _campaign_field(events),
            **fields(events, Kind.NUMBER, "value"),
            **fields(events, Kind.INSTANT, "at"),
            **fields(events, Kind.YES_NO, "machine"),
        },
        where=events.c.machine.is_(False),
        unless_asked=frozenset({"machine"}),
        attributes=events.c.attributes,
    )


def _campaign_field(table: Table) -> Field:
    return Field("campaign", Kind.TEXT, _campaign(table, "name"), _campaign(table, "name_folded"))


def _campaign(table: Table, column: str) -> ColumnElement[Any]:
    """A column of the campaign that a message or event belongs to, by its name's row."""
    own = select(campaign_names.c[column]).where(campaign_names.c.campaign_id == table.c.campaign_id)
    return own.correlate(table).scalar_subquery()


def _message_entries(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    row = messages.c
    at = func.coalesce(row.sent_at, row.failed_at, row.created_at)
    data = func.jsonb_build_object(
        *("state", row.state, "reason", row.reason, "address", row.address, "run", row.run_id),
        *("opened_at", row.opened_at, "clicked_at", row.clicked_at),
    )
    entries = entry(at, "message", data, channel=row.channel, campaign=_campaign(messages, "name"))
    mine = entries.select_from(messages).where(row.customer_id == customer_id, at <= before)
    return newest(mine, at, limit)


def _event_entries(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    row = events.c
    data = func.jsonb_build_object(
        *("link", row.link, "value", row.value, "machine", row.machine_reason, "attributes", row.attributes)
    )
    entries = entry(row.at, row.kind, data, channel=row.channel, campaign=_campaign(events, "name"))
    mine = entries.select_from(events).where(row.customer_id == customer_id, row.at <= before)
    return newest(mine, row.at, limit)
