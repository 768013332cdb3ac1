"""Hearth's commands as processes that start at once: forked from one that has imported everything already.

They are what `hearth worker` is, less its second and a half of imports: for tests that kill dozens of them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

_context: list[ForkServerContext] = []


def start(environ: Mapping[str, str], log: Path, *arguments: str) -> ForkServerProcess:
    """`hearth ARGUMENTS` with no other HEARTH_ settings than those of `environ`; its output goes to `log`."""
    if not _context:
        made = multiprocessing.get_context("forkserver")
        made.set_forkserver_preload([__name__, "hearth", "campaigns.dispatch.batch", "web.app"])
        _context.append(made)
    process = _context[0].Process(target=_run, args=(dict(environ), str(log), arguments))
    process.start()
    return process


def _run(environ: dict[str, str], log: str, arguments: tuple[str, ...]) -> None:
    import hearth

    for name in [name for name in os.environ if name.startswith("HEARTH_")]:
        del os.environ[name]
    os.environ.update(environ)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["hearth", *arguments]
    hearth.main()
