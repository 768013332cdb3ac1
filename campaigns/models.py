"""Tables of templates, campaigns, their approved snapshots, runs and schedule."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Integer,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from runtime.database import LOCAL, REFERENCE, metadata

Instant = DateTime(timezone=True)

templates = Table(
    "templates",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("channel", Text, nullable=False),
    Column("content", JSONB, nullable=False),  # {"subject", "html" | "mjml", "text"?}
    Column("created_by", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    info=REFERENCE,
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("segment_id", BigInteger, ForeignKey("segments.id")),
    Column("audience_id", BigInteger, ForeignKey("audiences.id")),
    Column("rule", JSONB),
    Column("exclude_segment_ids", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    Column("sender", Text),  # From; NULL: HEARTH_MAIL_FROM
    Column("content", JSONB),
    Column("template_id", BigInteger, ForeignKey("templates.id")),
    Column("schedule", JSONB),  # null: now; {"at"}, {"cron", "timezone"}, {"anchor", "time", "timezone"}
    Column("options", JSONB, nullable=False, server_default=text("'{}'")),
    Column("state", Text, nullable=False, server_default="draft"),
    Column("pause_reason", Text),
    Column("alarm", Text),  # what campaigns.sending.judge found, short of a pause
    Column("judged_from", JSONB),  # the evidence when the campaign last went on after a pause, and when that was (`at`)
    Column("snapshot_id", BigInteger),
    Column("created_by", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    Column("launched_at", Instant),
    Column("finished_at", Instant),
    info=REFERENCE,
)

snapshots = Table(  # what was approved; runs read this and nothing else
    "snapshots",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False),
    Column("compiled", JSONB, nullable=False),
    Column("variants", JSONB),  # of an experiment: [{"name", "compiled", "sender"}], NULL without one
    Column("sender", Text, nullable=False),
    Column("audience", JSONB, nullable=False),  # the rules as they stood, nested segments written out
    Column("options", JSONB, nullable=False),
    Column("report", JSONB, nullable=False, server_default=text("'{}'")),  # what approval found
    Column("approved_by", Text),
    Column("approved_at", Instant, nullable=False, server_default=func.now()),
    info=REFERENCE,
)

runs = Table(
    "runs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("snapshot_id", BigInteger, ForeignKey("snapshots.id"), nullable=False),
    Column("occurrence", Instant, nullable=False),
    Column("state", Text, nullable=False, server_default="preparing"),  # campaigns.states.RunState
    Column("rank", SmallInteger, nullable=False, server_default=text("0")),  # campaigns.ranks.Rank
    Column("batches", Integer, nullable=False, server_default=text("0")),
    Column("people", Integer),  # its audience, once it is frozen; NULL: not counted
    Column("error", Text),  # why it failed
    Column("note", Text),  # what people should know meanwhile: nobody to write to, waiting for the mail server
    Column("started_at", Instant, nullable=False, server_default=func.now()),
    Column("frozen_at", Instant),
    Column("frozen_snapshot", Text),  # pg_snapshot: what is not visible in it was not judged by the freeze
    Column("finished_at", Instant),
    UniqueConstraint("campaign_id", "occurrence"),
    info=REFERENCE,
)

experiments = Table(  # of each run that tests variants: what became of the test
    "experiments",
    metadata,
    Column("run_id", BigInteger, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("state", Text, nullable=False),  # testing decided stopped
    Column("held_from", Integer, nullable=False),  # the batch from which on all are of the rest
    Column("due_at", Instant, nullable=False),  # when it is decided, or looked at again
    Column("winner", SmallInteger),  # the variant's number
    Column("how", Text),  # campaigns.experiments.verdict.How
    Column("decided_at", Instant),
    Column("decided_by", Text),  # NULL: by the numbers
    Column("numbers", JSONB),  # what was known then
    info=REFERENCE,
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("cron", Text),  # NULL: once
    Column("timezone", Text, nullable=False),
    Column("next_at", Instant, index=True),  # NULL: nothing more to come
    Column("starts_at", Instant),  # when its run starts; NULL: then
    Column("active", Boolean, nullable=False, server_default=false()),
    Column("error", Text),  # why the due run could not be started so far; NULL: it could
    Column("tries", Integer, nullable=False, server_default=text("0")),  # of those, in a row
    Column("retry_at", Instant),  # when it is tried again
    info=LOCAL,
)

occurrences = Table(  # each due time exactly once, whoever led at the moment
    "occurrences",
    metadata,
    Column("schedule_id", BigInteger, ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True),
    Column("occurrence_utc", Instant, primary_key=True),
    Column("term", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # started missed
    Column("run_id", BigInteger),
    info=LOCAL,
)

buckets = Table(  # when the next message of a campaign, from a sender or to a domain may go, whoever sends it
    "buckets",
    metadata,
    Column("kind", Text, primary_key=True),  # campaigns.dispatch.buckets.Kind
    Column("name", Text, primary_key=True),
    Column("next_at", Instant, nullable=False),  # by the database's clock
    info=LOCAL,
)

sending_limits = Table(  # of senders (an address or a domain) and of recipient domains; NULL: none, or the default
    "sending_limits",
    metadata,
    Column("kind", Text, primary_key=True),  # sender domain
    Column("name", Text, primary_key=True),
    Column("rate", Float),  # messages a second
    Column("connections", Integer),  # handing over at once; domains only
    Column("warm_up", JSONB),  # campaigns.sending.warmup; senders only
    Column("updated_by", Text),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    info=REFERENCE,
)

sender_days = Table(  # of senders with a warm-up plan: how many messages were let go
    "sender_days",
    metadata,
    Column("name", Text, primary_key=True),
    Column("day", Date, primary_key=True),  # of the workspace
    Column("taken", Integer, nullable=False),
    info=LOCAL,
)

held_domains = Table(  # recipient domains that asked for a pause, until they take messages again
    "held_domains",
    metadata,
    Column("name", Text, primary_key=True),
    Column("level", Integer, nullable=False),  # pauses in a row
    Column("held_until", Instant, nullable=False),
    Column("answer", Text, nullable=False),
    Column("answered_at", Instant, nullable=False),
    info=LOCAL,
)

contact_rules = Table(  # of the workspace, one row at most (campaigns/respect/rules.py)
    "contact_rules",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("frequency_caps", JSONB, nullable=False),  # {"all" | channel: {"day" | "week" | "month": at most}}
    Column("quiet_hours", JSONB, nullable=False),  # {channel: [{"from", "to", "days"?}]}
    Column("holdout_percent", Float, nullable=False),
    Column("service_hold_days", Integer, nullable=False),  # 0: an open service case holds nothing back
    Column("updated_by", Text),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    CheckConstraint("id = 1", name="one_row"),
    info=REFERENCE,
)

attribution_rules = Table(  # of the workspace, one row at most (campaigns/windows.py)
    "attribution_rules",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("click_days", Integer, nullable=False),
    Column("open_days", Integer, nullable=False),
    Column("costs", JSONB, nullable=False),  # {channel: "0.0500"}, of one message
    Column("updated_by", Text),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    CheckConstraint("id = 1", name="one_row"),
    info=REFERENCE,
)

campaign_costs = Table(
    "campaign_costs",
    metadata,
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("fixed", Numeric(18, 4), nullable=False, server_default=text("0")),
    Column("per_message", Numeric(18, 4)),  # NULL: as its channel
    Column("updated_by", Text),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    info=REFERENCE,
)

campaign_figures = Table(  # the report of a large campaign as it stood at `counted_at` (campaigns/figures.py)
    "campaign_figures",
    metadata,
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("counted_at", Instant, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("figures", JSONB, nullable=False),
    info=REFERENCE,
)

overview_figures = Table(  # the workspace at a glance as it stood at `counted_at` (campaigns/workspace.py): one row
    "overview_figures",
    metadata,
    Column("name", Text, primary_key=True),
    Column("counted_at", Instant, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("figures", JSONB, nullable=False),
    info=REFERENCE,
)

report_schedules = Table(  # who gets the programme's report by mail, and how often (web/report_mails.py)
    "report_schedules",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("every", Text, nullable=False),  # week month
    Column("sent_for", Date),  # the first day of the period that was told last
    Column("created_by", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    CheckConstraint("every IN ('week', 'month')", name="every"),
    info=LOCAL,
)
