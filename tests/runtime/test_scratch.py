"""Folders for a while: nothing is left of them, whatever becomes of their process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.errors import Unavailable
from runtime.scratch import scratch

_HOLDER = """
from runtime.scratch import scratch
with scratch("copy") as folder:
    (folder / "file").write_bytes(bytes(1000))
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def holder(room: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with a folder."""
    environ = os.environ | {"TMPDIR": str(room)}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_gone_at_the_end() -> None:
    with scratch("copy") as folder:
        (folder / "file").write_text("something")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_of_a_killed_process_gone_with_the_next(room: Path) -> None:
    with holder(room) as (process, folder):
        process.kill()
        process.wait()
        assert (folder / "file").exists()
        with scratch("copy") as ours:
            assert list(ours.parent.iterdir()) == [ours]


def test_of_a_living_process_stays(room: Path) -> None:
    with holder(room) as (process, folder):
        with scratch("copy") as ours:
            assert (folder / "file").exists()
            assert ours.parent == folder.parent
        process.communicate("\n")
        assert process.returncode == 0
    assert not folder.exists()


def test_not_where_somebody_else_leads(room: Path) -> None:
    (room / "elsewhere").mkdir()
    (room / f"hearth-{os.geteuid()}").symlink_to(room / "elsewhere")
    with pytest.raises(Unavailable, match="set TMPDIR"), scratch("copy"):
        pass
