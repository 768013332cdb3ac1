"""Campaigns: created, launched, stopped, reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from campaigns import halt, store
from campaigns.launch import launch, resume
from campaigns.models import campaigns
from campaigns.preview import preview_campaign, preview_content
from campaigns.report import campaign_lines, campaign_record, message_records
from campaigns.states import State
from campaigns.templates import template
from campaigns.trial import send_test
from runtime.errors import Invalid, Problem
from web.access import READERS, Route
from web.api.contract import Ask, Body, Id, call
from web.api.experiments import Lift, Outcome, findings
from web.api.shapes import PAGE_QUERY, Page
from web.listing import fetch_page, read_listing

ROUTES: list[Route] = []


CONTENT = '{"subject", "mjml" | "html", "text"?}: templates with {{ customer.name }} and the like'
CONTENT_EXAMPLE = {"subject": "Dear {{ customer.name }}", "html": "<p>Your filter is due.</p>"}
SCHEDULE = (
    'null: at once; {"at": a time with its offset}; {"cron", "timezone"}; or {"anchor", "time", "timezone"}: on each'
    ' person\'s own day. An anchor is {"has"?: records, "field": a date, "where"?: a rule about the records, "after" |'
    ' "before" | "every"?: a span like P14D or P3M, 120 years at most (after and before an instant also hours like'
    ' PT6H, with "time" "*:00": at every full hour), "times"?: of every, 240 at most and 240 if'
    ' not given}; "before" may stand beside "every", which is "P1Y" for each year'
)
SCHEDULE_EXAMPLE = {
    "anchor": {"has": "orders", "field": "ordered_at", "after": "P3M"},
    "time": "09:00",
    "timezone": "Asia/Shanghai",
}
OPTIONS = (
    "rate_per_second: messages a second at most; holdout_percent: 0 to 50 get nothing, for comparison;"
    " one_per_household: true; frequency_cap, quiet_hours, service_hold: obey or ignore; recipient_local_time: true,"
    ' each when their own clock shows the time; send_time_optimisation: {"window_hours": 1 to 24}, each at their best'
    " hour; spread_over: minutes; deadline: hours after which the rest is cancelled; catch_up_hours: a time missed by"
    " more is let pass; topic: what it is about, so that who wants nothing about it is skipped;"
    ' experiment: {"variants": [{"name", "subject"?, "mjml" | "html"?, "text"?, "from"?,'
    ' "delay_minutes" | "send_at"?, "weight"?}, …], "test_percent", "winner": clicks, opens or revenue, "wait_hours",'
    ' "significance"?, "fallback"?: first or leading}'
)
OPTIONS_EXAMPLE = {
    "rate_per_second": 20,
    "experiment": {
        "variants": [{"name": "A"}, {"name": "B", "subject": "Only today"}],
        "test_percent": 20,
        "winner": "clicks",
        "wait_hours": 4,
    },
}


class Counts(BaseModel):
    """audience = queued + sending + sent + failed + skipped + cancelled + unknown; sent includes delivered, bounced."""

    audience: int
    queued: int
    sending: int
    sent: int
    delivered: int
    bounced: int
    failed: int
    skipped: int
    cancelled: int
    unknown: int
    opened: int
    clicked: int
    complained: int
    unsubscribed: int
    machine_opened: int
    machine_clicked: int


class Run(BaseModel):
    id: int
    occurrence: datetime
    state: str
    note: str | None
    error: str | None
    started_at: datetime
    frozen_at: datetime | None
    finished_at: datetime | None
    counts: Counts


class CampaignIn(BaseModel):
    """Exactly one of segment_id, audience_id, rule; exactly one of content, template_id."""

    model_config = ConfigDict(extra="allow")  # unknown fields are refused by name where the rest is checked

    name: str
    channel: str
    segment_id: int | None = None
    audience_id: int | None = None
    rule: dict[str, Any] | None = Field(default=None, description="a rule of its own, as POST /segments takes one")
    exclude_segment_ids: list[int] = []
    from_: str | None = Field(default=None, alias="from", description="Name <address>; null: HEARTH_MAIL_FROM")
    content: dict[str, Any] | None = Field(default=None, description=CONTENT, examples=[CONTENT_EXAMPLE])
    template_id: int | None = None
    schedule: dict[str, Any] | None = Field(default=None, description=SCHEDULE, examples=[SCHEDULE_EXAMPLE])
    options: dict[str, Any] | None = Field(default=None, description=OPTIONS, examples=[OPTIONS_EXAMPLE])


class Line(BaseModel):
    """A campaign in a list."""

    id: int
    name: str
    channel: str
    state: str
    pause_reason: str | None
    segment_id: int | None = None
    audience_id: int | None = None
    rule: dict[str, Any] | None = None
    exclude_segment_ids: list[int]
    from_: str | None = Field(alias="from")
    content: dict[str, Any] | None = None
    template_id: int | None = None
    schedule: dict[str, Any] | None
    options: dict[str, Any]
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    finished_at: datetime | None
    counts: Counts


class Campaign(Line):
    runs: list[Run]
    missed: list[datetime] = Field(description="due times that were let pass, for being too late")
    next_at: datetime | None
    start_error: str | None = Field(description="why the run that is due cannot be started; it is tried again")
    approval: dict[str, Any] | None
    skipped_reasons: dict[str, int]
    orders: int
    revenue: str
    tests: list[Outcome] = Field(default=[], description="of variants, one a run, the latest first (GET alone)")
    lift: Lift | None = Field(default=None, description="over those who were held out (GET alone)")


class Message(BaseModel):
    customer_id: int
    run_id: int
    step: int
    external_id: str | None
    name: str | None
    channel: str
    address: str | None
    state: str
    reason: str | None
    variant: str | None = Field(description="of an experiment, by name; of the rest what it gets, null before that")
    in_test: bool | None = Field(description="whether it tries its variant; false: of the rest; null: no experiment")
    attempts: int
    not_before: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    unsubscribed_at: datetime | None
    complained_at: datetime | None
    opens: int
    clicks: int


class PreviewIn(Body):
    customer_id: Id | None = None


class Rendered(BaseModel):
    subject: str
    html: str | None
    text: str
    warnings: list[str]
    customer_id: int | None


class TestIn(Body):
    to: str | list[str]
    customer_id: Id | None = None


@call(ROUTES, "POST", "/campaigns", name="create_campaign", body=CampaignIn, answer=Campaign, status=201)
async def create(ask: Ask) -> Any:
    """Draft a campaign."""
    body = ask.body.model_dump(by_alias=True, exclude_unset=True)
    made = await store.create_campaign(ask.conn, body, settings=ask.house.settings, by=ask.viewer.name)
    return await campaign_record(ask.conn, made)


@call(
    ROUTES,
    "GET",
    "/campaigns",
    name="list_campaigns",
    answer=Page[Line],
    allow=READERS,
    query={"state": f"only those in this state: {', '.join(State)}", **PAGE_QUERY},
)
async def listing(ask: Ask) -> Any:
    """All campaigns, by id."""
    asked = read_listing(ask.request, ("id",), default="id", limit=100)
    rows, state = store.campaign_rows(), ask.query("state")
    if state is not None:
        rows = rows.where(campaigns.c.state == _known(state))
    found = await fetch_page(ask.conn, rows, asked, {"id": campaigns.c.id}, campaigns.c.id)
    lines = await campaign_lines(ask.conn, [store.campaign_of(row) for row in found.rows])
    return {"items": lines, "next": found.next}


@call(ROUTES, "GET", "/campaigns/{id:int}", name="get_campaign", answer=Campaign, allow=READERS)
async def show(ask: Ask) -> Any:
    """One campaign with its runs and what came of it."""
    return {**await campaign_record(ask.conn, ask.id), **await findings(ask.conn, ask.id)}


@call(ROUTES, "PATCH", "/campaigns/{id:int}", name="change_campaign", body=dict[str, Any], answer=Campaign)
async def change(ask: Ask) -> Any:
    """Change what is given of a draft."""
    before = store.body_of(await store.campaign(ask.conn, ask.id))
    await store.update_campaign(ask.conn, ask.id, {**before, **ask.body}, settings=ask.house.settings)
    return await campaign_record(ask.conn, ask.id)


@call(ROUTES, "DELETE", "/campaigns/{id:int}", name="delete_campaign", status=204)
async def remove(ask: Ask) -> None:
    """Forget a draft."""
    await store.delete_campaign(ask.conn, ask.id)


@call(ROUTES, "POST", "/campaigns/{id:int}/launch", name="launch_campaign", answer=Campaign)
async def start(ask: Ask) -> Any:
    """Approve a draft and start its schedule (none: now)."""
    await launch(ask.conn, ask.id, settings=ask.house.settings, now=ask.now, by=ask.viewer.name)
    return await campaign_record(ask.conn, ask.id)


@call(ROUTES, "POST", "/campaigns/{id:int}/pause", name="pause_campaign", answer=Campaign)
async def pause(ask: Ask) -> Any:
    """Stop until resumed; what is queued stays queued."""
    await halt.pause_by_hand(ask.conn, ask.id, ask.viewer.name, now=ask.now)
    return await campaign_record(ask.conn, ask.id)


@call(ROUTES, "POST", "/campaigns/{id:int}/resume", name="resume_campaign", answer=Campaign)
async def go_on(ask: Ask) -> Any:
    """Let a paused campaign go on."""
    await resume(ask.conn, ask.id, now=ask.now)
    return await campaign_record(ask.conn, ask.id)


@call(ROUTES, "POST", "/campaigns/{id:int}/cancel", name="cancel_campaign", answer=Campaign)
async def cancel(ask: Ask) -> Any:
    """End a campaign for good; what was not handed over is cancelled."""
    await halt.cancel(ask.conn, ask.id, now=ask.now)
    return await campaign_record(ask.conn, ask.id)


@call(
    ROUTES,
    "POST",
    "/campaigns/{id:int}/test",
    name="test_campaign",
    body=TestIn,
    answer=Campaign,
    detached=True,
)
async def test(ask: Ask) -> Any:
    """Send it to one address, or a few, as a test."""
    given: TestIn = ask.body
    await send_test(ask.house, ask.id, given.to, now=ask.now, customer_id=given.customer_id)
    async with ask.house.database.connect() as conn:
        return await campaign_record(conn, ask.id)


@call(ROUTES, "POST", "/campaigns/{id:int}/preview", name="preview_campaign", body=PreviewIn, answer=Rendered)
async def preview(ask: Ask) -> Any:
    """A campaign as it would look for a customer."""
    return await preview_campaign(ask.conn, ask.id, ask.body.customer_id, settings=ask.house.settings, now=ask.now)


@call(ROUTES, "POST", "/templates/{id:int}/preview", name="preview_template", body=PreviewIn, answer=Rendered)
async def preview_template(ask: Ask) -> Any:
    """A template as it would look for a customer."""
    content = (await template(ask.conn, ask.id))["content"]
    return await preview_content(ask.conn, content, ask.body.customer_id, settings=ask.house.settings, now=ask.now)


@call(
    ROUTES,
    "GET",
    "/campaigns/{id:int}/messages",
    name="list_messages",
    answer=Page[Message],
    allow=READERS,
    query={"state": "only those in this state", **PAGE_QUERY},
)
async def messages(ask: Ask) -> Any:
    """Who got what, when, what came of it, and why not."""
    asked = read_listing(ask.request, ("id",), default="id", limit=100)
    rows, following = await message_records(
        ask.conn, ask.id, state=ask.query("state"), cursor=asked.cursor, limit=asked.limit
    )
    return {"items": rows, "next": following}


def _known(state: str) -> State:
    if state not in tuple(State):
        raise Invalid(Problem("state", f"unknown state {state!r}: one of {', '.join(State)}"))
    return State(state)
