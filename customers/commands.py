"""`hearth import`: a file becomes records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from customers.imports.mapping import FileMapping, load_mapping
from customers.imports.rejects import RejectsFile
from customers.imports.run import Account, Job, Progress, import_file
from customers.imports.source import Source
from customers.imports.targets import KINDS
from customers.imports.tidying import tidy_after
from customers.imports.transforms import TRANSFORMS
from customers.imports.units import Refusal
from runtime.clock import utc_now
from runtime.errors import Invalid, Problem
from runtime.house import House
from runtime.terminal import answer, in_house

_TOLD = ("rows", "accepted", "rejected")
_RECORDS = ("created", "updated", "unchanged")
_HELP = """Import FILE (CSV; also .gz, .zip) as records of KIND: {kinds}.

Encoding (UTF-8, UTF-16, GB18030, Big5) and delimiter are detected. Without --mapping the columns are guessed from the
header, in English and Chinese. Refused lines go to FILE.rejects.csv with the reason. Importing the same file again
changes nothing.

\b
Transforms of a mapping file ({{"columns": {{field: {{"column": …, "transform": …}}}}}}):
{transforms}
"""


def _help() -> str:
    transforms = "\n".join(f"  {name:<12} {transform.help}" for name, transform in TRANSFORMS.items())
    return _HELP.format(kinds=", ".join(KINDS), transforms=transforms)


@click.command("import", help=_help())
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--mapping", "mapping_file", type=click.Path(path_type=Path), help="Mapping file (JSON).")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing.")
@click.option("--rejects", type=click.Path(path_type=Path), help="Where refused lines go.  [default: beside FILE]")
def import_(kind: str, file: Path, mapping_file: Path | None, dry_run: bool, rejects: Path | None) -> None:
    mapping = _mapping(kind, mapping_file)
    beside = file.with_name(file.name + ".rejects.csv")
    refused = RejectsFile([rejects] if rejects else [beside, Path(beside.name)])

    async def work(house: House) -> tuple[Progress, float]:
        job = Job(Source(file, str(file)), kind, mapping, dry_run)
        with Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}% {task.fields[rows]:,} lines, {task.fields[rejected]:,} refused"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bar:
            task = bar.add_task(file.name, total=None, rows=0, rejected=0)
            account = _Shown(refused, bar, task)
            begun = time.monotonic()
            done = await import_file(house.database, job, account, settings=house.settings, now=utc_now())
            seconds = time.monotonic() - begun
        await tidy_after(house.database, job, done)
        return done, seconds

    try:
        progress, seconds = in_house(work)
    finally:
        refused.close()
    _tell(progress, refused.path, seconds, dry_run=dry_run)


class _Shown(Account):
    """The rejects file, and a bar on the terminal."""

    def __init__(self, refused: RejectsFile, bar: Bar, task: TaskID) -> None:
        self._refused = refused
        self._bar = bar
        self._task = task

    async def opened(self, header: Sequence[str]) -> None:
        self._refused.start(header)

    async def reading(self, progress: Progress) -> None:
        self._show(progress)

    async def committed(self, progress: Progress, refusals: Sequence[Refusal]) -> None:
        await asyncio.to_thread(self._refused.write, refusals)
        self._show(progress)

    def _show(self, progress: Progress) -> None:
        place, size = progress.place, progress.size
        self._bar.update(self._task, completed=place, total=size, rows=progress.rows, rejected=progress.rejected)


def _mapping(kind: str, path: Path | None) -> FileMapping | None:
    if path is None:
        return None
    mapping = load_mapping(path, kind)
    if mapping.kind != kind:
        raise Invalid(Problem("kind", f"the mapping {path} is of {mapping.kind}, not of {kind}"))
    return mapping


def _tell(progress: Progress, rejects: Path | None, seconds: float, *, dry_run: bool) -> None:
    counts = asdict(progress)
    document: dict[str, Any] = {name: counts[name] for name in _TOLD}
    document["records"] = {name: counts[name] for name in _RECORDS}
    document["dry_run"] = dry_run
    document["seconds"] = round(seconds, 3)
    document["rejects"] = None if rejects is None else str(rejects)
    told = ", ".join(f"{counts[name]:,} {name}" for name in _TOLD)
    records = ", ".join(f"{counts[name]:,} {name}" for name in _RECORDS)
    lines = [f"{told}; records: {records}; {seconds:,.1f} s"]
    lines += ["dry run: nothing was written"] if dry_run else []
    lines += [f"refused lines, with reasons: {rejects}"] if rejects else []
    answer(document, "\n".join(lines))


commands: list[click.Command] = [import_]
