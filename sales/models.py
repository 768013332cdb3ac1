"""Tables of salesperson scores and follow-ups."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from runtime.database import LOCAL, PERSON, REFERENCE, metadata

Instant = DateTime(timezone=True)

score_weights = Table(  # settable per workspace; a part without a row has its default
    "score_weights",
    metadata,
    Column("part", Text, primary_key=True),  # sales.facts.PARTS
    Column("weight", Numeric(6, 3), nullable=False),
    Column("target", Numeric(18, 4), nullable=False),  # the value that earns full points
    info=REFERENCE,
)

closed_months = Table(  # measures of months that are over, so that nobody counts them again (sales/months.py)
    "closed_months",
    metadata,
    Column("period", Text, primary_key=True),  # 2026-11
    Column("salesperson", Text, primary_key=True),
    Column("measures", JSONB, nullable=False),
    Column("measured_at", Instant, nullable=False),
    info=REFERENCE,
)

follow_up_rules = Table(  # what the workspace says; a ready-made rule without a row is as sales/ready_made.py has it
    "follow_up_rules",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("rule", JSONB, nullable=False),  # who (RULES.md)
    Column("signal", JSONB, nullable=False),  # sales.rules.Signal
    Column("advice", Text, nullable=False, server_default=""),  # what to say
    Column("value", Numeric(18, 4), nullable=False),
    Column("due_hours", Integer, nullable=False),
    Column("cool_down_days", Integer, nullable=False),
    Column("at_once", Boolean, nullable=False, server_default=text("false")),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    info=REFERENCE,
)

follow_up_capacity = Table(  # how many new follow-ups a day
    "follow_up_capacity",
    metadata,
    Column("salesperson", Text, primary_key=True),  # a code; '' is whoever has no row
    Column("daily", Integer, nullable=False),
    info=REFERENCE,
)

follow_up_states = Table(  # what was seen of the changed customers, when all were looked at; until when whom was told
    "follow_up_states",
    metadata,
    Column("name", Text, primary_key=True),
    Column("snapshot", Text),
    Column("swept_at", Instant),
    info=LOCAL,
)

follow_ups = Table(
    "follow_ups",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("rule", Text, nullable=False),  # the code of a rule
    Column("salesperson", Text, nullable=False),  # whose household it is; once closed: was
    Column("state", Text, nullable=False, server_default="open"),  # open done expired
    Column("evidence", JSONB, nullable=False),  # sales/signals.py: what happened, with the records' keys
    Column("value", Numeric(18, 4), nullable=False),
    Column("due_hours", Integer, nullable=False),
    Column("at_once", Boolean, nullable=False, server_default=text("false")),
    Column("signal_at", Instant, nullable=False),  # the last thing that speaks for it
    Column("opened_at", Instant, nullable=False),
    Column("given_at", Instant),  # NULL: waits for a day with room
    Column("due_at", Instant),
    Column("escalated_at", Instant),
    Column("outcome", Text),  # sales.outcomes.OUTCOMES
    Column("note", Text),
    Column("closed_at", Instant),
    Column("closed_by", Text),
    Index("ix_follow_ups_id", "id"),
    Index("ix_follow_ups_open", "salesperson", postgresql_where=text("state = 'open'")),
    Index("ix_follow_ups_given_at", "given_at"),
    Index("uq_follow_ups_open", "customer_id", "rule", unique=True, postgresql_where=text("state = 'open'")),
    info=PERSON,
)
