"""Keys in a folder, and dkimpy as the receiver that verifies."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from channels.email.dkim_keys import Keyring, txt_record


@cache
def rsa_key(bits: int = 2048) -> RSAPrivateKey:
    return generate_private_key(65537, bits)


def pem(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def put_key(folder: Path, name: str, key: RSAPrivateKey | Ed25519PrivateKey | bytes) -> Path:
    """The file as its owner would keep it."""
    path = folder / name
    path.write_bytes(key if isinstance(key, bytes) else pem(key))
    path.chmod(0o600)
    return path


def two_keys(folder: Path, domain: str = "example.com") -> Path:
    """One selector of each kind."""
    folder.mkdir(exist_ok=True)
    put_key(folder, f"r1.{domain}.pem", rsa_key())
    put_key(folder, f"e1.{domain}.pem", Ed25519PrivateKey.generate())
    return folder


def verified(mail: bytes, keyring: Keyring) -> int:
    """How many signatures the mail bears; each is good, its key looked up in what we would publish."""
    zone = {f"{record.name}.".encode(): record.value.encode() for record in map(txt_record, _all(keyring))}
    count = len(re.findall(rb"^DKIM-Signature:", mail.partition(b"\r\n\r\n")[0], re.MULTILINE))
    checker = dkim.DKIM(mail)
    for index in range(count):
        try:
            good = checker.verify(idx=index, dnsfunc=lambda name, timeout=5: zone.get(name))
        except dkim.ValidationError as error:  # how it says that the body's hash differs
            raise AssertionError(f"signature {index}: {error}") from error
        assert good, f"signature {index}"
    return count


def _all(keyring: Keyring) -> list:
    return [key for keys in keyring.keys.values() for key in keys]
