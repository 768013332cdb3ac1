"""`make demo` at a small scale: the whole loop, a second run that changes nothing, starting over, what it refuses."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, text

from customers.models import customers
from runtime.house import open_house
from runtime.settings import Settings, load_settings
from tests.acceptance.hall import free_port

ROOT = Path(__file__).parent.parent.parent
TABLES = (
    "customers",
    "appliances",
    "orders",
    "service_visits",
    "segments",
    "campaigns",
    "messages",
    "mailbox",
    "users",
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    return {**inherited, "HEARTH_DATA_DIR": str(tmp_path / "var"), "SERVE": "no", "COLUMNS": "120"}


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return load_settings(environ)


def command() -> list[str]:
    return [sys.executable, "-m", "demo", "--households", "120", "--port", str(free_port())]


def demo(environ: dict[str, str], **changes: str) -> str:
    """What a run to its end printed."""
    done = subprocess.run(command(), cwd=ROOT, env={**environ, **changes}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def sizes(settings: Settings) -> dict[str, int]:
    counts = ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES)
    async with open_house(settings) as house, house.database.connect() as conn:
        return dict((await conn.execute(text(f"SELECT {counts}"))).mappings().one())


def figures(printed: str) -> dict[str, int]:
    """The report's lines by name."""
    lines = re.findall(r"^│ *([\w ]+?) *│ *([\d,]+) *│", printed, re.MULTILINE)
    return {name: int(count.replace(",", "")) for name, count in lines}


async def test_the_loop_once_then_again_then_anew(environ: dict[str, str], settings: Settings) -> None:
    printed = await served_and_stopped(environ)
    report = figures(printed)
    assert report["sent"] + report["skipped"] == report["audience"] > 10
    for name in ("opened", "clicked", "orders"):
        assert report[name] > 0, printed
    assert len(re.findall(r"^ +\d+ .+ S0\d\d ", printed, re.MULTILINE)) == 10, printed
    password = re.search(r"admin@demo\.example +(\S+)", printed)
    assert password is not None
    kept = settings.data_dir / "demo-login.txt"
    assert kept.read_text().strip() == password[1]
    assert kept.stat().st_mode & 0o777 == 0o600
    first = await sizes(settings)
    assert first["appliances"] == 336

    again = await asyncio.to_thread(demo, environ)
    assert figures(again) == report
    assert await sizes(settings) == first
    assert password[1] in again

    anew = await asyncio.to_thread(demo, environ, RESET="yes")
    assert figures(anew)["audience"] == report["audience"]
    assert await sizes(settings) == first


async def served_and_stopped(environ: dict[str, str]) -> str:
    """What a demo printed that served its console until it was interrupted; a second one beside it was refused."""
    process = await asyncio.create_subprocess_exec(
        *command(), cwd=ROOT, env={**environ, "SERVE": "yes"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        printed = await asyncio.wait_for(until_served(process), 240)
        found = re.search(r"Console: (http://\S+)/", printed)
        assert found is not None
        async with httpx.AsyncClient(base_url=found[1], trust_env=False) as client:
            assert (await client.get("/login")).status_code == 200
            assert "already running" in await refused(environ)
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.communicate(), 90)
            assert process.returncode == 0
            with pytest.raises(httpx.ConnectError):
                await client.get("/login")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return printed


async def until_served(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    printed = ""
    while line := (await process.stdout.readline()).decode():
        printed += line
        if "until Ctrl-C" in line:
            return printed
    raise AssertionError(printed)


async def test_it_touches_nothing_that_is_not_its_own(environ: dict[str, str], settings: Settings) -> None:
    async with open_house(settings) as house, house.database.begin() as conn:
        await conn.execute(insert(customers).values(name="somebody real"))
    before = await sizes(settings)
    for changes in ({}, {"RESET": "yes"}):
        done = await refused({**environ, **changes})
        assert "demo" in done
    assert await sizes(settings) == before


@pytest.mark.parametrize(
    ("changes", "culprit"), [({"SERVE": "perhaps"}, "SERVE"), ({"HEARTH_COUNTRY": "XX"}, "HEARTH_COUNTRY")]
)
async def test_bad_settings_are_named(environ: dict[str, str], changes: dict[str, str], culprit: str) -> None:
    assert culprit in await refused({**environ, **changes})


async def refused(environ: dict[str, str]) -> str:
    done = await asyncio.to_thread(
        subprocess.run, command(), cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return str(done.stdout)
