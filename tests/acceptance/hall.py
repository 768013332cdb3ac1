"""Hearth as its users have it: the real commands as processes, in a folder of their own, over a database of choice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import until

HEARTH = Path(sys.executable).parent / "hearth"
SECONDS = 90.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Hall:
    """One installation: its settings, where its web process answers, and the processes that run now."""

    folder: Path
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> Mapping[str, str]:
        """No setting of the machine's, only ours."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
        ours = {"HEARTH_DATA_DIR": str(self.folder / "var"), "HEARTH_PUBLIC_URL": self.base, **self.settings}
        return {**inherited, **ours}

    def hearth(self, *arguments: str) -> Any:
        """Run a command with `--json` to its end; its document. Fails with the command's own words."""
        done = subprocess.run(
            [HEARTH, *arguments, "--json"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"hearth {' '.join(arguments)}: {done.stdout} {done.stderr}"
        return json.loads(done.stdout)

    def start(self, name: str, *arguments: str) -> None:
        """Start a long-running command under `name`; its output goes to `<name>.log` in the folder."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [HEARTH, *arguments],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def answering(self) -> None:
        """Return once the web process answers; fail at once if a process has ended."""
        async with httpx.AsyncClient(trust_env=False) as client:

            async def healthy() -> bool:
                for name, process in self.running.items():
                    assert process.poll() is None, f"{name} ended: {self.log(name)}"
                with contextlib.suppress(httpx.TransportError):
                    return (await client.get(f"{self.base}/health", timeout=5)).is_success
                return False

            await until(healthy, SECONDS)

    def kill(self, name: str) -> None:
        """SIGKILL, as a crash or the kernel would; nothing of it is left to tidy up."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(SECONDS)

    async def stop(self) -> None:
        """Ask all to end, and make sure of it."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                await asyncio.to_thread(process.wait, SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]


@asynccontextmanager
async def web_hall(folder: Path, database_url: str, secret: str) -> AsyncIterator[Hall]:
    """An installation with a web process alone, which answers; over a database that is migrated."""
    hall = Hall(folder, {"HEARTH_DATABASE_URL": database_url, "HEARTH_SECRET_KEY": secret})
    hall.start("web", "web", "--port", str(hall.port))
    try:
        await hall.answering()
        yield hall
    finally:
        await hall.stop()
