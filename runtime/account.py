"""Who runs the embedded server: PostgreSQL refuses to run as root, so root lends it an unprivileged account."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import Unavailable

_NAMES = ("postgres", "nobody")
# Folders above ours may be closed to the account (a clone below /root). Their permissions stay as they are: the server
# gets the one capability that passes them, only where needed. The securebit keeps access(2) from dropping it.
_LADDER: tuple[tuple[str, ...], ...] = (
    ("--no-new-privs", "--inh-caps=-all"),
    *(
        (
            "--no-new-privs",
            "--securebits=+no_setuid_fixup",
            f"--inh-caps=-all,+{capability}",
            f"--ambient-caps=-all,+{capability}",
        )
        for capability in ("dac_read_search", "dac_override")
    ),
)


@dataclass(frozen=True)
class Account:
    """The user that owns and runs the server."""

    uid: int
    gid: int

    @property
    def other(self) -> bool:
        """Whether it is somebody else than this process."""
        return self.uid != os.geteuid()


def account_for(folder: Path) -> Account:
    """The owner of `folder` if it exists, else this user, or for root an unprivileged account of the machine."""
    if folder.exists():
        found = folder.stat()
        if found.st_uid != 0:
            return Account(found.st_uid, found.st_gid)
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise Unavailable(f"the embedded database does not run as root, and there is no account {' or '.join(_NAMES)}")


def command_prefix(account: Account, folder: Path, program: Path, files: Sequence[Path]) -> list[str]:
    """What to put before a command so that it runs as `account` and can enter `folder`, run `program`, read `files`."""
    if not account.other:
        return []
    setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
    base = [setpriv, f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    said = ""
    for rung in _LADDER:
        error = _failure([*base, *rung], folder, program, files)
        if error is None:
            return [*base, *rung]
        said = error
    raise Unavailable(
        f"the embedded database cannot run as user {account.uid} in {folder}: {said}; run Hearth as that user"
    )


def _failure(prefix: Sequence[str], folder: Path, program: Path, files: Sequence[Path]) -> str | None:
    script = 'cd "$1" && "$2" -V >/dev/null && shift 2 && for file; do : <"$file" || exit 1; done'
    arguments = [str(folder), str(program), *(str(file) for file in files)]
    try:
        done = subprocess.run(  # noqa: S603
            [*prefix, "/bin/sh", "-c", script, "sh", *arguments],
            capture_output=True, text=True, timeout=20, env={"PATH": os.defpath, "LC_ALL": "C"}, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise Unavailable("the embedded database, started as root, needs `setpriv` (package util-linux)") from None
    # PostgreSQL's tools mention on stderr, with status 0, that they cannot examine their own file.
    failed = done.returncode != 0 or "Permission denied" in done.stderr
    return (done.stderr.strip().splitlines() or ["refused"])[-1] if failed else None
