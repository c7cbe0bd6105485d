"""Files at URLs: web servers, other storages, and the parts of a URL that must never be shown."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec
import pytest

from fineline.errors import FinelineError, InputError, Unreachable
from fineline.sources import listing, storage
from tests.conftest import write_lines


@pytest.fixture
def web(root):
    """The address of a web server for the source directory."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def memory():
    """An empty storage in memory."""
    storage = fsspec.filesystem("memory")
    yield storage
    storage.rm("/", recursive=True)


def test_a_file_on_a_web_server_is_read_without_showing_its_credentials(fetch, root, web):
    write_lines(root / "r.jsonl", [{"q": "1"}])
    fetched = fetch(root, one={"files": f"http://me:hunter2@{web}/r.jsonl?token=abc"})["one"]
    assert [row["at"] for row in fetched.rows] == [f"http://{web}/r.jsonl:1"]
    assert fetched.record["files"][0]["path"] == f"http://{web}/r.jsonl"
    with pytest.raises(InputError, match="no such file") as caught:
        fetch(root, one={"files": f"http://me:hunter2@{web}/gone.jsonl?token=abc"})
    assert "hunter2" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_glob_on_a_web_server_follows_its_listing(fetch, root, web):
    for name in ("a.jsonl", "b.jsonl", "c.txt"):
        write_lines(root / name, [{"q": name}])
    fetched = fetch(root, one={"files": f"http://{web}/*.jsonl"})["one"]
    assert fetched.contents == [{"q": "a.jsonl"}, {"q": "b.jsonl"}]


def test_a_web_server_that_cannot_be_reached_may_answer_later(fetch, root):
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9/r\.jsonl: cannot be listed"):
        fetch(root, one={"files": "http://127.0.0.1:9/r.jsonl"})


def test_any_storage_with_a_protocol_can_be_read(fetch, root, memory):
    memory.pipe({"/data/a.csv": b"q\n1\n", "/data/deep/b.csv": b"q\n2\n", "/data/README.md": b"x"})
    fetched = fetch(root, one={"files": "memory://data/**"})["one"]
    assert [row["at"] for row in fetched.rows] == ["memory:///data/a.csv:2", "memory:///data/deep/b.csv:2"]


@pytest.mark.parametrize("change", ["replaced", "removed", "added"])
def test_a_storage_that_changes_while_it_is_read_is_an_error(fetch, root, memory, monkeypatch, change):
    memory.pipe({"/data/a.jsonl": b'{"q": 1}', "/data/b.jsonl": b'{"q": 2}'})
    read = storage.read

    def read_while_another_writes(stored, part, writer):
        if stored.name.endswith("a.jsonl"):
            if change == "removed":
                memory.rm("/data/b.jsonl")
            else:
                memory.pipe({f"/data/{'b' if change == 'replaced' else 'c'}.jsonl": b'{"q": 3}'})
        return read(stored, part, writer)

    monkeypatch.setattr(storage, "read", read_while_another_writes)
    with pytest.raises(FinelineError, match=r"memory:///data/[bc]\.jsonl: changed while it was being read") as caught:
        fetch(root, one={"files": "memory://data/*.jsonl"})
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("gs://bucket/x.csv", "pip install gcsfs"),
        ("s3://key:secret@bucket/x.csv", r"s3://bucket/x\.csv: .*pip install s3fs"),
        ("klingon://bucket/x.csv", "unknown protocol; fsspec knows .*s3"),
        ("simplecache::file:///etc/x.csv", "local files must be below `source.path`"),
        ("memory://nothing/x.csv", "x.csv: no such file"),
        ("memory://nothing/*.csv", "no data file found"),
    ],
)
def test_a_url_without_files_is_an_input_error(fetch, root, url, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        fetch(root, one={"files": url})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://u:p@host/a.csv?sig=x", "https://host/a.csv"),
        ("cannot open https://u:p@w@host/a.csv#part, sorry", "cannot open https://host/a.csv sorry"),
        ("s3://bucket/2024-*/a.csv", "s3://bucket/2024-*/a.csv"),
        ("zip://a.csv::https://u:p@host/x.zip", "zip://a.csv::https://host/x.zip"),
        ("tickets/a?.csv", "tickets/a?.csv"),
    ],
)
def test_credentials_and_queries_are_removed(text, expected):
    assert listing.public(text) == expected
