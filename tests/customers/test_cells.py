from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.imports.cells import Row, open_grid
from customers.imports.grouping import Sheaf
from customers.imports.source import Source, check_announced
from runtime.errors import Invalid, TooLarge

Write = Callable[[bytes], Source]

SIMPLIFIED = "姓名,城市,备注\n王伟,西安,客户要求周末上门安装空调\n李娜,咸阳,电话联系不上\n"
TRADITIONAL = "姓名,城市,備註\n王偉,臺北,客戶要求週末到府安裝冷氣機\n李娜,高雄,電話聯絡不上\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(data: bytes) -> Source:
        path = tmp_path / "table.csv"
        path.write_bytes(data)
        return Source(path, "table.csv")

    return written


def read(source: Source, **options: Any) -> tuple[list[str], list[Row]]:
    with open_grid(source, **options) as grid:
        return grid.header, list(grid.rows())


def encoding_of(source: Source) -> str:
    with open_grid(source) as grid:
        return grid.encoding


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (SIMPLIFIED, "utf-8"),
        (SIMPLIFIED, "utf-8-sig"),
        (SIMPLIFIED, "utf-16"),
        (SIMPLIFIED, "utf-16-le"),
        (SIMPLIFIED, "utf-16-be"),
        (SIMPLIFIED, "utf-32"),
        (SIMPLIFIED, "gb18030"),
        (SIMPLIFIED, "gbk"),
        (TRADITIONAL, "big5"),
        (TRADITIONAL, "utf-8"),
        ("name,city\nAnn,Bath\n", "ascii"),
        ("name,city\nAnn,Bath\n", "utf-16-le"),
    ],
)
def test_the_encoding_is_found(write: Write, text: str, encoding: str) -> None:
    header, rows = read(write(text.encode(encoding)))
    lines = [line.split(",") for line in text.splitlines()]
    assert header == lines[0]
    assert [row.cells for row in rows] == lines[1:]
    assert not any(row.fault for row in rows)


@pytest.mark.parametrize(("text", "encoding"), [(SIMPLIFIED, "gb18030"), (TRADITIONAL, "big5")])
def test_chinese_after_a_long_plain_beginning(write: Write, text: str, encoding: str) -> None:
    head, _, rest = text.partition("\n")
    plain = "A,B,C\n" + "x,y,z\n" * 100_000
    _, rows = read(write((plain + rest).encode(encoding)))
    assert rows[-1].cells == text.splitlines()[-1].split(",")
    assert head


def test_broken_bytes_cost_their_own_line(write: Write) -> None:
    lines = [f"{number},王伟".encode() for number in range(200)]
    lines[100] = b"100,\xff\xfe\xe7"
    _, rows = read(write(b"id,name\n" + b"\n".join(lines)))
    bad = [row for row in rows if row.fault]
    assert [(row.line, row.column) for row in bad] == [(102, 1)]
    assert "not text" in str(bad[0].fault)
    assert len(rows) == 200


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(128, 256)) * 50,
        "nom;ville\nRené;Orléans\nFrançois;Béziers\n".encode("cp1252"),
    ],
)
def test_what_does_not_decode_is_refused_with_the_remedy(write: Write, data: bytes) -> None:
    with pytest.raises(Invalid, match=r'UTF-8.*"encoding"'):
        read(write(data))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "punycode", "idna", "a\0b", "rot13"])
def test_a_named_encoding_that_the_file_is_not_in_is_said(write: Write, encoding: str) -> None:
    with pytest.raises(Invalid, match="encoding"):
        read(write("名字,a\n1,2\n".encode()), encoding=encoding)


def test_a_named_encoding_and_delimiter_are_taken(write: Write) -> None:
    source = write("nom,ville;x\nRené,Orléans;y\n".encode("cp1252"))
    assert read(source, encoding="cp1252", delimiter=";")[1][0].cells == ["René,Orléans", "y"]
    for name in ("klingon", "base64"):
        with pytest.raises(Invalid, match=name):
            read(source, encoding=name)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_found(write: Write, delimiter: str) -> None:
    cells = [["id", "name", "note"], ["1", "Ann", "a, b; c" if delimiter not in ",;" else "a b"], ["2", "Bob", ""]]
    text = "\r\n".join(delimiter.join(line) for line in cells)
    header, rows = read(write(text.encode()))
    assert [header, *(row.cells for row in rows)] == cells


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n"x, y",2\n', [["x, y", "2"]]),
        ('a,b\n"x ""y""",2\n', [['x "y"', "2"]]),
        ('a,b\n"two\nlines",2\n3,4\n', [["two\nlines", "2"], ["3", "4"]]),
        ('a,b\n5" pipe,2\n', [['5" pipe', "2"]]),
        ("a,b\r1,2\r3,4\r", [["1", "2"], ["3", "4"]]),
        ("a,b\r\n1,2\r\n\r\n,\r\n3,4", [["1", "2"], ["3", "4"]]),
        ("a,b,\n1,2,\n", [["1", "2"]]),
        ("a,b\n1,2,,\n", [["1", "2"]]),
        ("sep=;\na;b\n1;2\n", [["1", "2"]]),
        ("\n\na,b\n1,2\n", [["1", "2"]]),
        ("a\n1\n", [["1"]]),
    ],
)
def test_tables_as_programs_write_them(write: Write, text: str, expected: list[list[str]]) -> None:
    assert [list(row.cells) for row in read(write(text.encode()))[1]] == expected


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ('2,"never closed', "never closed"),
        ('2,"closed" too early', "follows a closing quote"),
        ("2", "1 cells where the header has 2"),
        ("2,b,c", "3 cells where the header has 2"),
        ("2,\0", "NUL"),
        ("2," + "x" * 150_000, "longer than"),
        ("2," + "x" * 3_000_000, "too long"),
        ('2,"' + "x" * 3_000_000 + '"', "too long"),
    ],
)
def test_a_bad_line_costs_itself_alone(write: Write, bad: str, word: str) -> None:
    text = "\n".join(["id,name", "1,a", bad, '3,"c"', "4,d"])
    _, rows = read(write(text.encode()))
    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert [bool(row.fault) for row in rows] == [False, True, False, False]
    assert word in str(rows[1].fault)
    assert all(len(cell) <= 200 for cell in rows[1].cells)


def test_a_quote_left_open_at_the_end_of_a_long_file_costs_one_line(write: Write) -> None:
    text = 'id,name\n1,"open\n' + "".join(f"{number},x\n" for number in range(2, 1000))
    _, rows = read(write(text.encode()))
    assert len(rows) == 999
    assert [row.line for row in rows if row.fault] == [2]


@pytest.mark.parametrize(
    ("data", "word"),
    [(b"", "empty"), (b"\xef\xbb\xbf\n\n", "empty"), (b",,\n1,2,3\n", "name the columns"), (b'"a,b\n1,2\n', "columns")],
)
def test_a_file_without_header_is_refused(write: Write, data: bytes, word: str) -> None:
    with pytest.raises(Invalid, match=word):
        read(write(data))


def packed(names: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return data.getvalue()


TABLE = b"id,name\n1,a\n"


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(TABLE, mtime=0),
        packed({"t.csv": TABLE}),
        packed({"d/": b"", "d/t.csv": TABLE, "__MACOSX/t": b"x"}),
    ],
)
def test_packed_files_are_unpacked(write: Write, data: bytes) -> None:
    assert [row.cells for row in read(write(data))[1]] == [["1", "a"]]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (packed({"a.csv": TABLE, "b.csv": TABLE}), "'a.csv', 'b.csv'"),
        (packed({}) + b"", "damaged|columns"),
        (packed({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}), "Excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "Excel"),
        (gzip.compress(TABLE * 10_000, mtime=0)[:-12], "damaged"),
        (b"PK\x03\x04 and nothing more", "damaged"),
    ],
)
def test_what_is_no_table_is_refused(write: Write, data: bytes, word: str) -> None:
    with pytest.raises(Invalid, match=word):
        read(write(data))


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: packed({"t.csv": data})])
def test_a_bomb_is_refused(write: Write, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TooLarge, match="unpacks to far more"):
        read(write(pack(b"id,name\n" + b"0" * 100_000_000)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"gone\.csv: No such file"):
        read(Source(tmp_path / "gone.csv", "gone.csv"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.one_of(st.binary(max_size=300), st.text(alphabet='a,";\n\r\t\0王é', max_size=300).map(str.encode)))
def test_any_bytes_give_rows_or_one_clear_refusal(write: Write, data: bytes) -> None:
    try:
        header, rows = read(write(data))
    except (Invalid, TooLarge):
        return
    assert all(row.fault or len(row.cells) == len(header) or len(row.cells) > 0 for row in rows)
    assert all(cell.encode() is not None for row in rows for cell in row.cells)  # nothing half-decoded is left
    assert [row.line for row in rows] == sorted({row.line for row in rows})


def test_lines_of_a_key_come_together_in_the_order_of_the_file() -> None:
    lines = [("b", 2), ("a", 3), ("b", 4), ("c", 5), ("a", 6)] + [(f"k{n % 7}", 10 + n) for n in range(12_000)]
    with Sheaf() as sheaf:
        for key, line in lines:
            sheaf.add(key, Row(line, [key, "", "é"]))
        found = [(key, row.line, list(row.cells)) for key, row in sheaf.rows()]
    assert [each[:2] for each in found[:5]] == [("b", 2), ("b", 4), ("a", 3), ("a", 6), ("c", 5)]
    assert found[0][2] == ["b", "", "é"]
    assert len(found) == len(lines)
    assert [key for key, _, _ in found[5:]] == sorted(key for key, _, _ in found[5:])


def zipped(data: bytes, name: str = "table.csv") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [zipped, gzip.compress])
def test_a_bomb_is_known_by_what_it_announces(pack: Callable[[bytes], bytes]) -> None:
    bomb = io.BytesIO(pack(bytes(80 << 20)))
    with pytest.raises(TooLarge, match="far more"):
        check_announced("bomb", bomb)
    assert bomb.tell() == 0
    for honest in (pack(b"email\na@example.com\n" * 1000), b"PK\x03\x04", b"\x1f\x8b", b"plain"):
        check_announced("table", io.BytesIO(honest))


def test_an_archive_of_very_many_files_is_not_looked_through(write: Write) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.csv", b"")
    with pytest.raises(Invalid, match="holds 1001"):
        read(write(packed.getvalue()))
