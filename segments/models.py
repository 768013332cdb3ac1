"""Tables of segments and uploaded audiences."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from runtime.database import LOCAL, PERSON, REFERENCE, metadata

Instant = DateTime(timezone=True)

segments = Table(
    "segments",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=False, server_default=""),
    Column("rule", JSONB, nullable=False),
    Column("count", BigInteger),  # at the last evaluation
    Column("counted_at", Instant),
    Column("holdout_percent", Float, nullable=False, server_default=text("0")),  # gets no campaign to this segment
    Column("created_by", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    info=REFERENCE,
)

audiences = Table(
    "audiences",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("import_id", BigInteger),  # of imports, which live on one node only: no foreign key
    Column("state", Text, nullable=False, server_default="queued"),  # queued running done failed
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("matched", BigInteger, nullable=False, server_default=text("0")),
    Column("unmatched", BigInteger, nullable=False, server_default=text("0")),
    Column("ambiguous", BigInteger, nullable=False, server_default=text("0")),
    Column("duplicates", BigInteger, nullable=False, server_default=text("0")),
    Column("created", BigInteger, nullable=False, server_default=text("0")),  # of those matched: made from the list
    Column("consent", JSONB),  # {"source", "text", "channels"}: unknown people are made customers with it
    Column("error", Text),
    Column("created_by", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    info=REFERENCE,
)

audience_members = Table(
    "audience_members",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("audience_id", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_audience_members_audience_id", "audience_id"),
    info=PERSON,
)

segment_members = Table(  # who belongs, as of each segment's last evaluation (segments/standing.py)
    "segment_members",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("since", Instant, nullable=False),
    Index("ix_segment_members_segment_id_customer_id", "segment_id", "customer_id"),
    info={**PERSON, "merge": "leave"},
)

segment_changes = Table(  # the feed: who entered and left. Evaluations of a segment are numbered and commit in order.
    "segment_changes",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("evaluation", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("entered", Boolean, nullable=False),  # else left
    Column("by_rule", Boolean, nullable=False, server_default=false()),  # the rule had changed, not the customer
    Index("ix_segment_changes_segment_id_evaluation_customer_id", "segment_id", "evaluation", "customer_id"),
    Index("ix_segment_changes_at", "at", postgresql_using="brin"),
    info={**PERSON, "merge": "leave"},
)

segment_sizes = Table(  # the history: one row a day of the workspace, as of its last evaluation
    "segment_sizes",
    metadata,
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("entered", BigInteger, nullable=False, server_default=text("0")),  # in the course of the day
    Column("left", BigInteger, nullable=False, server_default=text("0")),
    Column("by_rule", Boolean, nullable=False, server_default=false()),  # the rule changed that day
    info=LOCAL,
)

segment_states = Table(  # of each segment's last evaluation: what the next one begins with
    "segment_states",
    metadata,
    Column("segment_id", BigInteger, primary_key=True, autoincrement=False),
    Column("evaluation", BigInteger, nullable=False, server_default=text("0")),  # its number, 1 the first
    Column("evaluated_at", Instant),  # NULL: only tried so far
    Column("size", BigInteger, nullable=False, server_default=text("0")),
    Column("fingerprint", Text),  # of the rule written out, and of what its words meant
    Column("sources", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # what the rule asks about
    Column("moves", Text),  # as time passes: "daily", "always"; NULL: not by itself
    Column("snapshot", Text),  # pg_snapshot: which transactions it saw
    Column("milliseconds", Integer, nullable=False, server_default=text("0")),
    Column("feed_from", BigInteger, nullable=False, server_default=text("1")),  # entries before it were purged
    Column("error", Text),  # why the latest try came to nothing
    Column("tried_at", Instant, nullable=False),
    info=LOCAL,
)
