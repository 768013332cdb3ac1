"""The folder of HEARTH_DKIM_KEYS: a private key a file, `selector.domain.pem`; and what to publish for each in the DNS.

Nothing here ever shows a key: errors name the file and the remedy.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IROTH, S_IWOTH

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from channels.email.dkim import SigningKey
from runtime.settings import BadSetting

LEAST_BITS, MOST_BITS = 2048, 4096  # RFC 8301: what is good enough to sign, what everybody can verify
_MAKE = "`openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048` makes one"
_FORM = "selector.domain.pem, such as s1.example.com.pem"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"({_LABEL})\.({_LABEL}(?:\.{_LABEL})+)\.pem")
_TXT_PIECE = 255  # RFC 1035: a text in a TXT record


@dataclass(frozen=True)
class Keyring:
    """The keys by domain; a domain may have several selectors, and each of them signs."""

    keys: Mapping[str, tuple[SigningKey, ...]] = field(default_factory=dict)

    def of(self, domain: str) -> tuple[SigningKey, ...]:
        """The keys of exactly this domain: DMARC compares it with From's."""
        return self.keys.get(domain.lower(), ()) if self.keys else ()


@dataclass(frozen=True)
class TxtRecord:
    """What the DNS must say so that receivers can verify a selector's signatures."""

    name: str
    value: str

    @property
    def zone_line(self) -> str:
        """As a zone file has it; a long text in pieces, which belong together without a blank."""
        pieces = [f'"{self.value[start : start + _TXT_PIECE]}"' for start in range(0, len(self.value), _TXT_PIECE)]
        return f"{self.name}. IN TXT ( {' '.join(pieces)} )"


def read_keys(folder: Path | None) -> Keyring:
    """All keys of the folder; none where there is no folder: the mail server signs then. Raises BadSetting."""
    if folder is None:
        return Keyring()
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".pem" and not path.name.startswith("."))
    except OSError as error:
        raise _bad(folder, f"is no folder that can be read ({error.strerror})") from None
    if not files:
        raise _bad(folder, f"has no key in it; the files are named {_FORM}; {_MAKE}")
    keys: dict[str, tuple[SigningKey, ...]] = {}
    for path in files:
        key = _read_key(path)
        keys[key.domain] = (*keys.get(key.domain, ()), key)
    return Keyring(keys)


def txt_record(key: SigningKey) -> TxtRecord:
    """RFC 6376 3.6.1, and 8463 for Ed25519."""
    public = key.private.public_key()
    if isinstance(key.private, RSAPrivateKey):
        kind, raw = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, raw = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return TxtRecord(f"{key.selector}._domainkey.{key.domain}", f"v=DKIM1; k={kind}; p={b64encode(raw).decode()}")


def _read_key(path: Path) -> SigningKey:
    name = _NAME.fullmatch(path.name.lower())
    if name is None:
        raise _bad(path, f"is not named {_FORM}")
    try:
        if path.stat().st_mode & (S_IROTH | S_IWOTH):
            raise _bad(path, f"is open to every user of this machine; close it with `chmod 600 {path}`")
        written = path.read_bytes()
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror})") from None
    return SigningKey(name[1], name[2], _private_key(path, written))


def _private_key(path: Path, written: bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        key = load_pem_private_key(written, password=None)
    except TypeError:
        raise _bad(path, "is locked with a password; take it off with `openssl pkey`") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _bad(path, f"holds no private key in PEM; {_MAKE}") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise _bad(path, f"is neither an RSA nor an Ed25519 key; {_MAKE}")
    if not LEAST_BITS <= key.key_size <= MOST_BITS:
        raise _bad(path, f"is an RSA key of {key.key_size} bits; {LEAST_BITS} to {MOST_BITS} are possible; {_MAKE}")
    return key


def _bad(path: Path, what: str) -> BadSetting:
    return BadSetting(f"HEARTH_DKIM_KEYS: {path} {what}")
