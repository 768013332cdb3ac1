"""What a benchmark stands on: a throw-away cluster with a durable server's settings, a mail sink, people. All of it is
stopped and gone at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Unavailable
from runtime.house import House, open_house
from runtime.postgres import DURABLE, Server
from runtime.settings import load_settings

SECRET = "a secret for benchmarks that is long enough"
_PATIENCE = 20.0  # seconds


@contextmanager
def mail_sink() -> Iterator[int]:
    """The port of Postfix's smtp-sink on loopback, which takes everything and keeps nothing."""
    program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        raise Unavailable("smtp-sink is not installed; it comes with Debian's package postfix")
    port = free_port()
    account = ["-u", "root"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, *account, f"127.0.0.1:{port}", "1000"], stdin=subprocess.DEVNULL)
    try:
        wait_for_port(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(_PATIENCE)


@asynccontextmanager
async def throwaway_house(smtp_url: str) -> AsyncIterator[House]:
    """A house over a database of its own, whose commits are on the disk as in earnest."""
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder, Server(Path(folder), DURABLE) as url:
        environ = {
            "HEARTH_DATABASE_URL": url,
            "HEARTH_DATA_DIR": folder,
            "HEARTH_SECRET_KEY": SECRET,
            "HEARTH_SMTP_URL": smtp_url,
            "HEARTH_MAIL_FROM": "Shop <news@shop.example>",
            "HEARTH_PUBLIC_URL": "https://mail.shop.example",
        }
        async with open_house(load_settings(environ, env_file=Path(folder, "none.env")), upgrade=True) as house:
            yield house


async def settle_people(conn: AsyncConnection, count: int) -> None:
    """`count` customers as the reference mail wants them: three appliances and a salesperson each, all reachable."""
    for statement in _PEOPLE:
        await conn.execute(text(statement), {"count": count} if ":count" in statement else {})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise Unavailable(f"smtp-sink does not listen on port {port}")


_PEOPLE = (
    "INSERT INTO communities (code, name) SELECT 'k' || n, '曲江花园 ' || n || ' 期' FROM generate_series(0, 7) n",
    """
    INSERT INTO salespeople (code, name, phone)
    SELECT 's' || n, '李' || n, '+8613800' || to_char(n, 'FM000000') FROM generate_series(0, 9) n
    """,
    """
    INSERT INTO customers (external_id, name, name_folded, email, email_folded, city, city_folded, community,
                           salesperson, created_at)
    SELECT 'c' || n, '王小' || n, '王小' || n, 'c' || n || '@example.com', 'c' || n || '@example.com', '西安', '西安',
           'k' || n % 8, 's' || n % 10, now() FROM generate_series(1, :count) n
    """,
    "INSERT INTO activity (customer_id) SELECT id FROM customers",
    """
    INSERT INTO contact_addresses (customer_id, kind, value, is_primary)
    SELECT id, 'email', email, true FROM customers
    """,
    """
    INSERT INTO standing_consents (customer_id, channel, purpose, granted, at, source, source_folded)
    SELECT id, 'email', 'marketing', true, now(), 'bench', 'bench' FROM customers
    """,
    """
    INSERT INTO appliances (customer_id, number, category, category_folded, brand, brand_folded, model, model_folded,
                            installed_on)
    SELECT id, kind || id, kind, kind, brand, brand, model, lower(model), DATE '2012-05-01' + CAST(id % 3000 AS integer)
    FROM customers, (VALUES ('空调', '格力', 'KFR-35GW'), ('冰箱', '海尔', 'BCD-520'), ('洗衣机', '小天鹅', 'TG100'))
         AS own(kind, brand, model)
    """,
    "ANALYZE customers, activity, contact_addresses, standing_consents, appliances",
)
