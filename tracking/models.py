"""Tables of the ledger: what went to whom, and the facts that came of it."""

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
    SmallInteger,
    Table,
    Text,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from runtime.database import LOCAL, PERSON, REFERENCE, folded_text, metadata

Instant = DateTime(timezone=True)

messages = Table(
    "messages",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("step", SmallInteger, primary_key=True, autoincrement=False, server_default=text("0")),
    Column("campaign_id", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("address", Text),
    Column("batch", Integer),  # NULL: born skipped
    Column("variant", SmallInteger),  # of an experiment's test; NULL: of the rest, or there is none
    Column("state", Text, nullable=False),  # tracking.states.State
    Column("reason", Text),  # why skipped; the server's words where failed or bounced
    Column("provider_id", Text),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("not_before", Instant),
    Column("doubted_at", Instant),  # its answer did not come then
    Column("put_off_at", Instant),  # not tried then, since its domain wanted a pause
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("sent_at", Instant),
    Column("delivered_at", Instant),
    Column("failed_at", Instant),  # failed or bounced
    Column("opened_at", Instant),  # first by a person
    Column("clicked_at", Instant),
    Column("unsubscribed_at", Instant),
    Column("complained_at", Instant),
    Column("opens", Integer, nullable=False, server_default=text("0")),  # by people
    Column("clicks", Integer, nullable=False, server_default=text("0")),
    Column("machine_opened_at", Instant),
    Column("machine_clicked_at", Instant),
    # No index knows of the state, and each page has room for what becomes of its messages: a result is written beside
    # what it replaces, and no index hears of it.
    Index("ix_messages_batch", "run_id", "batch"),
    Index("ix_messages_doubted_at", "doubted_at", postgresql_where=text("doubted_at IS NOT NULL")),
    Index("ix_messages_campaign_id_customer_id", "campaign_id", "customer_id"),
    Index("ix_messages_sent_at_crossing", "sent_at", postgresql_using="brin"),  # rows of a run stand together
    # After a merge a message whose like the survivor has stays with the old id, and so do its events.
    info={**PERSON, "merge": "stay"},
    postgresql_with={"fillfactor": 55},
)

events = Table(  # append-only; one row a fact, whatever the number of callbacks
    "events",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, primary_key=True),  # the provider's time
    Column("key", UUID, primary_key=True),  # hash of the provider's event id
    *folded_text("kind", nullable=False),
    Column("channel", Text),
    Column("campaign_id", BigInteger),
    Column("run_id", BigInteger),
    Column("step", SmallInteger),
    *folded_text("link"),
    Column("value", Numeric(18, 4)),
    Column("machine", Boolean, nullable=False, server_default=false()),
    Column("machine_reason", Text),
    Column("attributes", JSONB, nullable=False, server_default=text("'{}'")),  # raw facts: user agent, SMTP reply …
    Column("attributes_folded", JSONB, nullable=False, server_default=text("'{}'")),  # of those that others told
    Column("recorded_at", Instant, nullable=False, server_default=func.now()),
    Index("ix_events_campaign_id_at", "campaign_id", "at"),
    Index("ix_events_at_crossing", "at", postgresql_using="brin"),
    Index("ix_events_came_back", "at", postgresql_where=text("kind IN ('bounced', 'complained')")),
    postgresql_partition_by="RANGE (at)",
    info={**PERSON, "stays_with": ("messages", ("run_id", "step"))},
)

# What events that were put away (tracking/retention.py) had said: folds add it to what events say.
past_folds = Table(  # of a message
    "past_folds",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("step", SmallInteger, primary_key=True, autoincrement=False),
    Column("opens", Integer, nullable=False),
    Column("clicks", Integer, nullable=False),
    *(
        Column(name, Instant)
        for name in ("opened_at", "clicked_at", "machine_opened_at", "machine_clicked_at", "last_opened_at")
    ),
    Column("last_clicked_at", Instant),
    info={**PERSON, "stays_with": ("messages", ("run_id", "step"))},
)

past_clicks = Table(  # on each link of a message
    "past_clicks",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("step", SmallInteger, primary_key=True, autoincrement=False),
    Column("link", Text, primary_key=True),
    Column("campaign_id", BigInteger, nullable=False, index=True),
    Column("clicks", Integer, nullable=False),  # by people
    Column("machine_clicks", Integer, nullable=False),
    info={**PERSON, "stays_with": ("messages", ("run_id", "step"))},
)

past_hours = Table(  # of a campaign, by people
    "past_hours",
    metadata,
    Column("campaign_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, primary_key=True),  # when the hour begins
    Column("opened", Integer, nullable=False),
    Column("clicked", Integer, nullable=False),
    info=REFERENCE,
)

past_agents = Table(  # what people read a campaign on
    "past_agents",
    metadata,
    Column("campaign_id", BigInteger, primary_key=True, autoincrement=False),
    Column("agent", Text, primary_key=True),
    Column("people", Integer, nullable=False),
    info=REFERENCE,
)

archive_codes = Table(  # by what archived files call a person; without it nobody can tell whom their lines are about
    "archive_codes",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("code", UUID, primary_key=True, server_default=func.gen_random_uuid()),  # after a merge one has several
    info=PERSON,
)

archive_files = Table(  # how far each was written when what it holds left the database
    "archive_files",
    metadata,
    Column("path", Text, primary_key=True),
    Column("month", Text, nullable=False),  # "2026-11"
    Column("bytes", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("finished_at", Instant),
    info=LOCAL,
)

second_looks = Table(  # messages at which somebody must look again (rejudging.py); hardly ever a row, and not for long
    "second_looks",
    metadata,
    Column("customer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("run_id", BigInteger, nullable=False),
    Column("step", SmallInteger, nullable=False),
    Column("since", Instant, nullable=False),  # the first of what was noticed
    Column("machine", Boolean, nullable=False),  # may have been at work
    Column("earlier", Boolean, nullable=False),  # than what the person's score knew of
    info={**PERSON, "stays_with": ("messages", ("run_id", "step"))},
)

campaign_names = Table(  # by name, for rules and timelines; written by campaigns/, read by whoever shows a message
    "campaign_names",
    metadata,
    Column("campaign_id", BigInteger, primary_key=True, autoincrement=False),
    *folded_text("name", nullable=False),
    info=REFERENCE,
)

link_tables = Table(  # of each approved content: where click n goes
    "link_tables",
    metadata,
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("links", JSONB, nullable=False),  # list of URL templates, in the order of their index
    Column("fields", JSONB, nullable=False, server_default=text("'[]'")),
    info=REFERENCE,
)

tallies = Table(  # what each commit of results did to a run's counts, for who watches; of the last hour (tallies.py)
    "tallies",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("run_id", BigInteger, nullable=False),
    Column("at", Instant, nullable=False, server_default=text("clock_timestamp()")),
    Column("xid", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    Column("results", JSONB, nullable=False),  # [[domain, state, answer, n, last answer], …]
    Index("ix_tallies_xid", "xid"),
    Index("ix_tallies_at_crossing", "at", postgresql_using="brin"),
    info=LOCAL,
)

return_mailboxes = Table(  # how far each was read (return_mailbox.py)
    "return_mailboxes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("validity", BigInteger, nullable=False),  # of the UIDs; another: the mailbox was made anew
    Column("uid", BigInteger, nullable=False),  # read up to here
    Column("held_by", Text),  # by the process that reads it now
    Column("held_until", Instant),
    Column("read", BigInteger, nullable=False, server_default=text("0")),  # mails, ever
    Column("read_at", Instant),  # last visit that came to its end
    Column("trouble", Text),  # why the last one did not
    Column("trouble_at", Instant),
    info=LOCAL,
)

stray_returns = Table(  # mails and reports that came back and name no message of ours; the newest of 30 days
    "stray_returns",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # the same however often it comes
    Column("at", Instant, nullable=False, server_default=func.now()),
    Column("door", Text, nullable=False),  # mail, imap, or the provider
    Column("kind", Text, nullable=False),
    Column("recipient", Text, nullable=False, server_default=text("''")),
    Column("words", Text, nullable=False, server_default=text("''")),
    info={**LOCAL, "traces": ("recipient", "words")},
)
