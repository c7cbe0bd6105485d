"""Parts, ids and the record of the files read; sources that change while they are read."""

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fineline import sources
from fineline.errors import FinelineError, InputError
from fineline.project.params.sources import Source
from fineline.sources import storage
from tests.conftest import write_lines


def test_parts_json_describes_each_part(fetch, root):
    (root / "b").mkdir()
    write_lines(root / "b" / "two.jsonl", [{"q": "1"}, {"q": "2"}])
    (root / "a.jsonl.gz").write_bytes(gzip.compress(b'{"q": "3"}\nbroken\n', mtime=0))
    (root / "empty.jsonl").write_bytes(b"")
    stored = {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*.jsonl*")}
    record = fetch(root, faq={"files": "**", "columns": {"prompt": "q"}, "weight": 2, "layout": "prompt_completion"})[
        "faq"
    ].record
    rows = {"a.jsonl.gz": 2, "b/two.jsonl": 2, "empty.jsonl": 0}
    assert record == {
        "layout": "prompt_completion",
        "columns": {"prompt": "q"},
        "prompt": None,
        "weight": 2.0,
        "license": None,
        "origin": "files",
        "rows": 4,
        "unreadable": 1,
        "files": [
            {"path": path, "size": len(stored[path]), "sha256": hashlib.sha256(stored[path]).hexdigest(), "rows": rows[path]}
            for path in rows
        ],
    }


def test_an_envelope_has_its_keys_in_order(tmp_path, root):
    (root / "r.jsonl").write_bytes(b'{"b": 1, "a": 2}\n{"a": 2, "b": 1}\n\xff\n')
    sources.fetch(Source(path=str(root)), tmp_path)
    identity = hashlib.sha256(b'rows\0{"a":2,"b":1}').hexdigest()[:16]
    unreadable = hashlib.sha256(b"rows\0\xff").hexdigest()[:16]
    assert (tmp_path / "rows.jsonl").read_text() == (
        f'{{"id":"{identity}","at":"r.jsonl:1","content":{{"b":1,"a":2}}}}\n'
        f'{{"id":"{identity}-2","at":"r.jsonl:2","content":{{"a":2,"b":1}}}}\n'
        f'{{"id":"{unreadable}","at":"r.jsonl:3","problem":"not UTF-8 at byte 1","raw":"\ufffd"}}\n'
    )


def test_the_same_source_gives_the_same_bytes(tmp_path, root):
    write_lines(root / "r.jsonl", [{"q": str(number)} for number in range(9)])
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sources.fetch(Source(path=str(root)), tmp_path / name)
        written.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert written[0] == written[1]


def test_the_id_column_alone_decides_the_id(fetch, root):
    part = {"files": "**", "columns": {"id": "nr"}}
    write_lines(root / "r.jsonl", [{"nr": 7, "q": "old"}, {"nr": None, "q": "x"}, {"q": "x"}])
    before = [row["id"] for row in fetch(root, faq=part)["faq"].rows]
    write_lines(root / "r.jsonl", [{"q": "new"}, {"nr": "7", "q": "changed"}])
    assert fetch(root, faq=part)["faq"].rows[1]["id"] == before[0]
    assert len(set(before)) == 3
    assert fetch(root, other=part)["other"].rows[1]["id"] != before[0]


def test_an_id_column_that_no_row_has_is_refused(fetch, root):
    write_lines(root / "r.jsonl", [{"nr": 7}])
    with pytest.raises(InputError, match=r"parts\.faq\.columns\.id: no row has a value in 'number'"):
        fetch(root, faq={"files": "**", "columns": {"id": "number"}})


def test_a_glob_selects_the_files_of_a_part(fetch, root):
    for name in ("tickets/2024/a.csv", "tickets/b.csv", "faq.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"q\n{name}\n")
    parts = fetch(root, tickets={"files": "tickets/**/*.csv"}, faq={"files": "faq.csv"}, every={"files": "**"})
    assert [row["at"] for row in parts["tickets"].rows] == ["tickets/2024/a.csv:2", "tickets/b.csv:2"]
    assert [row["at"] for row in parts["faq"].rows] == ["faq.csv:2"]
    assert parts["every"].record["rows"] == 3
    assert fetch(root / "faq.csv")["rows"].rows[0]["at"] == "faq.csv:2"


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("*.csv", r"source/\*\.csv: no data file found; accepted are \.jsonl"),
        ("../*.jsonl", r"must be a glob below .*, without a leading '/' and without '\.\.'"),
        ("/etc/*.jsonl", "must be a glob below"),
        ("gone.jsonl", "no data file found"),
        ("file:///etc/x.jsonl", "local files must be below `source.path`"),
    ],
)
def test_a_pattern_without_match_or_outside_the_source_is_refused(fetch, root, pattern, complaint):
    write_lines(root / "r.jsonl", [{"q": "1"}])
    with pytest.raises(InputError, match=complaint):
        fetch(root, one={"files": pattern})


def test_a_missing_or_empty_source_is_refused(fetch_all, root):
    with pytest.raises(InputError, match=r"gone: no such file or directory; check `source\.path`"):
        fetch_all(root / "gone")
    with pytest.raises(InputError, match="no data file found"):
        fetch_all(root)
    (root / "r.jsonl").touch()
    with pytest.raises(InputError, match="source: no rows"):
        fetch_all(root)


def test_a_link_inside_the_source_is_read_once_and_one_to_the_outside_is_refused(fetch_all, root, tmp_path):
    write_lines(root / "r.jsonl", [{"q": "1"}])
    (root / "again.jsonl").symlink_to(root / "r.jsonl")
    assert [row["at"] for row in fetch_all(root).rows] == ["r.jsonl:1"]
    write_lines(tmp_path / "outside.jsonl", [{"q": "2"}])
    (root / "link.jsonl").symlink_to(tmp_path / "outside.jsonl")
    with pytest.raises(InputError, match=r"link\.jsonl: a link to a place outside"):
        fetch_all(root)
    (root / "link.jsonl").unlink()
    (root / "broken.jsonl").symlink_to(root / "nothing.jsonl")
    with pytest.raises(InputError, match=r"broken\.jsonl: a link to a missing file"):
        fetch_all(root)


def appended(root: Path) -> None:
    with (root / "a.jsonl").open("a") as file:
        file.write('{"q": "late"}\n')


def cut_short(root: Path) -> None:
    file = root / "b.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-12])


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (appended, r"a\.jsonl"),
        (cut_short, r"b\.jsonl\.gz"),
        (lambda root: (root / "b.jsonl.gz").unlink(), r"b\.jsonl\.gz"),
        (lambda root: write_lines(root / "c.jsonl", [{"q": "new"}]), r"c\.jsonl"),
        (lambda root: [file.unlink() for file in root.iterdir()], "no data file found"),
    ],
)
def test_a_source_that_changes_while_it_is_read_is_an_error(fetch_all, root, monkeypatch, change, culprit):
    write_lines(root / "a.jsonl", [{"q": "1"}])
    (root / "b.jsonl.gz").write_bytes(gzip.compress(b'{"q": "2"}\n'))
    read = storage.read

    def read_while_another_writes(stored, part, writer):
        record = read(stored, part, writer)
        if stored.name == "a.jsonl":
            change(root)
        return record

    monkeypatch.setattr(storage, "read", read_while_another_writes)
    with pytest.raises(FinelineError, match=rf"{culprit}.*changed while it was being read; run again") as caught:
        fetch_all(root)
    assert caught.value.exit_code == 1


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RECORDS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8)


def as_csv(records: list[tuple[str, str]]) -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows([("a", "b"), *records])
    return sink.getvalue().encode()


def as_jsonl(records: list[tuple[str, str]]) -> bytes:
    return "".join(json.dumps({"a": a, "b": b}, ensure_ascii=False) + "\n" for a, b in records).encode()


def fetched(name: str, data: bytes) -> list[dict]:
    with TemporaryDirectory() as source, TemporaryDirectory() as into:
        (Path(source) / name).write_bytes(data)
        sources.fetch(Source(path=source), Path(into))
        return [orjson.loads(line) for line in (Path(into) / "rows.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize(("name", "write"), [("r.csv", as_csv), ("r.jsonl", as_jsonl)])
@settings(max_examples=80, deadline=None)
@given(records=RECORDS, around=st.tuples(RECORDS, RECORDS))
def test_every_record_is_read_once_with_an_id_that_does_not_depend_on_its_neighbors(name, write, records, around):
    rows = fetched(name, write(records))
    assert [(row["content"]["a"], row["content"]["b"]) for row in rows] == records
    assert len({row["id"] for row in rows}) == len(records)
    among_others = fetched(name, write([*around[0], *records, *around[1]]))
    assert {row["id"] for row in rows} <= {row["id"] for row in among_others}
    assert {row["id"] for row in rows} == {row["id"] for row in fetched(name, write(records[::-1]))}
