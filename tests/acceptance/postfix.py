"""A Postfix of the distribution on loopback: one mailbox is full, one person is refused by policy, nobody else is
there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.hall import free_port

DOMAIN = "mx.example"
FULL, REFUSED = f"full@{DOMAIN}", f"refused@{DOMAIN}"
RETURNS = "bounces.example.com"
_SIZE = 20_000  # of a mailbox, and of a mail
_NOBODY = 65_534
_BASE = Path("/var/tmp")

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

_MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = /dev/stdout
myhostname = {domain}
mydestination =
alias_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_reject_unlisted_recipient = no
smtpd_recipient_restrictions = permit_mynetworks, reject
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {base}
virtual_mailbox_maps = texthash:{home}/mailboxes
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
virtual_mailbox_limit = {size}
message_size_limit = {size}
transport_maps = texthash:{home}/transport
"""


def available() -> bool:
    return shutil.which("postfix") is not None and Path("/etc/postfix/postfix-files").exists()


@contextmanager
def postfix(returns: int | Path) -> Iterator[int]:
    """Gives its port. Mail for RETURNS goes to the server on port `returns` of loopback, or into the Maildir `returns`
    within _BASE that nobody owns. Needs root."""
    home, port = Path(tempfile.mkdtemp(prefix="hearth-postfix-", dir=_BASE)), free_port()
    try:
        _furnish(home, port, returns)
        process = subprocess.Popen(
            ["/usr/sbin/postfix", "-c", home / "etc", "start-fg"],
            stdin=subprocess.DEVNULL,
            stdout=(home / "log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_up(process, home / "log", port)
            yield port
        finally:
            process.terminate()
            process.wait(20)
    finally:
        shutil.rmtree(home)


def _furnish(home: Path, port: int, returns: int | Path) -> None:
    home.chmod(0o755)
    for folder in ("etc", "queue", "data", "mail"):
        (home / folder).mkdir(mode=0o755)
    shutil.chown(home / "data", "postfix")
    (home / "mail/full").write_bytes(b"From nobody\n" + b"x" * (_SIZE - 20) + b"\n")
    shutil.chown(home / "mail/full", _NOBODY, _NOBODY)
    shutil.chown(home / "mail", _NOBODY, _NOBODY)
    domains = f"{DOMAIN}, {RETURNS}" if isinstance(returns, Path) else DOMAIN
    main = _MAIN.format(home=home, domain=DOMAIN, domains=domains, base=_BASE, nobody=_NOBODY, size=_SIZE)
    (home / "etc/main.cf").write_text(main)
    (home / "etc/master.cf").write_text(_MASTER.format(port=port))
    boxes = f"{FULL} {home.name}/mail/full\n"
    transport = f"{REFUSED} error:5.7.1 mail from you is refused by our policy\n"
    if isinstance(returns, Path):
        boxes += f"@{RETURNS} {returns.relative_to(_BASE)}/\n"
    else:
        transport += f"{RETURNS} smtp:[127.0.0.1]:{returns}\n"
    (home / "mailboxes").write_text(boxes)
    (home / "transport").write_text(transport)


def _wait_until_up(process: subprocess.Popen[bytes], log: Path, port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
            time.sleep(0.05)
        else:
            return
