"""Reading in a process of its own, so that it keeps no one else from running: batches come back through a pipe.

    python -m customers.imports.child     the task as JSON on stdin; on stdout frames (a length, then marshal)

The process ends with its task, or as soon as nobody reads what it writes.
"""

from __future__ import annotations

import gc
import json
import marshal
import os
import signal
import subprocess
import sys
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

from customers.imports.batches import Batch, Reader, Task
from customers.imports.cells import Row
from customers.imports.drafts import Draft
from customers.imports.mapping import Entry, FileMapping
from customers.imports.sheets import Sheet
from customers.imports.source import Source
from customers.imports.units import Refusal
from customers.values import Context
from runtime.errors import Invalid, Problem, TooLarge, Unavailable
from runtime.memory import give_back_large
from runtime.registry import Kind

_LENGTH = 8
_PATIENCE = 10.0  # seconds, for a process that has nothing left to do


class RemoteReader:
    """A Reader whose work is done by another process. All methods block."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._process: subprocess.Popen[bytes] | None = None
        self.place = 0

    def open(self) -> list[str]:
        """The header. Raises what Reader.open raises."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "customers.imports.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        self._process.stdin.write(_told(self._task))
        self._process.stdin.close()
        return list(self._receive())

    def next(self) -> Batch | None:
        packed = self._receive()
        if packed is None:
            return None
        batch = _unpacked(packed)
        self.place = batch.place
        return batch

    def abandon(self) -> None:
        """Nothing more is wanted: whoever waits for a batch is told that none comes."""
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        self.abandon()
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.wait(_PATIENCE)
            self._process.stdout.close()

    def _receive(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout
        head = pipe.read(_LENGTH)
        frame = pipe.read(int.from_bytes(head)) if len(head) == _LENGTH else b""
        if not frame or len(frame) < int.from_bytes(head):
            raise _ended(self._process.wait(_PATIENCE))
        kind, content = marshal.loads(frame)  # noqa: S302 -- from our own child
        if kind == "invalid":
            raise Invalid([Problem(*each) for each in content])
        if kind == "too large":
            raise TooLarge(content)
        return content


def _ended(status: int) -> Exception:
    """Why no more batches come: who was stopped may be started again, a fault of our own would only repeat itself."""
    if status <= 0:
        return Unavailable("the process that reads the file was stopped before its time; import the file again")
    return RuntimeError(f"the process that reads the file ended with status {status}; its words are in the log")


def _told(task: Task) -> bytes:
    told = {
        "path": str(task.source.path),
        "name": task.source.name,
        "kind": task.kind,
        "mapping": None if task.mapping is None else asdict(task.mapping),
        "zone": str(task.context.zone),
        "country": task.context.country,
        "skip": task.skip,
        "moment": task.moment,
        "attribute_kinds": {key: kind.value for key, kind in task.attribute_kinds.items()},
    }
    return json.dumps(told).encode()


def _heard(told: dict[str, Any]) -> Task:
    mapping = told["mapping"]
    if mapping is not None:
        for part in ("columns", "items"):
            mapping[part] = {target: Entry(**entry) for target, entry in mapping[part].items()}
    return Task(
        source=Source(Path(told["path"]), told["name"]),
        kind=told["kind"],
        mapping=None if mapping is None else FileMapping(**mapping),
        context=Context(ZoneInfo(told["zone"]), told["country"]),
        skip=told["skip"],
        moment=told["moment"],
        attribute_kinds={key: Kind(kind) for key, kind in told["attribute_kinds"].items()},
    )


def _packed(batch: Batch) -> tuple[Any, ...]:
    refusals = [(each.line, each.column, each.reason, list(each.cells)) for each in batch.refusals]
    groups = [[(row.line, list(row.cells)) for row in rows] for rows in batch.groups]
    if batch.draft is None:
        return batch.units, batch.rows, batch.place, refusals, groups, None
    sheets = [tuple(vars(sheet).values()) for sheet in batch.draft.sheets]
    draft = (*vars(replace(batch.draft, sheets=[])).values(), sheets)
    return batch.units, batch.rows, batch.place, refusals, groups, draft


def _unpacked(packed: tuple[Any, ...]) -> Batch:
    units, rows, place, refusals, groups, draft = packed
    return Batch(
        units,
        rows,
        place,
        refusals=[Refusal(*each) for each in refusals],
        groups=[[Row(*row) for row in rows] for rows in groups],
        draft=None if draft is None else _draft(draft),
    )


def _draft(packed: tuple[Any, ...]) -> Draft:
    *draft, sheets = packed
    return replace(Draft(*draft), sheets=[Sheet(*sheet) for sheet in sheets])


def _write(pipe: IO[bytes], kind: str, content: Any) -> None:
    frame = marshal.dumps((kind, content))
    pipe.write(len(frame).to_bytes(_LENGTH))
    pipe.write(frame)
    pipe.flush()


def _sent(pipe: IO[bytes], batch: Batch | None) -> bool:
    """Whether there was one. It is held no longer than that: the next one takes as much memory."""
    if batch is not None:
        _write(pipe, "batch", _packed(batch))
    return batch is not None


def main() -> None:
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints, prints elsewhere
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # by way of what clears up
    reader = Reader(_heard(json.load(sys.stdin)))
    give_back_large()
    gc.disable()  # what a task leaves in circles ends with it
    try:
        _write(pipe, "header", reader.open())
        while _sent(pipe, reader.next()):
            pass
        _write(pipe, "end", None)
    except Invalid as error:
        _write(pipe, "invalid", [astuple(problem) for problem in error.problems])
    except TooLarge as error:
        _write(pipe, "too large", str(error))
    except BrokenPipeError:
        pass  # nobody wants to know any more
    finally:
        reader.close()
    os._exit(0)  # what is left in the pipe's buffer cannot be written


if __name__ == "__main__":
    main()
