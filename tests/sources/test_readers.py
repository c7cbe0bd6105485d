"""Rows and whole files that cannot be read, and the problems reported for them."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fineline.errors import InputError
from fineline.sources.readers import table


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a": "12345\xff"}', "not UTF-8 at byte 13"),
        (b'{"a": NaN}', "invalid JSON at character 7"),
        (b'{"a": 1e999}', "invalid JSON"),
        (b'{"a": "se\x00cret"}', "invalid JSON at character 10"),
        (b'{"a": "\\ud800"}', "invalid JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"{" + b'"a": {' * 2_000 + b"}" * 2_001, "invalid JSON"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "cannot be written as JSON: Recursion limit reached"),
        (b'{"secret" x}', "invalid JSON"),
    ],
)
def test_a_json_line_that_cannot_be_read_is_kept_with_its_problem(fetch_all, root, line, problem):
    (root / "rows.jsonl").write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 2}\r\n')
    fetched = fetch_all(root)
    assert fetched.contents == [{"a": 1}, {"a": 2}]
    assert list(fetched.problems) == ["rows.jsonl:2"]
    assert fetched.problems["rows.jsonl:2"].startswith(problem)
    assert "secret" not in fetched.problems["rows.jsonl:2"]
    assert fetched.rows[1]["raw"] == line.decode("utf-8", "replace")[:4000]
    assert (fetched.record["rows"], fetched.record["unreadable"]) == (3, 1)


def test_escaped_nul_is_content_and_a_line_of_ten_megabytes_is_a_row(fetch_all, root):
    rows = [{"a": "x\0y"}, {"a": "é" * 5_000_000}]
    (root / "rows.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).replace("\0", "\\u0000"))
    assert fetch_all(root).contents == rows


def test_a_line_without_end_is_refused(fetch_all, root, monkeypatch):
    monkeypatch.setattr("fineline.sources.readers.json_files.MAX_ROW", 1000)
    (root / "rows.jsonl").write_bytes(b'{"a": 1}\n' + b"x" * 5000)
    with pytest.raises(InputError, match=r"rows\.jsonl:2: longer than 64 MiB"):
        fetch_all(root)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "json"])
def test_another_encoding_is_read_if_it_is_set(fetch, root, ending):
    text = {"jsonl": '{"a": "Größe"}\n', "csv": "a\nGröße\n", "json": '[{"a": "Größe"}]'}[ending]
    for encoding in ("cp1252", "utf-16"):
        (root / f"rows.{ending}").write_bytes(text.encode(encoding))
        assert fetch(root, one={"files": "**", "encoding": encoding})["one"].contents == [{"a": "Größe"}]
    with pytest.raises(InputError, match="unknown encoding 'klingon'"):
        fetch(root, one={"files": "**", "encoding": "klingon"})


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_byte_outside_the_encoding_rejects_its_row(fetch, root, ending):
    good, bad = {"jsonl": (b'{"a": "\xdf"}', b'{"a": "x\x81"}'), "csv": (b"\xdf", b"x\x81")}[ending]
    head = b"" if ending == "jsonl" else b"a\n"
    (root / f"rows.{ending}").write_bytes(head + good + b"\n" + bad + b"\n")
    fetched = fetch(root, one={"files": "**", "encoding": "cp1252"})["one"]
    assert fetched.contents == [{"a": "ß"}]
    assert list(fetched.problems.values()) == ["not CP1252 at byte " + str(bad.index(0x81) + 1)]


def test_a_json_object_may_contain_the_list(fetch_all, root):
    (root / "rows.json").write_text('{"version": 2, "errors": [], "data": [{"a": 1}, {"a": 2}]}')
    assert fetch_all(root).contents == [{"a": 1}, {"a": 2}]


def test_json_lines_in_a_json_file_are_read(fetch_all, root):
    (root / "rows.json").write_text('{"a": 1}\n{"a": 2}\nbroken\n')
    fetched = fetch_all(root)
    assert fetched.contents == [{"a": 1}, {"a": 2}]
    assert list(fetched.problems) == ["rows.json:3"]


def test_items_that_are_not_objects_are_problems(fetch_all, root):
    (root / "rows.json").write_text('[{"a": 1}, "x", null]')
    assert fetch_all(root).problems == {"rows.json:2": "not a JSON object", "rows.json:3": "not a JSON object"}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ('{"a": [{"x": 1}], "b": [{"x": 1}]}', r"exactly one; found 2"),
        ('{"a": 1}', "exactly one; found none"),
        ("5", "exactly one; found none"),
        ('[{"a": 1},\n {"a" 2}]', "invalid JSON in line 2, column 7"),
        ("[" * 3000, "invalid JSON"),
    ],
)
def test_a_json_document_without_one_list_is_refused(fetch_all, root, document, complaint):
    (root / "rows.json").write_text(document)
    with pytest.raises(InputError, match=rf"rows\.json: .*{complaint}"):
        fetch_all(root)


def test_csv_rows_with_too_many_or_too_few_fields_are_problems(fetch_all, root):
    (root / "rows.csv").write_text("a,b\n1,2\n1,2,3\n\nsecret\n4,5\n")
    fetched = fetch_all(root)
    assert fetched.contents == [{"a": "1", "b": "2"}, {"a": "4", "b": "5"}]
    assert fetched.problems == {
        "rows.csv:3": "3 fields where the header has 2",
        "rows.csv:5": "1 fields where the header has 2",
    }


def test_csv_rows_are_numbered_by_the_line_they_begin_in(fetch_all, root):
    (root / "rows.csv").write_bytes(b'\xef\xbb\xbfa,b\r\n"x\r\ny","1\n2"\r\n\r\nz\x00z,"say ""hi"""\r\n')
    fetched = fetch_all(root)
    assert fetched.contents == [{"a": "x\r\ny", "b": "1\n2"}, {"a": "z\0z", "b": 'say "hi"'}]
    assert [row["at"] for row in fetched.rows] == ["rows.csv:2", "rows.csv:6"]


def test_every_line_that_a_stray_quote_joins_is_a_problem(fetch_all, root):
    (root / "rows.csv").write_text('a,b\n1,"12 inch\n2,3\n4,"5" tall\n6,7\n')
    fetched = fetch_all(root)
    assert fetched.contents == [{"a": "6", "b": "7"}]
    assert list(fetched.problems) == ["rows.csv:2", "rows.csv:3", "rows.csv:4"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'a,b\n1,2\n3,"x\n5,6\n7,8\n', "rows.csv:3: a quote is opened in this record and never closed"),
        (b"a,b,a,b\n1,2,3,4\n", "rows.csv:1: columns 1, 2, 3, 4 have the same name"),
        (b"\xff\xfea\x00,\x00b\x00\n\x00", "rows.csv:1: the header is not UTF-8 at byte 1; set `encoding`"),
        (b'"a"b,c\n1,2\n', "rows.csv:1: the header is not CSV"),
    ],
)
def test_an_ambiguous_csv_file_is_refused(fetch_all, root, content, complaint):
    (root / "rows.csv").write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        fetch_all(root)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (["a,b\n", "1,2\n"], ","),
        (["a;b\n", "1,5;2,5\n"], ";"),
        (["a\tb\n"], "\t"),
        (["id|question, in English|answer\n", "1|x|y\n", "2|z|w\n"], "|"),
        (["a,b\n", '"x;y\n', 'z;w",2\n', "3,4\n"], ","),
        (["text\n", "Hello; you\n"], ","),
        ([], ","),
    ],
)
def test_the_first_lines_decide_the_delimiter(sample, expected):
    assert table.chosen_delimiter(sample, None, "rows.csv") == expected


def test_a_wrong_delimiter_is_refused_with_the_likely_one(fetch, root):
    (root / "rows.csv").write_text("a;b\n1;2\n3;4\n")
    with pytest.raises(InputError, match=r"seems to be separated by ';' \(semicolon\); set `delimiter: ';'`"):
        fetch(root, one={"files": "**", "delimiter": ","})
    (root / "rows.csv").rename(root / "rows.tsv")
    with pytest.raises(InputError, match="seems to be separated by ';'"):
        fetch(root, one={"files": "**"})
    assert fetch(root, one={"files": "**", "delimiter": ";"})["one"].contents == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_parquet_values_become_json(fetch_all, root):
    when = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    rows = [{"t": when, "d": date(2024, 5, 1), "m": Decimal("1.50"), "b": b"caf\xc3\xa9", "n": [{"x": None}], "f": 0.5, "i": 7}]
    pq.write_table(pa.Table.from_pylist(rows), root / "rows.parquet")
    assert fetch_all(root).contents == [
        {"t": when.isoformat(), "d": "2024-05-01", "m": "1.50", "b": "café", "n": [{"x": None}], "f": 0.5, "i": 7}
    ]


def test_parquet_values_that_json_lacks_are_problems(fetch_all, root):
    rows = [{"b": b"ok", "f": 1.0}, {"b": b"\xff", "f": 1.0}, {"b": b"ok", "f": float("nan")}]
    pq.write_table(pa.Table.from_pylist(rows), root / "rows.parquet")
    assert fetch_all(root).problems == {
        "rows.parquet:2": "bytes that are not text",
        "rows.parquet:3": "NaN or infinity, which JSON does not have",
    }


def test_parquet_text_that_is_not_utf8_is_a_problem_of_its_row_alone(fetch_all, root):
    broken = pa.array([b"fine", b"ab\xff", b"good"]).view(pa.utf8())
    pq.write_table(pa.table({"a": broken, "n": [1, 2, 3]}), root / "rows.parquet")
    fetched = fetch_all(root)
    assert fetched.contents == [{"a": "fine", "n": 1}, {"a": "good", "n": 3}]
    assert fetched.problems == {"rows.parquet:2": "not UTF-8 at byte 3 of column 'a'"}


def test_a_damaged_parquet_file_is_refused(fetch_all, root):
    (root / "rows.parquet").write_bytes(b"PAR1 and then nothing of the kind PAR1")
    with pytest.raises(InputError, match=r"rows\.parquet: not a Parquet file, or a damaged one"):
        fetch_all(root)


def test_parquet_columns_with_the_same_name_are_refused(fetch_all, root):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), root / "rows.parquet")
    with pytest.raises(InputError, match=r"rows\.parquet: several columns have the name a"):
        fetch_all(root)
