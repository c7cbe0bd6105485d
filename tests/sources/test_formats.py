"""Every format, compressed or not, is read as it was written; file names decide the format."""

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fineline.errors import InputError
from fineline.sources import formats

ROWS = [{"question": "Wie spät ist es?", "answer": 'Acht, "sagt" die Uhr'}, {"question": "two\nlines", "answer": ""}]


def parquet(rows: list[dict]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def separated(delimiter: str) -> bytes:
    quoted = [[field.replace('"', '""') for field in row.values()] for row in ROWS]
    lines = ["question" + delimiter + "answer", *(delimiter.join(f'"{field}"' for field in row) for row in quoted)]
    return "\r\n".join(lines).encode()


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


CONTENT = {
    ".jsonl": "\n".join(json.dumps(row) for row in ROWS).encode(),
    ".ndjson": b"\xef\xbb\xbf" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode() + b"\n",
    ".json": json.dumps(ROWS).encode(),
    ".csv": separated(","),
    ".tsv": separated("\t"),
    ".parquet": parquet(ROWS),
}
COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("ending", CONTENT)
def test_rows_are_read_as_they_were_written(fetch_all, root, ending, compression):
    (root / f"rows{ending}{compression}").write_bytes(COMPRESS[compression](CONTENT[ending]))
    assert fetch_all(root).contents == ROWS


@pytest.mark.parametrize("compression", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_truncated_or_damaged_compressed_file_is_an_input_error(fetch_all, root, ending, compression):
    file = root / f"rows{ending}{compression}"
    whole = COMPRESS[compression](CONTENT[ending])
    file.write_bytes(whole[:-9])
    with pytest.raises(InputError, match=r"rows\S+: the compressed data are (truncated|damaged)"):
        fetch_all(root)
    file.write_bytes(b"no such thing as compressed data")
    with pytest.raises(InputError, match=r"rows\S+: the compressed data are damaged or of another kind"):
        fetch_all(root)


def test_files_that_do_not_look_like_data_are_skipped(fetch_all, root):
    for name in ("README.md", ".DS_Store", "LICENSE", "a.csv.dvc", ".hidden.jsonl", "notes.txt"):
        (root / name).write_text("x")
    (root / "ROWS.JSONL").write_bytes(CONTENT[".jsonl"])
    assert [file["path"] for file in fetch_all(root).record["files"]] == ["ROWS.JSONL"]


@pytest.mark.parametrize("name", ["a.csv.zip", "a.jsonl.part", "a.json.bak"])
def test_data_in_a_form_that_cannot_be_read_are_not_skipped(fetch_all, root, name):
    (root / "rows.jsonl").write_bytes(CONTENT[".jsonl"])
    (root / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"{name}: cannot be read; accepted are \.jsonl, .*\.zst"):
        fetch_all(root)


@pytest.mark.parametrize("name", ["rows.xlsx", "rows", "rows.gz"])
def test_a_file_that_is_asked_for_must_be_of_a_known_format(fetch_all, fetch, root, name):
    (root / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"{name}: cannot be read; accepted are"):
        fetch_all(root / name)
    with pytest.raises(InputError, match=rf"{name}: cannot be read; accepted are"):
        fetch(root, one={"files": name})


def test_a_compressed_name_has_the_format_below():
    assert formats.format_of("a/b.CSV.GZ").reader is formats.format_of("b.csv").reader
