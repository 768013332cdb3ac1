"""When a recipient domain asks for a pause, and how long it gets one. Pure."""

from __future__ import annotations

import random
import re

from channels.contract import ChannelError, Verdict

PATIENCE = 5  # temporary refusals in a row before nothing more goes there for a time
FIRST = 60.0  # seconds of the first pause; each further one is twice as long
LONGEST = 3_600.0
JITTER = 0.2  # share by which a pause is longer or shorter, so that workers do not come back all at once
HEEDED = 6 * 3_600.0  # seconds that a server may ask for

# A server that does not know us yet wants to see the same message again later; others may try meanwhile.
_GREYLISTING = re.compile(r"gr[ae]y[\s-]?list", re.IGNORECASE)


def asks_for_a_pause(error: ChannelError) -> bool:
    """Whether a refusal speaks for its whole domain: temporary, said once the recipient was named, and neither
    greylisting nor about one mailbox (4.1.x, 4.2.x)."""
    if error.verdict is not Verdict.RETRY or not error.about_recipient or error.code is None:
        return False
    if error.code == 421:
        return True
    if _GREYLISTING.search(error.text):
        return False
    if error.status is not None:
        return not error.status.startswith(("4.1.", "4.2."))
    return error.code != 450


def pause_of(level: int, asked: float | None, rng: random.Random) -> float:
    """Seconds of the `level`-th pause in a row (from 1). What the server asked for itself is at least kept."""
    if asked is not None:
        return min(asked, HEEDED) * rng.uniform(1.0, 1.0 + JITTER)
    pause = min(FIRST * 2.0 ** min(level - 1, 30), LONGEST)
    return pause * rng.uniform(1.0 - JITTER, 1.0 + JITTER)
