"""`python -m demo.examples` writes the samples of `examples/`: a small dealer in encodings that are met in China."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from demo.dealer import Dealer, make_dealer
from demo.files import ROWS, write_csv

FOLDER = Path(__file__).parent.parent / "examples"
DAY = date(2026, 11, 1)
HOUSEHOLDS = 180

# File, kind, encoding, delimiter
SAMPLES = (
    ("customers_zh.csv", "customers", "gb18030", ","),  # as a Chinese Excel saves CSV
    ("orders_zh.csv", "orders", "utf-8-sig", ","),
    ("appliances_zh.tsv", "appliances", "utf-16", "\t"),  # Excel's "Unicode text"
    ("service_visits_zh.csv", "service_visits", "utf-8", ";"),
)


def write_samples(folder: Path) -> Iterator[tuple[str, int]]:
    """Write all samples into `folder`; gives each file's name and number of lines."""
    dealer: Dealer = make_dealer(DAY, households=HOUSEHOLDS)
    for name, kind, encoding, delimiter in SAMPLES:
        yield name, write_csv(folder / name, ROWS[kind](dealer), encoding=encoding, delimiter=delimiter)


if __name__ == "__main__":
    from demo.steps import console

    for name, lines in write_samples(FOLDER):
        console.print(f"{name}: {lines} lines")
