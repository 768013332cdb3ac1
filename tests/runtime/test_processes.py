"""`hearth up` and its children as real processes: kept alive, stopped together, leaving nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import hearth
from runtime.postgres import Server
from tests.waiting import until

SECONDS = 120.0  # every process imports the whole house, on a machine that may be busy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".env").write_text("HEARTH_SMTP_URL=smtp://127.0.0.1:9\n")
    return tmp_path


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


other_port = port


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    return subprocess.Popen(
        [sys.executable, hearth.__file__, *arguments],
        cwd=folder, env=environ, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def up(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    process = command(folder, "up", "--port", str(port), "--json")
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate(timeout=SECONDS)


def children(parent: int) -> dict[str, int]:
    """The children of `hearth up` by name."""
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            ppid = int(re.search(r"PPid:\t(\d+)", (entry / "status").read_text())[1])  # type: ignore[index]
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if ppid == parent and len(words) > 2 and words[1] == hearth.__file__:
            found[words[2]] = int(entry.name)
    return found


def running(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def greets(port: int) -> bool:
    """Whether a mail server says hello."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4) == b"220 "
    except OSError:
        return False


async def test_up_keeps_its_children_and_stops_gracefully(folder: Path, port: int, other_port: int) -> None:
    with (folder / ".env").open("a") as env:
        env.write(f"HEARTH_RETURN_PATH=bounces.example.com\nHEARTH_RETURNS_LISTEN=smtp://127.0.0.1:{other_port}\n")
    up = command(folder, "up", "--port", str(port), "--json")
    try:
        await _is_kept(up, port, other_port, folder)
    finally:
        if up.poll() is None:
            up.terminate()
        up.communicate(timeout=SECONDS)


async def _is_kept(up: subprocess.Popen[str], port: int, returns: int, folder: Path) -> None:
    await until(lambda: answers(port) and greets(returns), SECONDS)
    await until(lambda: set(children(up.pid)) == {"web", "worker", "scheduler", "returns"}, SECONDS)
    killed = children(up.pid)
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    await until(
        lambda: set(children(up.pid)) == set(killed) and not set(children(up.pid).values()) & set(killed.values())
    )
    await until(lambda: answers(port) and greets(returns), SECONDS)
    up.terminate()
    out, err = up.communicate(timeout=SECONDS)
    assert (up.returncode, json.loads(out)) == (0, {"state": "stopped"})
    assert "starting it again" in err
    assert "Traceback" not in err
    assert not Server(folder / "var").alive()


async def test_nothing_outlives_a_killed_supervisor(up: subprocess.Popen[str], port: int, folder: Path) -> None:
    await until(lambda: answers(port), SECONDS)
    left = children(up.pid)
    assert left
    up.kill()
    await until(lambda: not any(running(pid) for pid in left.values()), SECONDS)
    await until(lambda: not Server(folder / "var").alive(), SECONDS)


def test_busy_port_ends_up_with_one_clear_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        process = command(folder, "up", "--port", str(busy.getsockname()[1]))
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, ""), err
    assert "choose another --port" in err
    assert "Traceback" not in err


def lease(url: str) -> tuple[int, int]:
    """The leader's process id and its term; zeros before the first."""
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT holder, term FROM leases WHERE expires_at > now()").fetchone()
    return (int(row[0].split(":")[1]), row[1]) if row else (0, 0)


async def test_standby_leads_within_ten_seconds_of_a_freeze(folder: Path, database_url: str) -> None:
    (folder / ".env").write_text(f"HEARTH_DATABASE_URL={database_url}\nHEARTH_SECRET_KEY=0123456789abcdef\n")
    both = [command(folder, "scheduler") for _ in range(2)]
    try:
        await until(lambda: lease(database_url)[0] or any(process.poll() for process in both), SECONDS)
        assert [process.poll() for process in both] == [None, None]
        frozen, _ = lease(database_url)
        standby = next(process for process in both if process.pid != frozen)
        await until(lambda: _has_connected(standby.pid, database_url), SECONDS)
        os.kill(frozen, signal.SIGSTOP)
        await until(lambda: lease(database_url) == (standby.pid, 2), 10)
        os.kill(frozen, signal.SIGCONT)
        standby.terminate()
        standby.communicate(timeout=SECONDS)
        await until(lambda: lease(database_url) == (frozen, 3), 10)
    finally:
        for process in both:
            process.terminate()
            process.communicate(timeout=SECONDS)


def _has_connected(pid: int, url: str) -> bool:
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", [f"hearth {pid}"]).fetchone()
    return row is not None


@pytest.mark.parametrize("name", ["web", "worker", "scheduler", "up"])
def test_bad_setting_is_one_line(folder: Path, name: str) -> None:
    (folder / ".env").write_text("HEARTH_TIMEZONE=Mars\n")
    process = command(folder, name)
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, "")
    assert err == "hearth: HEARTH_TIMEZONE: 'Mars' is not a zone like Asia/Shanghai\n"


def test_database_that_is_down_is_one_line(folder: Path) -> None:
    (folder / ".env").write_text(
        "HEARTH_DATABASE_URL=postgresql://u@127.0.0.1:9/x\nHEARTH_SECRET_KEY=0123456789abcdef\n"
    )
    process = command(folder, "db", "check", "--json")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (1, "")
    assert "HEARTH_DATABASE_URL" in json.loads(out)["error"]
