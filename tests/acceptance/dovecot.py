"""A Dovecot of the distribution on loopback, run by whoever runs the tests: everybody has a Maildir, by TLS or
STARTTLS."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from runtime.clock import utc_now
from tests.acceptance.hall import free_port

PASSWORD = "p/w:1"
_PROGRAM = "/usr/sbin/dovecot"

_CONFIG = """
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{home}/cert.pem
ssl_key = <{home}/key.pem
ssl_dh =
disable_plaintext_auth = yes
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_location = maildir:{home}/mail/%u
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={home}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap {{
  process_limit = 20
}}
"""


def available() -> bool:
    return Path(_PROGRAM).exists() and Path("/usr/lib/dovecot/imap-login").exists()


@dataclass(frozen=True)
class Dovecot:
    """`tls`, `plain`: its ports; the second speaks STARTTLS."""

    home: Path
    tls: int
    plain: int

    def box(self, user: str) -> Box:
        """A mailbox of its own, empty."""
        found = Box(self, user)
        for folder in (found.folder, *(found.folder / name for name in ("cur", "new", "tmp"))):
            folder.mkdir()
            _own(folder)
        return found


@dataclass(frozen=True)
class Box:
    server: Dovecot
    user: str

    @property
    def folder(self) -> Path:
        return self.server.home / "mail" / self.user

    def url(self, options: str = "", *, tls: bool = True) -> str:
        who, ca_file = f"{self.user}:p%2Fw%3A1@localhost", self.server.home / "cert.pem"
        where = f"imaps://{who}:{self.server.tls}" if tls else f"imap://{who}:{self.server.plain}"
        return f"{where}/INBOX?ca_file={ca_file}{options}"

    def deliver(self, *mails: bytes) -> None:
        """Into the INBOX, as an LDA does."""
        for mail in mails:
            name = f"{time.time_ns()}.{os.urandom(4).hex()}.test"
            (self.folder / "tmp" / name).write_bytes(mail)
            _own(self.folder / "tmp" / name)
            (self.folder / "tmp" / name).rename(self.folder / "new" / name)

    def held(self, folder: str = "") -> int:
        """How many mails there are."""
        where = self.folder / folder
        return sum(1 for name in ("cur", "new") for _ in (where / name).iterdir()) if where.exists() else 0

    def begin_anew(self) -> None:
        """It is made again with the same mails and other UIDs."""
        for path in self.folder.glob("dovecot-uid*"):
            path.unlink()
        for path in self.folder.glob("dovecot.index*"):
            path.unlink()


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    home = Path(tempfile.mkdtemp(prefix="hearth-dovecot-", dir="/var/tmp"))
    found = Dovecot(home, free_port(), free_port())
    try:
        _furnish(found)
        process = subprocess.Popen([_PROGRAM, "-F", "-c", home / "dovecot.conf"], stdin=subprocess.DEVNULL)
        try:
            _wait_until_up(process, found)
            yield found
        finally:
            process.terminate()
            process.wait(20)
    finally:
        shutil.rmtree(home)


def _furnish(server: Dovecot) -> None:
    home, me = server.home, _owner()
    group = str(me.pw_gid) if os.geteuid() else "nogroup"
    home.chmod(0o755)
    for folder in (home / "run", home / "mail"):
        folder.mkdir()
    for folder in (home, home / "mail"):
        _own(folder)
    key, now = generate_private_key(SECP256R1()), utc_now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    (home / "cert.pem").write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    (home / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    config = _CONFIG.format(
        home=home, user=me.pw_name, group=group, password=PASSWORD, plain=server.plain, tls=server.tls
    )
    (home / "dovecot.conf").write_text(config)


def _owner() -> pwd.struct_passwd:
    """Who owns the mail: nobody of note, or whoever runs the tests."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, _owner().pw_uid, _owner().pw_gid)


def _wait_until_up(process: subprocess.Popen[bytes], server: Dovecot) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", server.plain), 1) as link:
                link.settimeout(5)
                if link.recv(4) == b"* OK":
                    return
        except OSError:
            pass
        log = server.home / "log"
        words = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        assert process.poll() is None, words
        assert time.monotonic() < deadline, words
        time.sleep(0.05)
