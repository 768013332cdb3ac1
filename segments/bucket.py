"""A customer's permanent bucket of 10,000, in SQL and in Python.

The first 8 bytes of SHA-256 of `<prefix><customer id>` as a big-endian number, modulo 10,000. Each purpose has its own
prefix (`rule:`, `holdout:`, `experiment:<id>:`, `batch:<run id>:`), so that purposes are independent of each other.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, LargeBinary, Text, cast, func, literal
from sqlalchemy.dialects.postgresql import BIT

BUCKETS = 10_000
RULE = "rule:"


def bucket(prefix: str, customer_id: int, buckets: int = BUCKETS) -> int:
    """The bucket of a customer, 0 to `buckets` − 1."""
    return int.from_bytes(hashlib.sha256(f"{prefix}{customer_id}".encode()).digest()[:8]) % buckets


def bucket_sql(prefix: str, customer_id: ColumnElement[int], buckets: int = BUCKETS) -> ColumnElement[int]:
    """The same over a column of customer ids, for `buckets` < 2³¹."""
    name = literal(prefix, Text).concat(cast(customer_id, Text))
    digest = func.sha256(func.convert_to(name, "UTF8"), type_=LargeBinary)
    hexadecimal = literal("x", Text).concat(func.encode(func.substring(digest, 1, 8), "hex"))
    signed: ColumnElement[Any] = cast(cast(hexadecimal, BIT(64)), BigInteger)
    # Eight bytes read as signed; with the sign bit turned they are the unsigned number less 2⁶³, whatever the sign was.
    turned = signed.bitwise_xor(literal(-(2**63), BigInteger))
    rest: ColumnElement[Any] = func.mod(turned, buckets, type_=BigInteger)
    return cast(func.mod(rest + (buckets + 2**63 % buckets), buckets), Integer)


def bucket_within(prefix: str, customer_id: ColumnElement[int], low: int, high: int) -> ColumnElement[bool]:
    """Whether the bucket is from `low` to `high`, the hash taken once (BETWEEN would take it twice)."""
    return func.mod(bucket_sql(prefix, customer_id) + (BUCKETS - low), BUCKETS, type_=Integer) <= high - low
