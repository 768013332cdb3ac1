"""Folders for what is needed for a while: gone when they are let go, and when their process was killed, as soon as the
next one is made on the same machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from runtime.errors import Unavailable


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """An empty folder of its own. The system holds a lock on it for us, and lets go of it however we end."""
    home = _home()
    with ExitStack() as held:
        with _locked(home):
            _sweep(home)
            folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=home))
            held.enter_context(_locked(folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _home() -> Path:
    """Where all of this user's are. Raises Unavailable where somebody else made it."""
    home = Path(tempfile.gettempdir(), f"hearth-{os.geteuid()}")
    home.mkdir(mode=0o700, exist_ok=True)
    if home.lstat().st_uid != os.geteuid() or home.is_symlink():
        raise Unavailable(f"{home} is somebody else's; remove it, or set TMPDIR to another folder")
    return home


def _sweep(home: Path) -> None:
    """Take away the folders that nobody holds."""
    for folder in home.iterdir():
        with suppress(OSError), _locked(folder, fcntl.LOCK_NB):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, patience: int = 0) -> Iterator[None]:
    """Raises BlockingIOError with LOCK_NB where another one holds it."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | patience)
        yield
    finally:
        os.close(opened)
