"""The embedded server: shared, killed, left behind, hidden in closed folders; and clear words when it cannot start."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.account import Account
from runtime.cluster import DATABASE, DURABLE
from runtime.errors import Unavailable
from runtime.postgres import THROWAWAY, Server, embedded
from tests.waiting import until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends an account to the server")


def ask(url: str, question: str = "SELECT 1") -> object:
    with psycopg.connect(url) as conn:
        cursor = conn.execute(question)
        row = cursor.fetchone() if question.startswith(("SELECT", "SHOW")) else None
    return row[0] if row else None


def gone(pid: int) -> bool:
    """Whether a process has ended (nobody may have asked for its status yet)."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def postmaster(server: Server) -> int:
    return int((server.cluster.data / "postmaster.pid").read_text().splitlines()[0])


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Path]:
    """A data directory; a server that a failed test left there is stopped."""
    yield tmp_path / "var"
    with Server(tmp_path / "var", THROWAWAY):
        pass


def test_server_is_tuned_durable_and_reached_by_socket_only(at: Path) -> None:
    with Server(at, DURABLE) as url:
        wanted = {
            "fsync": "on",
            "synchronous_commit": "on",
            "listen_addresses": "",
            "jit": "off",
            "random_page_cost": "1.1",
        }
        assert {name: ask(url, f"SHOW {name}") for name in wanted} == wanted
        assert ask(url, "SHOW server_version_num") >= "180000"
        assert ask(url, "SELECT lower('ÄÖ') || (U&'\\4F60' < U&'\\597D')") == "äötrue"


async def test_last_one_to_leave_stops_it(at: Path) -> None:
    first, second = Server(at, THROWAWAY), Server(at, THROWAWAY)
    first.join()
    second.join()
    pid = postmaster(first)
    first.leave()
    assert second.alive()
    assert ask(second.url) == 1
    second.leave()
    assert not second.alive()
    await until(lambda: gone(pid))


def test_many_starters_at_once(at: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import psycopg; from runtime.postgres import *\n"
        "for _ in range(3):\n"
        "    with Server(Path(sys.argv[1]), THROWAWAY) as url: psycopg.connect(url).execute('SELECT 1')\n"
    )
    starters = [subprocess.Popen([sys.executable, "-c", script, str(at)]) for _ in range(5)]
    assert [starter.wait(90) for starter in starters] == [0] * 5
    assert not Server(at, THROWAWAY).alive()


async def test_killed_server_comes_back_while_in_use(at: Path) -> None:
    server = Server(at, THROWAWAY)
    async with embedded(at, {**THROWAWAY, "synchronous_commit": "on"}) as url:
        ask(url, "CREATE TABLE t AS SELECT 7 AS n")
        for _ in range(3):
            killed = postmaster(server)
            os.kill(killed, signal.SIGKILL)
            await until(lambda killed=killed: server.alive() and postmaster(server) != killed)
            await until(lambda: server.cluster._refusal() is None)
            assert ask(url, "SELECT n FROM t") == 7
    assert not server.alive()


@pytest.mark.parametrize("pid", [os.getpid(), 1, 4_000_000], ids=["ours", "init", "nobody's"])
def test_stale_pid_file_stops_nobody(at: Path, pid: int) -> None:
    server = Server(at, THROWAWAY)
    with server:
        file = server.cluster.data / "postmaster.pid"
        lines = file.read_text().splitlines()
    file.write_text("\n".join([str(pid), *lines[1:]]) + "\n")
    lock = server.cluster.sockets / ".s.PGSQL.5432.lock"
    lock.write_text("\n".join([str(pid), *lines[1:5]]) + "\n")
    for path in (file, lock):
        os.chown(path, server.cluster.account.uid, server.cluster.account.gid)
    assert not server.alive()
    with server as url:
        assert ask(url) == 1


def test_server_left_by_a_killed_command_is_taken_over(at: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from runtime.postgres import *\n"
        "Server(Path(sys.argv[1]), THROWAWAY).join(); print('up', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(at)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        holder.kill()
    server = Server(at, THROWAWAY)
    left = postmaster(server)
    with server as url:
        assert ask(url) == 1
        assert postmaster(server) == left
    assert not server.alive()


def test_creation_that_was_killed_is_begun_anew(at: Path) -> None:
    server = Server(at, THROWAWAY)
    half = server.cluster.home / "new.1.1"
    half.mkdir(parents=True, mode=0o700)
    server.cluster.home.chmod(0o700)
    (half / "PG_VERSION").write_text("18\n")
    with server as url:
        assert ask(url) == 1
    assert not half.exists()


def test_long_and_odd_paths(tmp_path: Path) -> None:
    at = tmp_path / ("deep " * 20) / "ä,b" / ("x" * 60)
    server = Server(at, THROWAWAY)
    with server as url:
        assert ask(url) == 1
        assert len(os.fsencode(server.cluster.sockets)) < 80
        assert server.cluster.sockets.stat().st_mode & 0o777 == 0o700
    server.cluster.sockets.rmdir()


@needs_root
@pytest.mark.parametrize("mask", [0o000, 0o077], ids=["readable", "private"])
def test_root_runs_it_from_closed_folders_without_opening_them(tmp_path: Path, mask: int) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = Server(closed / "var", THROWAWAY)
    server.cluster.programs = _copied_programs(server.cluster.programs, closed, mask)
    with server as url:
        assert ask(url) == 1
        status = Path(f"/proc/{postmaster(server)}/status").read_text().splitlines()
        uids = next(line.split()[1:] for line in status if line.startswith("Uid:"))
        assert set(uids) == {str(server.cluster.account.uid)}
        assert uids[0] != "0"
    assert closed.stat().st_mode & 0o777 == 0o700


def _copied_programs(programs: Path, into: Path, mask: int) -> Path:
    package = programs.parent.parent
    for tree in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(tree, into / tree.name, ignore=shutil.ignore_patterns("pginstall1[0-7]", "include", "*.a"))
    for path in into.rglob("*"):
        path.chmod(path.stat().st_mode & 0o777 & ~mask)
    return into / package.name / "pginstall18/bin"


@needs_root
def test_in_open_folders_the_server_has_no_capability() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = Server(Path(folder) / "var", THROWAWAY)
        parents = [*server.cluster.home.parents, *server.cluster.programs.parents]
        if not all(parent.stat().st_mode & 0o001 for parent in parents if parent.exists()):
            pytest.skip("a parent folder of this machine's temporary files or of the programs is closed")
        with server:
            status = Path(f"/proc/{postmaster(server)}/status").read_text()
        assert "CapEff:\t0000000000000000" in status


def test_unprivileged_user_runs_it_as_themselves(tmp_path: Path) -> None:
    server = Server(tmp_path / "var", THROWAWAY)
    mine = dataclasses.replace(server.cluster.account, uid=os.geteuid(), gid=os.getegid())
    assert not mine.other
    assert Account(os.geteuid() + 1, os.getegid()).other


def test_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(Unavailable, match=r"HEARTH_DATA_DIR.*var"):
        Server(tmp_path / "var", THROWAWAY).join()


def test_cause_and_log_of_a_failed_start_are_named(tmp_path: Path) -> None:
    server = Server(tmp_path / "var", {**THROWAWAY, "shared_buffers": "1kB"})
    with pytest.raises(Unavailable, match=r"shared_buffers.*server\.log"):
        server.join()
    with Server(tmp_path / "var", THROWAWAY) as url:
        assert ask(url) == 1


def test_cluster_of_another_version_is_refused(at: Path) -> None:
    server = Server(at, THROWAWAY)
    with server:
        pass
    version = server.cluster.data / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(Unavailable, match="PostgreSQL 17"):
        server.join()
    version.write_text("18\n")


def test_folder_open_to_others_is_refused(at: Path) -> None:
    server = Server(at, THROWAWAY)
    with server:
        pass
    server.cluster.home.chmod(0o755)
    with pytest.raises(Unavailable, match="0700"):
        server.join()
    server.cluster.home.chmod(0o700)


def test_database_of_an_interrupted_first_start_is_made(at: Path) -> None:
    server = Server(at, THROWAWAY)
    with server:
        with psycopg.connect(server.url_of("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {DATABASE}")
        with Server(at, THROWAWAY) as url:
            assert ask(url) == 1
