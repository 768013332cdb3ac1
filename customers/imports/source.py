"""The bytes of a file to import, unpacked on the way, never more than a piece of them in memory."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from runtime.errors import Invalid, TooLarge

PIECE = 1 << 18
_FREE_BYTES = 64 * 1024 * 1024  # so much may unpack from anything
_RATIO = 250  # real tables shrink to a tenth, seldom to a hundredth
_BYTES_LIMIT = 50 * 1024**3
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_GZIP_SIZE = 4  # bytes at the end of a .gz: how much it unpacks to
_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL = 22 + 65_535  # the end of an archive, with the longest comment
_MEMBERS_LIMIT = 1000
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORKBOOK = "[Content_Types].xml"


@dataclass(frozen=True)
class Source:
    """A file on this machine. `name` as people know it."""

    path: Path
    name: str

    @property
    def size(self) -> int:
        """In bytes, packed as it is. Raises Invalid where there is no such file."""
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise Invalid(f"{self.name}: {error.strerror or error}") from None

    @contextmanager
    def open(self) -> Iterator[Unpacked]:
        """The unpacked bytes, as a stream. Raises Invalid for what is no such file, TooLarge while reading a bomb."""
        with ExitStack() as stack:
            try:
                raw = stack.enter_context(self.path.open("rb"))
            except OSError as error:
                raise Invalid(f"{self.name}: {error.strerror or error}") from None
            yield Unpacked(self.name, raw, stack.enter_context(_opened(self.name, raw)))


class Unpacked(io.RawIOBase):
    """Reads from `inner`, counts, and stops where more comes out than any honest file holds."""

    def __init__(self, name: str, raw: IO[bytes], inner: IO[bytes]) -> None:
        self._name = name
        self._raw = raw
        self._inner = inner
        self._given = 0

    @property
    def place(self) -> int:
        """How many bytes of the packed file are read."""
        return self._raw.tell()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._inner.read(len(buffer))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, lzma.LZMAError, RuntimeError) as error:
            raise Invalid(f"{self._name}: the file is damaged: {error}") from None
        buffer[: len(piece)] = piece
        self._given += len(piece)
        if self._given > _FREE_BYTES and (self._given > self.place * _RATIO or self._given > _BYTES_LIMIT):
            raise _bomb(self._name)
        return len(piece)


def check_announced(name: str, file: IO[bytes]) -> None:
    """Raises TooLarge for a packed file that itself says that it unpacks to far more than a table; one that lies about
    it is stopped while it is read. `file` is left at its beginning."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(4)
    announced = 0
    if head.startswith(_GZIP) and size >= _GZIP_SIZE:
        file.seek(-_GZIP_SIZE, io.SEEK_END)
        announced = int.from_bytes(file.read(_GZIP_SIZE), "little")
    elif head == _ZIP and _members(file) <= _MEMBERS_LIMIT:
        with suppress(zipfile.BadZipFile):
            announced = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
    file.seek(0)
    if announced > max(_FREE_BYTES, size * _RATIO):
        raise _bomb(name)


def _bomb(name: str) -> TooLarge:
    return TooLarge(f"{name}: unpacks to far more than a table would; unpack it and import the table itself")


def _members(file: IO[bytes]) -> int:
    """How many files an archive says that it holds, before its directory is read: that may be large itself."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _ZIP_TAIL))
    tail = file.read()
    end = tail.rfind(_ZIP_END)
    return int.from_bytes(tail[end + 10 : end + 12], "little") if end >= 0 else 0


@contextmanager
def _opened(name: str, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    head = raw.read(8)
    raw.seek(0)
    if head.startswith(_GZIP):
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield unpacked  # type: ignore[misc]  # a GzipFile is an IO[bytes] in all but name
    elif head.startswith(_ZIP):
        with _archive(name, raw) as archive, _only_member(name, archive) as member:
            yield member
    elif head == _OLD_EXCEL:
        raise Invalid(f"{name}: this is an Excel workbook; save it as CSV (UTF-8) and import that")
    else:
        yield raw


def is_archive(path: Path) -> bool:
    """Whether the file at `path` begins as a .zip does."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _archive(name: str, raw: IO[bytes]) -> zipfile.ZipFile:
    if (members := _members(raw)) > _MEMBERS_LIMIT:
        raise Invalid(f"{name}: must hold one file, but holds {members}; pack the table alone")
    try:
        return zipfile.ZipFile(raw)
    except zipfile.BadZipFile as error:
        raise Invalid(f"{name}: the file is damaged: {error}") from None


def _only_member(name: str, archive: zipfile.ZipFile) -> IO[bytes]:
    names = archive.namelist()
    if _WORKBOOK in names:
        raise Invalid(f"{name}: this is an Excel workbook; save it as CSV (UTF-8) and import that")
    tables = [each for each in names if not each.endswith("/") and not each.startswith("__MACOSX/")]
    if len(tables) != 1:
        held = ", ".join(repr(each) for each in tables[:5]) or "nothing"
        raise Invalid(f"{name}: must hold one file, but holds {held}; pack the table alone")
    try:
        return archive.open(tables[0])
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:  # encrypted, exotic, damaged
        raise Invalid(f"{name}: cannot be unpacked: {error}") from None
