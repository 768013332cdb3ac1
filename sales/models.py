"""Tables of salesperson scores."""

from __future__ import annotations

from sqlalchemy import Column, Numeric, Table, Text

from runtime.database import REFERENCE, metadata

score_weights = Table(  # settable per workspace; a part without a row has its default
    "score_weights",
    metadata,
    Column("part", Text, primary_key=True),  # coverage engagement conversion margin
    Column("weight", Numeric(6, 3), nullable=False),
    Column("target", Numeric(18, 4), nullable=False),  # the value that earns full points
    info=REFERENCE,
)
