"""Tables of the records. What is about a person is keyed by `customer_id` first; lookups map a value to its person."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from runtime.database import LOCAL, LOOKUP, PERSON, REFERENCE, folded_text, metadata

Instant = DateTime(timezone=True)
Money = Numeric(18, 4)


def crossing_index(table: str, column: str) -> Index:
    """For finding whom the passing of time concerns (segments/crossing.py): rows whose time lies between two."""
    return Index(f"ix_{table}_{column}_crossing", column, postgresql_where=text(f"{column} IS NOT NULL"))


def person_column() -> Column[Any]:
    """The first column of every table about a person."""
    return Column("customer_id", BigInteger, primary_key=True, autoincrement=False)


customers = Table(
    "customers",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("external_id", Text),
    *folded_text("name"),
    *folded_text("email"),  # the primary contact address, kept equal to contact_addresses
    *folded_text("phone"),
    *folded_text("gender"),
    *folded_text("city"),
    *folded_text("district"),
    *folded_text("address"),
    *folded_text("platform"),
    *folded_text("language"),
    *folded_text("timezone"),
    Column("birthday", Date),
    Column("household_size", Integer),
    Column("household_id", BigInteger),
    Column("community", Text),  # its code, as of the next two
    Column("dealer", Text),
    Column("salesperson", Text),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("tags_folded", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("attributes", JSONB, nullable=False, server_default=text("'{}'")),
    Column("attributes_folded", JSONB, nullable=False, server_default=text("'{}'")),
    Column("merged_into", BigInteger),  # set: this id lives on only as an alias of the other
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    Index("ix_customers_city_folded_id", "city_folded", "id", postgresql_where=text("merged_into IS NULL")),
    Index("ix_customers_merged_into", "merged_into", "id", postgresql_where=text("merged_into IS NOT NULL")),
    # Of those who have one: a file without them should not pay for it.
    Index("ix_customers_salesperson_given", "salesperson", postgresql_where=text("salesperson IS NOT NULL")),
    Index("ix_customers_community_given", "community", postgresql_where=text("community IS NOT NULL")),
    Index("ix_customers_name_folded", "name_folded", postgresql_ops={"name_folded": "text_pattern_ops"}),
    Index(  # looked through from end to end for a part of an address, in an eighth of the table's size
        "ix_customers_address_folded",
        "address_folded",
        postgresql_where=text("merged_into IS NULL AND address_folded IS NOT NULL"),
    ),
    Index("ix_customers_tags_folded", "tags_folded", postgresql_using="gin"),
    crossing_index("customers", "created_at"),
    crossing_index("customers", "birthday"),  # and whose day it is (campaigns/anchors.py)
    info=PERSON,
)

attribute_definitions = Table(
    "attribute_definitions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # runtime.registry.Kind: text number date instant yes_no list
    info=REFERENCE,
)

identities = Table(
    "identities",
    metadata,
    Column("kind", Text, primary_key=True),  # external_id, email, wechat, wecom, whatsapp, telegram …
    Column("value", Text, primary_key=True),  # normalised: e-mail lower-cased, others as given
    Column("customer_id", BigInteger, nullable=False, index=True),
    info=LOOKUP,
)

record_numbers = Table(
    "record_numbers",
    metadata,
    Column("kind", Text, primary_key=True),  # order, appliance, serial, service_visit, provider_message:<provider>
    Column("value", Text, primary_key=True),
    Column("customer_id", BigInteger, nullable=False, index=True),
    info=LOOKUP,
)

contact_addresses = Table(
    "contact_addresses",
    metadata,
    person_column(),
    Column("kind", Text, primary_key=True),  # email, phone, wechat … (runtime.registry.ChannelKind.address_kind)
    Column("value", Text, primary_key=True),  # normalised: e-mail lower-cased, phone E.164
    Column("is_primary", Boolean, nullable=False, server_default=false()),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    # Not unique: a couple may share a phone. A hash is half as large as a tree and filled in half the time. Many values
    # are looked up by a join: each row found by ANY would be compared with the whole list.
    Index("ix_contact_addresses_value", "value", postgresql_using="hash"),
    info=PERSON,
)

households = Table(
    "households",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # community code + folded address
    Column("community", Text),
    Column("address", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    info=LOOKUP,
)


def coded(name: str, *columns: Column[Any]) -> Table:
    """A set-up table whose rows others name by `code`; an unknown code is created by code alone."""
    return Table(
        name,
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("code", Text, nullable=False, unique=True),
        Column("name", Text),
        *columns,
        Column("created_at", Instant, nullable=False, server_default=func.now()),
        Column("updated_at", Instant, nullable=False, server_default=func.now()),
        info=REFERENCE,
    )


communities = coded("communities", Column("city", Text), Column("district", Text), Column("address", Text))
dealers = coded("dealers", Column("phone", Text), Column("city", Text))
salespeople = coded(
    "salespeople",
    Column("phone", Text),
    Column("email", Text),
    Column("dealer", Text),
    Column("active", Boolean, nullable=False, server_default=text("true")),
)
products = coded(
    "products",
    Column("category", Text),
    Column("brand", Text),
    Column("model", Text),
    Column("price", Money),
    Column("cost", Money),
)

appliance_categories = Table(
    "appliance_categories",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_zh", Text),
    Column("service_years", Numeric(5, 2)),  # default service life, editable; sources disagree
    Column("source", Text),
    info=REFERENCE,
)

orders = Table(
    "orders",
    metadata,
    person_column(),
    Column("number", Text, primary_key=True),
    *folded_text("platform"),
    Column("status", Text, nullable=False),  # completed cancelled refunded partly_refunded pending
    Column("ordered_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("amount", Money, nullable=False),
    Column("refunded", Money, nullable=False, server_default=text("0")),
    Column("margin", Money),  # over the items whose cost is known; NULL where none is
    Column("items_count", Integer, nullable=False, server_default=text("0")),
    Column("digest", LargeBinary),  # of its items as given: equal ones are not written again
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('completed', 'cancelled', 'refunded', 'partly_refunded', 'pending')", name="status"),
    Index("ix_orders_ordered_at", "ordered_at"),
    crossing_index("orders", "delivered_at"),
    Index(  # what rules count and sum, in the order of customers: grouped without the table, and without sorting
        "ix_orders_customer_id_ordered_at",
        "customer_id",
        "ordered_at",
        postgresql_include=["status", "amount", "refunded"],
    ),
    info=PERSON,
)

order_items = Table(
    "order_items",
    metadata,
    person_column(),
    Column("order_number", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("sku", Text),
    *folded_text("name"),
    *folded_text("brand"),
    *folded_text("category"),
    Column("quantity", Numeric(18, 4), nullable=False, server_default=text("1")),
    Column("price", Money, nullable=False, server_default=text("0")),
    Column("amount", Money, nullable=False, server_default=text("0")),
    Column("cost", Money),  # of one piece
    # Of the order, kept here so that a rule over items reads one table; items are replaced with their order as a set.
    *folded_text("platform"),
    Column("status", Text, nullable=False),
    Column("ordered_at", Instant, nullable=False),
    info=PERSON,
)

appliances = Table(
    "appliances",
    metadata,
    person_column(),
    Column("number", Text, primary_key=True),  # own number, else the serial, else made from what is known
    Column("serial", Text),
    *folded_text("category"),
    *folded_text("brand"),
    *folded_text("model"),
    *folded_text("source"),
    Column("status", Text, nullable=False, server_default="in_use"),
    Column("power_watts", Numeric(12, 2)),
    Column("repairs_count", Integer, nullable=False, server_default=text("0")),
    Column("purchased_on", Date),
    Column("installed_on", Date),
    Column("warranty_until", Date),
    Column("expires_on", Date),  # installed, else purchased, + the category's service life
    Column("next_consumable_due_on", Date),
    Column("order_number", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('in_use', 'replaced', 'disposed')", name="status"),
    Index("ix_appliances_kind", "category_folded", "brand_folded", "installed_on", "customer_id"),  # whose, by itself
    *(
        crossing_index("appliances", name)
        for name in ("purchased_on", "installed_on", "warranty_until", "expires_on", "next_consumable_due_on")
    ),
    info=PERSON,
)

service_visits = Table(
    "service_visits",
    metadata,
    person_column(),
    Column("number", Text, primary_key=True),
    *folded_text("kind"),  # installation repair maintenance complaint …
    *folded_text("status"),  # requested scheduled completed cancelled …
    *folded_text("provider"),
    Column("requested_at", Instant),
    Column("visited_at", Instant),
    Column("completed_at", Instant),
    Column("satisfaction", Numeric(4, 2)),
    Column("cost", Money),
    Column("appliance_number", Text),
    Column("note", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    *(crossing_index("service_visits", name) for name in ("requested_at", "visited_at", "completed_at")),
    info=PERSON,
)

ratings = Table(  # answers to surveys, one row an answer: all are kept, the last one of a person counts
    "ratings",
    metadata,
    person_column(),
    Column("at", Instant, primary_key=True),
    Column("key", UUID, primary_key=True),
    Column("survey", Text, nullable=False),  # customers.surveys.SURVEYS
    Column("score", SmallInteger, nullable=False),
    Column("counts", Boolean, nullable=False, server_default=false()),  # a fold: a person's last answer to the message
    *folded_text("comment"),
    Column("commented_at", Instant),
    Column("how", Text, nullable=False),  # customers.ratings.How
    Column("machine_reason", Text),  # NULL: a person
    Column("user_agent", Text),
    Column("recipient", BigInteger, nullable=False),  # the message that asked, by the id to which it went
    Column("run_id", BigInteger, nullable=False),
    Column("step", SmallInteger, nullable=False),
    Column("campaign_id", BigInteger),
    Column("channel", Text),
    Column("about", Text),  # service_visits orders appliances, and the record's number: what was rated
    Column("about_number", Text),
    *folded_text("provider"),  # as these were then
    *folded_text("category"),
    Column("salesperson", Text),
    crossing_index("ratings", "at"),
    Index("ix_ratings_survey_at", "survey", "at", text("((customer_id::text || ':'::text) || key::text)")),
    info=PERSON,
)

consents = Table(  # the ledger: append-only
    "consents",
    metadata,
    person_column(),
    Column("channel", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("granted", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("text_version", Text),
    Column("proof", JSONB),
    Column("recorded_at", Instant, nullable=False, server_default=func.now()),
    info=PERSON,
)

standing_consents = Table(  # the ledger's last word per channel and purpose
    "standing_consents",
    metadata,
    person_column(),
    Column("channel", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("granted", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
    *folded_text("source"),
    info=PERSON,
)


def lifted() -> list[Column[Any]]:
    """Who ended a suppression by hand, at `expires_at`, and why."""
    return [Column("lifted_by", Text), Column("lift_note", Text)]


suppressions = Table(  # who must not be contacted whatever they consented to
    "suppressions",
    metadata,
    person_column(),
    Column("channel", Text, primary_key=True),
    Column("reason", Text, primary_key=True),  # unsubscribed bounced complained manual
    Column("address", Text),  # where it was about an address
    Column("at", Instant, nullable=False, server_default=func.now()),
    Column("expires_at", Instant),
    Column("detail", Text),
    *lifted(),
    crossing_index("suppressions", "expires_at"),
    # The list, the newest first, as the next index.
    Index("ix_suppressions_at", "at", text("((((customer_id::text || ':'::text) || channel) || ':'::text) || reason)")),
    info=PERSON,
)

suppressed_addresses = Table(  # addresses that nobody may be contacted at, whoever holds them
    "suppressed_addresses",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False, server_default=func.now()),
    Column("expires_at", Instant),
    Column("detail", Text),
    *lifted(),
    crossing_index("suppressed_addresses", "expires_at"),
    Index("ix_suppressed_addresses_at", "at", text("((kind || ':'::text) || value)")),
    info=LOOKUP,
)

erased = Table(  # keyed hashes of the identities of erased people: they block re-import
    "erased",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("at", Instant, nullable=False, server_default=func.now()),
    info=LOOKUP,
)

activity = Table(  # folds of facts, one row a customer, made with the customer; rebuilt by `hearth db recount`
    "activity",
    metadata,
    person_column(),
    Column("last_contacted_at", Instant),
    Column("last_opened_at", Instant),
    Column("last_clicked_at", Instant),
    Column("last_replied_at", Instant),
    Column("engaged_until", Instant),  # when the engagement score will have fallen to 1 (customers/engagement.py)
    Column("orders_count", Integer, nullable=False, server_default=text("0")),
    Column("total_spent", Money, nullable=False, server_default=text("0")),
    Column("average_order_value", Money),
    Column("gross_margin", Money),
    Column("first_order_at", Instant),
    Column("last_order_at", Instant),
    Column("order_gap_days", Numeric(12, 4)),  # mean pause between purchases, of those who bought more than once
    Column("next_order_expected_at", Instant),  # the last order + that pause
    Column("last_rating", SmallInteger),  # of the last CSAT survey that they answered, 1 to 5
    Column("last_rated_at", Instant),  # the last survey of any kind
    Column("nps_group", Text),  # by their last answer: promoter passive detractor
    Column("chance_active", Numeric(5, 3)),  # of those who bought more than once (customers/chances.py)
    Column("orders_expected", Numeric(8, 2)),  # purchases within a year
    Column("rfm_recency", SmallInteger),
    Column("rfm_frequency", SmallInteger),
    Column("rfm_monetary", SmallInteger),
    # Not of what every message moves (last_contacted_at …): those updates are many, and stay within their page.
    *(
        crossing_index("activity", name)
        for name in ("first_order_at", "last_order_at", "next_order_expected_at", "last_rated_at", "engaged_until")
    ),
    info=PERSON,
    postgresql_with={"fillfactor": 80},
)

imports = Table(
    "imports",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),  # customers orders appliances service_visits audience
    Column("filename", Text, nullable=False),
    Column("mapping", JSONB),
    Column("dry_run", Boolean, nullable=False, server_default=false()),
    Column("state", Text, nullable=False, server_default="queued"),  # draft queued running done failed
    Column("bytes_total", BigInteger),
    Column("bytes_read", BigInteger, nullable=False, server_default=text("0")),
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("accepted", BigInteger, nullable=False, server_default=text("0")),
    Column("rejected", BigInteger, nullable=False, server_default=text("0")),
    Column("created", BigInteger, nullable=False, server_default=text("0")),
    Column("updated", BigInteger, nullable=False, server_default=text("0")),
    Column("unchanged", BigInteger, nullable=False, server_default=text("0")),
    Column("units", BigInteger, nullable=False, server_default=text("0")),  # records dealt with: where to go on
    Column("header", JSONB),  # the columns of the file
    Column("error", Text),
    Column("created_by", Text),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    info=LOCAL,
)

import_chunks = Table(  # the uploaded file, in the database because web and worker may be different machines
    "import_chunks",
    metadata,
    Column("import_id", BigInteger, ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("bytes", LargeBinary, nullable=False),
    info=LOCAL,
)

import_rejects = Table(
    "import_rejects",
    metadata,
    Column("import_id", BigInteger, ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("line", BigInteger, nullable=False),
    Column("column", Text),
    Column("kind", Text),  # of an audience's line: unmatched ambiguous duplicate
    Column("reason", Text, nullable=False),
    Column("cells", JSONB, nullable=False),  # the line as it was read
    info=LOCAL,
)

changed_customers = Table(  # who changed since segments last looked (customers/changes.py); purged once they have
    "changed_customers",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("sources", ARRAY(Text), nullable=False),
    Column("ids", ARRAY(BigInteger)),  # of a batch; NULL: everyone
    Column("noted_at", Instant, nullable=False, server_default=func.clock_timestamp()),
    # By which a reader knows what its last look could not see yet (pg_visible_in_snapshot).
    Column(
        "transaction",
        BigInteger,
        nullable=False,
        server_default=text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)"),
    ),
    Index("ix_changed_customers_transaction", "transaction"),
    info=LOCAL,
)

# What people wish for, and how they sign up.
topics = Table(  # what campaigns can be about; a person's word on one is in the consent ledger
    "topics",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_zh", Text),
    Column("position", SmallInteger, nullable=False, server_default=text("0")),
    Column("offered", Boolean, nullable=False, server_default=true()),  # false: shown to nobody any more
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    info=REFERENCE,
)

frequency_wishes = Table(  # how often at most somebody wants to be written to
    "frequency_wishes",
    metadata,
    person_column(),
    Column("most", SmallInteger, nullable=False),
    Column("period", Text, nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("most > 0", name="most"),
    CheckConstraint("period IN ('day', 'week', 'month')", name="period"),
    info=PERSON,
)

signup_forms = Table(
    "signup_forms",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("slug", Text, nullable=False, unique=True),  # of its address
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_zh", Text),
    Column("fields", ARRAY(Text), nullable=False),  # asked for beside the address
    Column("topics", ARRAY(Text), nullable=False),
    Column("version", Integer, nullable=False),  # of the consent text that is shown
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("created_by", Text),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    info=REFERENCE,
)

consent_texts = Table(  # every wording to which somebody may have agreed; never changed
    "consent_texts",
    metadata,
    Column("form_id", BigInteger, ForeignKey("signup_forms.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("text_zh", Text),
    Column("at", Instant, nullable=False),
    info=REFERENCE,
)

signups = Table(  # one row an address and form: pending until confirmed by the link that went to the address
    "signups",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("form_id", BigInteger, primary_key=True),
    Column("customer_id", BigInteger),  # once confirmed
    Column("asked_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("answers", JSONB, nullable=False),
    Column("topics", ARRAY(Text), nullable=False),
    Column("version", Integer, nullable=False),
    Column("language", Text),
    Column("proof", JSONB, nullable=False),  # of the asking: keyed hash of the network address, browser
    Index("ix_signups_form_id_confirmed_at", "form_id", "confirmed_at"),
    Index("ix_signups_customer_id", "customer_id", postgresql_where=text("customer_id IS NOT NULL")),
    info=LOOKUP,
)

signup_turns = Table(  # when a mailbox (as a keyed hash) was last sent a confirmation
    "signup_turns",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("at", Instant, nullable=False),
    info=LOOKUP,
)

growth_figures = Table(  # of many orders, as they stood at `counted_at` (customers/base.py)
    "growth_figures",
    metadata,
    Column("days", Integer, primary_key=True, autoincrement=False),  # that an order keeps its customer active
    Column("counted_at", Instant, nullable=False),
    Column("figures", JSONB, nullable=False),
    info=REFERENCE,
)
