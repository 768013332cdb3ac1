"""Which encoding a file is in: by its mark, else by what decodes; GB18030 and Big5 told apart by how common the
characters are."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from runtime.errors import Invalid

MARK = "\udcff"
"""Stands for bytes that do not decode: half of a character, which no real text holds."""
ERRORS = "hearth.mark"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHINESE = ("gb18030", "big5hkscs")
_HAN = re.compile("[一-鿿]+")
_SAMPLE = 50_000  # Chinese characters that are looked at
_WIDE_SHARE = 0.05  # of the characters of a table, at least, are plain ones
_WIDE_LEAST = 2  # and so few zero bytes may be dirt
_HOPELESS = 50_000  # faults, after which a trial that does not fit is given up
_TOLERATED = 0.1  # of the bytes beyond ASCII, in a file that is damaged here and there


def mark_errors(error: UnicodeError) -> tuple[str, int]:
    """The error handler `hearth.mark`: MARK for each stretch that does not decode."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return MARK, error.end


codecs.register_error(ERRORS, mark_errors)


def checked_encoding(name: str) -> str:
    """An encoding that a mapping names, as Python knows it. Raises Invalid."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a name with NUL
        raise Invalid(f"{name!r} is not an encoding like utf-8, gb18030, big5, utf-16") from None
    if not found._is_text_encoding:
        raise Invalid(f"{name!r} is not an encoding of text")
    return "utf-8-sig" if found.name == "utf-8" else found.name


def detect_encoding(name: str, pieces: Callable[[], Iterable[bytes]]) -> str:
    """The encoding of the file `name`, from all its bytes; `pieces` gives them, from the beginning each time. Raises
    Invalid where no known one fits."""
    utf8 = _Trial("utf-8")
    for number, piece in enumerate(pieces()):
        if number == 0 and (known := _marked(piece) or _wide(piece)):
            return known
        utf8.feed(piece)
    if utf8.fits:  # what is not UTF-8 fails at nearly every character
        return "utf-8-sig"
    return _best(name, [_tried(encoding, pieces()) for encoding in _CHINESE])


_HIGH = bytes(range(128, 256))


@dataclass
class _Trial:
    """One encoding tried on the whole file: how often it failed, and the Chinese characters it saw."""

    encoding: str
    faults: int = 0
    beyond_ascii: int = 0
    seen: list[str] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder(self.encoding)(errors=ERRORS)

    @property
    def fits(self) -> bool:
        return self.faults <= self.beyond_ascii * _TOLERATED

    def feed(self, piece: bytes) -> None:
        if self.faults > _HOPELESS and not self.fits:
            return
        text = self._decoder.decode(piece)
        if text.isascii():
            return
        self.beyond_ascii += len(piece) - len(piece.translate(None, _HIGH))
        self.faults += text.count(MARK)
        if self.count < _SAMPLE:
            self.seen.append("".join(_HAN.findall(text)))
            self.count += len(self.seen[-1])

    def commonness(self) -> float:
        """The share of common characters among the Chinese ones that this reading of the file yields."""
        text = "".join(self.seen)[:_SAMPLE]
        return sum(_is_common(sign, self.encoding) for sign in text) / len(text) if text else 0.0


def _marked(piece: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if piece.startswith(mark)), None)


def _wide(piece: bytes) -> str | None:
    """UTF-16 without a mark: delimiters, digits and line ends have their zero bytes all on one side."""
    head = piece[: min(len(piece), 4096) // 2 * 2]
    for encoding, zeros, others in (("utf-16-le", head[1::2], head[0::2]), ("utf-16-be", head[0::2], head[1::2])):
        if zeros.count(0) > max(_WIDE_LEAST, len(zeros) * _WIDE_SHARE) and not others.count(0):
            return encoding
    return None


def _tried(encoding: str, pieces: Iterable[bytes]) -> _Trial:
    trial = _Trial(encoding)
    for piece in pieces:
        trial.feed(piece)
    return trial


def _best(name: str, trials: Sequence[_Trial]) -> str:
    clean = [trial for trial in trials if trial.faults == 0]
    fitting = clean or [trial for trial in trials if trial.fits]
    best = max(fitting, key=_Trial.commonness, default=None)
    if best is None or best.commonness() < 0.5:
        raise Invalid(
            f"{name}: is not text in UTF-8, UTF-16, GB18030 or Big5; save it as UTF-8, or name its encoding in a"
            ' mapping ({"encoding": "cp1252", …})'
        )
    return best.encoding


def _is_common(sign: str, encoding: str) -> bool:
    """Whether the character stands in the first, common part of the encoding's table."""
    try:
        lead = sign.encode("gb2312" if encoding == "gb18030" else "big5")[0]
    except UnicodeEncodeError:
        return False
    return 0xB0 <= lead <= 0xD7 if encoding == "gb18030" else 0xA4 <= lead <= 0xC6
