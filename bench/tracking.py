"""What an open and a click cost: wrk (one thread, 64 connections) beside one web process and PostgreSQL on the same
cores, every answer after its commit.

- `pixel`, `click`: requests a second, each for another message, against a constant answer of Starlette under uvicorn;
  `p99`: of their latency, `p99-half`: at half of that rate. `own-server`:
  that constant under the server of `hearth web`, `nginx`: nginx's `empty_gif`, both for scale.
- `to-record`: from the request to the customer's own record, over the same connection.

CPU for one request, of the web process and of the database, is printed before the table.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from sqlalchemy import insert, text

import hearth
from bench.ground import SECRET, free_port, settle_people, throwaway_house, wait_for_port
from bench.harness import Result, main, take_turns
from bench.processes import cpu_seconds, family_cpu_seconds, server_pid
from runtime.errors import Unavailable
from runtime.house import House
from tracking.ledger import MessageKey
from tracking.models import link_tables
from tracking.recount import recount
from tracking.tokens import MessageUrls

MESSAGES = 200_000  # at scale 1: nobody comes twice within the seconds in which several clicks would be a machine's
CONNECTIONS = 64
SECONDS = 10.0  # of each measurement at scale 1
ROUNDS = 3
RUN = 1
TO_RECORD = 2.0  # seconds
P99 = 50.0  # ms
P99_HALF = 200.0  # ms, at half capacity (row 21 of FAULTS.md)
_TRIES = 3  # to come to half of the rate
LINKS = ["https://shop.example.com/air?x=1", "https://shop.example.com/fridge"]
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
_WRK = """
local paths = {}
for line in io.lines(%(paths)r) do paths[#paths + 1] = line end
local at = 0
request = function()
  at = at %% #paths + 1
  return wrk.format("GET", paths[at], {["User-Agent"] = %(agent)r, ["Host"] = "127.0.0.1"})
end
if %(delay)d > 0 then delay = function() return %(delay)d end end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("figures %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True)
class Served:
    """Requests a second, milliseconds of the slowest hundredth, microseconds of CPU a request."""

    rate: float
    p99: float
    web_cpu: float = 0.0
    server_cpu: float = 0.0


class Bench:
    """The processes, and what was measured of each kind of request."""

    def __init__(self, house: House, folder: Path, seconds: float) -> None:
        self.house = house
        self.folder = folder
        self.seconds = seconds
        self.seen: dict[str, list[Served]] = {}

    async def constant(self, name: str, port: int) -> float:
        return await self._wrk(name, port, self._paths(name, ["/"]))

    async def at_half(self, name: str, port: int, paths: Sequence[str]) -> Served:
        """The same requests at about half of the median rate: each connection rests between two of them."""
        turn = CONNECTIONS / (self.median(name, "rate") / 2) * 1000  # ms from one request of a connection to its next
        rest = turn / 2
        for _ in range(_TRIES):  # how long an answer takes at that rate, only the rate itself can tell
            rate = await self._wrk(f"{name}-half", port, self._paths(name, paths), max(1, round(rest)))
            rest += turn - CONNECTIONS / rate * 1000
        return self.seen[f"{name}-half"][-1]

    async def ours(self, name: str, port: int, web: int, paths: Sequence[str]) -> float:
        server = await server_pid(self.house)
        before = cpu_seconds(web), family_cpu_seconds(server)
        rate = await self._wrk(name, port, self._paths(name, paths))
        spent = cpu_seconds(web) - before[0], family_cpu_seconds(server) - before[1]
        served = self.seen[name][-1]
        web_cpu, server_cpu = (each / (served.rate * self.seconds) * 1e6 for each in spent)
        self.seen[name][-1] = Served(served.rate, served.p99, web_cpu, server_cpu)
        return rate

    def _paths(self, name: str, paths: Sequence[str]) -> Path:
        file = self.folder / f"{name}.paths"
        if not file.exists():
            file.write_text("\n".join(paths))
        return file

    async def _wrk(self, name: str, port: int, paths: Path, delay: int = 0) -> float:
        """`delay`: milliseconds for which a connection rests after an answer."""
        script = self.folder / f"{name}.lua"
        script.write_text(_WRK % {"paths": str(paths), "agent": AGENT, "delay": delay})
        seconds = f"{max(1, round(self.seconds))}s"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--latency", "-s", str(script)]
        done = await asyncio.to_thread(
            subprocess.run, [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=False
        )
        found = re.search(r"^figures (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
        if found is None or int(found[4]):
            raise Unavailable(f"wrk was not answered as it should be ({name}): {done.stdout} {done.stderr}")
        requests, microseconds, p99 = (int(found[place]) for place in (1, 2, 3))
        self.seen.setdefault(name, []).append(Served(requests / microseconds * 1e6, p99 / 1000))
        return self.seen[name][-1].rate

    def median(self, name: str, figure: str) -> float:
        return float(statistics.median(getattr(served, figure) for served in self.seen[name]))


async def measure(scale: float) -> list[Result]:
    if shutil.which("wrk") is None:
        raise Unavailable("wrk is not installed; it comes with Debian's package wrk")
    hearth.install()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as name:
        folder = Path(name)
        async with throwaway_house("smtp://127.0.0.1:9") as house:
            opens, clicks = await _settle(house, max(1_000, int(MESSAGES * scale)))
            bench = Bench(house, folder, max(1.0, SECONDS * scale))
            with ExitStack() as stack:
                web, port = stack.enter_context(_web(house))
                plain = stack.enter_context(_constant("uvicorn"))
                own = stack.enter_context(_constant("own"))
                nginx = stack.enter_context(_nginx(folder, console))
                await bench.ours("warm", port, web, opens)
                sides = [
                    lambda: bench.ours("pixel", port, web, opens),
                    lambda: bench.ours("click", port, web, clicks),
                    lambda: bench.constant("uvicorn", plain),
                    lambda: bench.constant("own", own),
                ]
                if nginx is not None:
                    sides.append(lambda: bench.constant("nginx", nginx))
                rates = await take_turns(sides, ROUNDS)
                halves = [await bench.at_half("pixel", port, opens), await bench.at_half("click", port, clicks)]
                delay = await _to_record(house, port, opens)
            async with house.database.begin() as conn:
                if differences := (await recount(conn)).total:
                    raise Unavailable(f"a recount found {differences} differences after the measurement")
    return _results(bench, rates, halves, delay, console)


def _results(
    bench: Bench, rates: Sequence[float], halves: Sequence[Served], delay: float, console: Console
) -> list[Result]:
    pixel, click, plain, own = rates[:4]
    console.print("At about half of the rate: requests/s, ms of the slowest hundredth")
    for name, served in zip(("pixel", "click"), halves, strict=True):
        console.print(f"{served.rate:8,.0f} {served.p99:8,.1f}  {name}")
    half = max(served.p99 for served in halves)
    console.print("CPU for one request, µs: the web process, the database")
    for name in ("pixel", "click"):
        console.print(f"{bench.median(name, 'web_cpu'):8,.0f} {bench.median(name, 'server_cpu'):8,.0f}  {name}")
    p99 = max(bench.median("pixel", "p99"), bench.median("click", "p99"))
    results = [
        Result("pixel", pixel, "requests/s", "constant, uvicorn", plain, pixel / plain, 0.6, 1.0),
        Result("click", click, "requests/s", "constant, uvicorn", plain, click / plain, 0.6, 1.0),
        Result("own-server", pixel, "requests/s", "constant, hearth web", own, pixel / own, 0.0, 1.0),
        Result("p99", p99, "ms", "at most", P99, P99 / p99, 1.0, 1.0),
        Result("p99-half", half, "ms", "at most", P99_HALF, P99_HALF / half, 1.0, 1.0),
        Result("to-record", delay * 1000, "ms", "at most", TO_RECORD * 1000, TO_RECORD / delay, 1.0, 1.0),
    ]
    if len(rates) > 4:
        results.append(Result("nginx", pixel, "requests/s", "nginx empty_gif", rates[4], pixel / rates[4], 0.0, 0.5))
    return results


async def _settle(house: House, count: int) -> tuple[list[str], list[str]]:
    """`count` messages of one run, sent an hour ago; the paths of their pixels and of their links."""
    async with house.database.begin() as conn:
        await settle_people(conn, count)
        await conn.execute(insert(link_tables), {"run_id": RUN, "links": LINKS})
        people = list((await conn.execute(_SENT, {"run": RUN})).scalars())
        await recount(conn)  # their rows were made by hand
        await conn.execute(text("ANALYZE"))
    urls = [MessageUrls(house.signer, "", MessageKey(person, RUN)) for person in people]
    return [each.open for each in urls], [each.clicks(1)[0] for each in urls]


async def _to_record(house: House, port: int, opens: Sequence[str]) -> float:
    """Seconds until the customer's record shows what was just answered."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        begun = time.monotonic()
        await client.get(opens[-1], headers={"User-Agent": AGENT})
        while True:
            async with house.database.connect() as conn:
                if await conn.scalar(_FRESH):
                    return time.monotonic() - begun
            if time.monotonic() - begun > 10 * TO_RECORD:
                raise Unavailable("an open did not reach its customer's record")


@contextmanager
def _web(house: House) -> Iterator[tuple[int, int]]:
    """The process id and the port of a `hearth web`."""
    port = free_port()
    environ = {
        **os.environ,
        "HEARTH_DATABASE_URL": house.database.url.replace("+psycopg", ""),
        "HEARTH_DATA_DIR": str(house.settings.data_dir),
        "HEARTH_SECRET_KEY": SECRET,
        "HEARTH_PUBLIC_URL": "https://mail.shop.example",
    }
    with _process(
        [sys.executable, "-c", "import hearth; hearth.main()", "web", "--port", str(port)], port, environ
    ) as pid:
        yield pid, port


@contextmanager
def _constant(server: str) -> Iterator[int]:
    port = free_port()
    with _process([sys.executable, "-m", "bench.constant", server, str(port)], port):
        yield port


@contextmanager
def _nginx(folder: Path, console: Console) -> Iterator[int | None]:
    """The port of an nginx with one worker, None where there is none."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        console.print("nginx is not installed: its `empty_gif` is left out (Debian's package nginx-light)")
        yield None
        return
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(_NGINX % {"folder": folder, "port": port})
    with _process([program, "-c", str(config), "-e", "/dev/null"], port):
        yield port


@contextmanager
def _process(command: Sequence[str], port: int, environ: dict[str, str] | None = None) -> Iterator[int]:
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(process, port)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


_SENT = text("""
    INSERT INTO messages (customer_id, run_id, step, campaign_id, channel, address, batch, state, sent_at)
    SELECT id, :run, 0, 1, 'email', email, 0, 'sent', now() - interval '1 hour' FROM customers ORDER BY id
    RETURNING customer_id
""")
_FRESH = text("SELECT max(last_opened_at) > now() - interval '1 second' FROM activity")
_NGINX = """
daemon off; worker_processes 1; pid %(folder)s/nginx.pid; error_log /dev/null;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; client_body_temp_path %(folder)s; proxy_temp_path %(folder)s;
  fastcgi_temp_path %(folder)s; uwsgi_temp_path %(folder)s; scgi_temp_path %(folder)s;
  server { listen 127.0.0.1:%(port)d; location / { empty_gif; } } }
"""


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))
