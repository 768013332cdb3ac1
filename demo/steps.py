"""What the demo says while it works: a line a step with what came of it and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status

console = Console(highlight=False)


class Step:
    """A step under way; `note` is what its line says in the end."""

    def __init__(self, title: str, status: Status) -> None:
        self.title = title
        self.note = ""
        self._status = status

    def now(self, how_far: str) -> None:
        """Say how far it is, while it is under way."""
        self._status.update(escape(f"{self.title}: {how_far}"))

    def line(self) -> str:
        return f"{self.title}: {self.note}" if self.note else self.title


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show `title` as under way, then as done; an error leaves it marked and goes on to the caller."""
    started = time.monotonic()
    status = console.status(escape(title))
    under_way = Step(title, status)
    try:
        with status:
            yield under_way
    except BaseException:
        console.print(f"[red]✗[/red] {escape(under_way.line())}", soft_wrap=True)
        raise
    seconds = time.monotonic() - started
    console.print(f"[green]✓[/green] {escape(under_way.line())} [dim]({seconds:.1f} s)[/dim]", soft_wrap=True)
