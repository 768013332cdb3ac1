"""Tables of the ground floor: who leads, and what the whole workspace shares."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from runtime.database import LOCAL, REFERENCE, metadata

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("term", BigInteger, nullable=False),  # grows by one with every change of hands
    Column("expires_at", DateTime(timezone=True), nullable=False),  # by the database's clock
    info=LOCAL,
)

workspace = Table(  # facts about the installation: the fingerprint of its secret …
    "workspace",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
    info=REFERENCE,
)
