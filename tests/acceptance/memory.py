"""How much memory processes of their own have taken at most."""

from __future__ import annotations

from pathlib import Path

_KB_OF_MB = 1024


def peak_mb(pid: int) -> float:
    """The peak (VmHWM, MB) of a process; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / _KB_OF_MB for line in lines if line.startswith("VmHWM:")), 0.0)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []


class Peaks:
    """The peaks of a process and of its children, as long as they are looked at."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peaks: dict[int, float] = {}

    def look(self) -> None:
        for pid in (self._pid, *children(self._pid)):
            self._peaks[pid] = max(self._peaks.get(pid, 0.0), peak_mb(pid))

    @property
    def mb(self) -> float:
        """Their sum: no less than the most that they had together."""
        return sum(self._peaks.values())
