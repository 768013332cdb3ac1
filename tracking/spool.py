"""Facts that wait on this machine's disk while the database is away: files of lines in the data directory.

A fact that was answered stands in a file that is synced. Each process writes a file of its own and holds a lock on it,
which ends with the process: what a crashed one left behind is found by the others. A file is deleted once all of it is
in the database; should a process end before that, it is replayed again, and the keys of the events make that harmless.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from runtime.errors import Unavailable
from tracking.facts import Fact, FactKind
from tracking.ledger import MessageKey

log = logging.getLogger(__name__)

BATCH = 500  # facts that are replayed in one transaction
_WAITING, _REFUSED = ".facts", ".refused"

Write = Callable[[Sequence[Fact]], Awaitable[None]]


class Refused(Exception):
    """The database is there and does not take these facts; another time will not help."""


class Spool:
    """One a process, over a folder that processes of this machine share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._path = Path()
        self._writing = asyncio.Lock()

    async def keep(self, facts: Sequence[Fact]) -> None:
        """Returns once they are on the disk. Raises Unavailable where that does not go."""
        lines = "".join(_line(fact) for fact in facts).encode("ascii")
        async with self._writing:
            try:
                await asyncio.to_thread(self._append, lines)
            except OSError as error:
                self._set_aside()
                raise Unavailable(f"HEARTH_DATA_DIR: cannot write to {self._folder}: {error.strerror}") from error

    async def close(self) -> None:
        """What still waits is for others, or for the next process."""
        async with self._writing:
            self._set_aside()

    def anything(self) -> bool:
        """Whether facts wait in a file: of this process, or of one that may have crashed."""
        return self._folder.is_dir() and any(self._folder.glob(f"*{_WAITING}"))

    async def replay(self, write: Write) -> int:
        """Hand over what waits to `write` and delete it; how many facts that were. Raises what `write` raised, with the
        rest still waiting; what it refuses (Refused) is set aside."""
        async with self._writing:
            self._set_aside()
        count = 0
        for path in sorted(self._folder.glob(f"*{_WAITING}")):
            with _locked(path) as held:
                count += await self._replay_file(path, write) if held else 0
        return count

    async def _replay_file(self, path: Path, write: Write) -> int:
        facts = await asyncio.to_thread(_read, path)
        try:
            for start in range(0, len(facts), BATCH):
                await write(facts[start : start + BATCH])
        except Refused as error:
            log.error("the database does not take the events of %s, which are kept beside it: %s", path, error)
            await asyncio.to_thread(path.rename, path.with_suffix(_REFUSED))
            return 0
        await asyncio.to_thread(path.unlink)
        return len(facts)

    def _append(self, lines: bytes) -> None:
        if self._file is None:
            self._file = self._create()
        written = os.write(self._file, lines)
        if written < len(lines):  # the disk is full, or soon will be
            raise OSError(28, "no space left")
        os.fsync(self._file)

    def _create(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / f"{secrets.token_hex(8)}{_WAITING}"
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return file

    def _set_aside(self) -> None:
        """Leave the file that was written to for the replay; the next fact begins another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether the file is ours alone: neither written to nor replayed by another process."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path.exists()  # or another process was through with it just now
    except BlockingIOError:
        yield False
    finally:
        os.close(file)


def _line(fact: Fact) -> str:
    return json.dumps({**fact._asdict(), "key": list(fact.key), "at": fact.at.isoformat()}) + "\n"


def _read(path: Path) -> list[Fact]:
    """A line without its end was never answered: the disk or the process gave out within it."""
    *lines, _ = path.read_bytes().split(b"\n")
    return [fact for line in lines for fact in _fact(line)]


def _fact(line: bytes) -> Iterator[Fact]:
    try:
        said: dict[str, Any] = json.loads(line)
        key, at, kind = MessageKey(*said.pop("key")), datetime.fromisoformat(said.pop("at")), FactKind(said.pop("kind"))
        yield Fact(key, kind, at, **said)
    except (ValueError, TypeError, KeyError):  # half a line, and the next one behind it
        log.warning("a line of the spool cannot be read: %.80r", line)
