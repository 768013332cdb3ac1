"""The console's own tables: users, sessions, API tokens, counted attempts, answers kept for idempotency keys."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from runtime.database import LOCAL, folded_text, metadata

ROLES = "role IN ('admin', 'marketer', 'analyst', 'salesperson')"

users = Table(
    "users",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    *folded_text("email", nullable=False),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),  # argon2
    Column("role", Text, nullable=False),
    Column("salesperson", Text),  # code of the salesperson that this user is
    Column("language", Text),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("must_change_password", Boolean, nullable=False, server_default=text("false")),
    Column("reset_sent_at", DateTime(timezone=True)),  # at most one reset mail an hour
    Column("last_login_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("email_folded"),
    CheckConstraint(ROLES, name="role"),
    info=LOCAL,
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # SHA-256 of the cookie's token
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ip", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Index(None, "user_id"),
    Index(None, "expires_at"),
    info=LOCAL,
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("role", Text, nullable=False),
    Column("salesperson", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    UniqueConstraint("token_hash"),
    CheckConstraint(ROLES, name="role"),
    info=LOCAL,
)

# Every try at something that is limited (login, reset) by what it is counted against. A success is marked, never
# deleted.
attempts = Table(
    "attempts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),  # login_account, login_ip, reset_ip
    Column("subject", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("counts", Boolean, nullable=False, server_default=text("true")),
    Index(None, "kind", "subject", "at"),
    Index(None, "at"),
    info=LOCAL,
)

KEYS_KEPT = timedelta(hours=24)

# The answer to a POST is kept so long under (token, path, key). `status` NULL: still running.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("token_id", BigInteger, ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("response", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index(None, "created_at"),
    info={**LOCAL, "traces": ("response",)},
)
