"""Tables of segments and uploaded audiences."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from runtime.database import PERSON, REFERENCE, metadata

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
