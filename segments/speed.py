"""How the database is to run a statement that goes over all customers."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

_SETTINGS = {
    "work_mem": "64MB",  # grouping and hashing a million customers stays in memory
    "jit": "off",  # compiling costs more than such statements take
    "random_page_cost": "1.1",  # no disk that turns
    "plan_cache_mode": "force_custom_plan",  # a plan that suits any value suits none
}
_SET = "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items())


async def full_speed(conn: AsyncConnection) -> None:
    """For the rest of the transaction: memory, no compiling, look-ups at their true price, also on a server that was
    never tuned."""
    await conn.exec_driver_sql(_SET)
