"""A dataset repository on a server that answers as the Hub does."""

import subprocess
import sys

import orjson
import pytest
import yaml

from fineline.project import lock
from tests.conftest import copy_graph, small_params, write_lines
from tests.hub_server import REVISION, serving


@pytest.fixture
def ingest(tmp_path, root):
    """Runs the ingest stage on a repository of a Hub that contains the source directory."""
    copy_graph(tmp_path)
    lock.write(lock.installed(), tmp_path)
    with serving(root, "datasets") as environment:

        def run(repo: str, files: str, **other: str) -> subprocess.CompletedProcess:
            content = small_params(tmp_path)
            hub = {"repo": repo, "revision": REVISION, "files": files}
            content["adapters"]["home"]["source"] = {"path": "params.yaml", "parts": {"faq": {"hub": hub}}}
            (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
            command = [sys.executable, "-m", "pipelines.ingest", "home"]
            return subprocess.run(command, cwd=tmp_path, env=environment | other, capture_output=True, text=True, check=False)

        yield run


def test_the_chosen_files_of_a_repository_are_read_and_its_scripts_are_not_run(ingest, root, tmp_path):
    (root / "data" / "deep").mkdir(parents=True)
    for name in ("top.jsonl", "data/a.jsonl", "data/deep/b.jsonl"):
        write_lines(root / name, [{"q": name}])
    (root / "tiny.py").write_text("raise SystemExit('scripts are never run')")
    answer = ingest("acme/tiny", "data/**/*.jsonl")
    assert answer.returncode == 0, answer.stderr
    raw = tmp_path / "data" / "raw" / "home"
    rows = [orjson.loads(line) for line in (raw / "faq.jsonl").read_bytes().splitlines()]
    assert [row["at"] for row in rows] == ["data/a.jsonl:1", "data/deep/b.jsonl:1"]
    record = orjson.loads((raw / "parts.json").read_bytes())["faq"]
    assert (record["origin"], [file["path"] for file in record["files"]]) == ("hub", ["data/a.jsonl", "data/deep/b.jsonl"])
    answer = ingest("acme/tiny", "**")
    assert "faq: 3 rows from 3 files, 0 unreadable" in answer.stdout


@pytest.mark.parametrize(
    ("repo", "files", "complaint"),
    [
        ("acme/none", "**", "acme/none@0123456789ab: cannot be fetched from the Hub"),
        ("acme/tiny", "*.csv", "acme/tiny@0123456789ab/*.csv: no data file found"),
    ],
)
def test_a_repository_without_the_files_is_an_input_error(ingest, repo, files, complaint):
    answer = ingest(repo, files)
    assert answer.returncode == 2
    assert complaint in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_hub_that_does_not_answer_is_not_an_input_error(ingest):
    answer = ingest("acme/tiny", "**", HF_ENDPOINT="http://127.0.0.1:9")
    assert answer.returncode == 1
    assert "acme/tiny@0123456789ab: cannot be fetched from the Hub" in answer.stderr
    assert "check the network, or use local files" in answer.stderr
    assert "Traceback" not in answer.stderr
