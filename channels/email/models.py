"""The demo mailbox: what the built-in mail server caught. Local to the installation and about nobody's record."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, LargeBinary, Table, Text

from runtime.database import LOCAL, metadata

mailbox = Table(
    "mailbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Index(None, "recipient"),
    Index(None, "received_at"),
    info={**LOCAL, "traces": ("recipient",)},
)
