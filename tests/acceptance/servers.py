"""Real servers beside Hearth: Postfix's smtp-sink, which keeps every mail, and a PostgreSQL 15 of the distribution."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.acceptance.hall import free_port

SINK = Path("/usr/sbin/smtp-sink")
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


@dataclass(frozen=True)
class Sink:
    """A mail server that accepts everything and writes each mail to a file in `folder`."""

    port: int
    folder: Path

    def mails(self) -> list[EmailMessage]:
        """All that were taken over, parsed. smtp-sink heads each file with lines on its transaction (X-…)."""
        return [
            message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=policy.default)
            for path in sorted(self.folder.iterdir())
            if path.stat().st_size
        ]


@contextmanager
def smtp_sink(folder: Path) -> Iterator[Sink]:
    port = free_port()
    folder.mkdir()
    account = ["-u", "root"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [SINK, *account, "-d", f"{folder}/mail", "-h", "sink.test", f"127.0.0.1:{port}", "200"],
        stdin=subprocess.DEVNULL,
    )
    try:
        _listening(process, port)
        yield Sink(port, folder)
    finally:
        process.terminate()
        process.wait(20)


@dataclass(frozen=True)
class Postgres15:
    """A throw-away cluster with a database, run by `postgres` where we are root."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://hearth@127.0.0.1:{self.port}/hearth"

    def start(self) -> None:
        place = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.folder}"
        options = f"{place} -c fsync=off"
        _as_owner("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", "-o", options, "start")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It neither answers nor refuses, as behind a network that is cut."""
        postmaster = (self.folder / "data" / "postmaster.pid").read_text().split()[0]
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        processes = [int(pid) for pid in (postmaster, *children)]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """At once, as a crash."""
        _as_owner("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")


@contextmanager
def postgres_15() -> Iterator[str]:
    """The address of a database on a cluster that runs."""
    with cluster_15() as cluster:
        yield cluster.url


@contextmanager
def cluster_15() -> Iterator[Postgres15]:
    """A cluster that runs, and can be stopped and started."""
    folder = Path(tempfile.mkdtemp(prefix="hearth-postgres-15-"))  # every account may pass, unlike in pytest's folders
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    cluster = Postgres15(folder, free_port())
    try:
        _as_owner(
            "initdb",
            "-D",
            f"{folder}/data",
            "-U",
            "hearth",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        cluster.start()
        try:
            _as_owner("createdb", "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "hearth", "hearth")
            yield cluster
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                cluster.stop()
    finally:
        shutil.rmtree(folder)


def _as_owner(program: str, *arguments: str) -> None:
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    command = [*user, str(POSTGRES_15 / program), *arguments]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{program}: {done.stdout} {done.stderr}"


def _listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "smtp-sink ended"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("smtp-sink does not listen")
