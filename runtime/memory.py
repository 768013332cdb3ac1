"""Large pieces of memory go back to the system when they are let go."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3  # of mallopt(3)
_LARGE = 1 << 18  # bytes


def give_back_large() -> None:
    """From now on, in this process. Otherwise glibc keeps what megabytes at a time came and went in, and by and by all
    of it is taken. Elsewhere than on glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
