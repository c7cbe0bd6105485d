"""The ingest stage: from a `source:` block to an artifact."""

import json
from pathlib import Path

import pytest
import yaml

from fineline import artifacts
from fineline.errors import InputError
from fineline.project import layout
from fineline.stages import ingest
from tests import in_process
from tests.conftest import small_params, write_lines, write_project


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project whose base model is never read; it is the working directory."""
    write_project(tmp_path, small_params(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_source(project: Path, source: dict) -> None:
    """Give the project's adapter another source."""
    content = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    content["adapters"]["home"]["source"] = source
    (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def test_the_artifact_contains_each_part_and_their_record(project, capsys):
    (project / "faq").mkdir()
    write_lines(project / "faq" / "a.jsonl", [{"q": "1"}, {"q": "2"}])
    (project / "faq" / "b.csv").write_text("q,a\n1\n", encoding="utf-8")
    with_source(project, {"path": "faq", "parts": {"lines": {"files": "*.jsonl"}, "table": {"files": "*.csv", "weight": 2}}})
    ingest.run("home")
    artifact = artifacts.verified(layout.raw("home"))
    assert [entry["path"] for entry in artifact.files] == ["lines.jsonl", "parts.json", "table.jsonl"]
    assert artifact.parameters["parts"]["table"]["weight"] == 2
    printed = capsys.readouterr().out
    assert "lines: 2 rows from 1 files, 0 unreadable" in printed
    assert "table: 1 rows from 1 files, 1 unreadable" in printed


def test_a_part_may_have_another_license(project):
    parts = {"ours": {"files": "commands.jsonl"}, "theirs": {"files": "commands.jsonl", "license": "odc-by-1.0"}}
    with_source(project, {"path": "commands.jsonl", "parts": parts})
    ingest.run("home")
    recorded = json.loads((layout.raw("home") / "parts.json").read_text(encoding="utf-8"))
    assert {name: facts["license"] for name, facts in recorded.items()} == {"ours": None, "theirs": "odc-by-1.0"}


def test_a_block_without_parts_takes_every_file_at_the_path(project):
    ingest.run("home")
    assert [entry["path"] for entry in artifacts.read(layout.raw("home")).files] == ["parts.json", "rows.jsonl"]


def test_a_failed_ingest_leaves_the_previous_rows(project):
    ingest.run("home")
    before = artifacts.verified(layout.raw("home")).digest
    (project / "commands.jsonl").unlink()
    with pytest.raises(InputError, match=r"commands\.jsonl: no such file or directory"):
        ingest.run("home")
    assert artifacts.verified(layout.raw("home")).digest == before


def test_credentials_of_a_url_stay_out_of_the_artifact(project, monkeypatch):
    import fsspec

    fsspec.filesystem("memory").pipe("/faq/a.jsonl", b'{"q": 1}')
    monkeypatch.setattr("fineline.sources.listing.fsspec.url_to_fs", lambda url: (fsspec.filesystem("memory"), "/faq/a.jsonl"))
    with_source(project, {"path": "commands.jsonl", "parts": {"faq": {"files": "https://me:hunter2@host/a.jsonl?sig=abc"}}})
    ingest.run("home")
    written = "".join(file.read_text(encoding="utf-8") for file in layout.raw("home").iterdir())
    assert "https://host/a.jsonl" in written
    assert "hunter2" not in written
    assert "abc" not in written


def test_a_wrong_block_of_another_adapter_is_reported_and_not_read(project):
    content = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    content["adapters"]["other"] = {**content["adapters"]["home"], "train": {"trian": 1}}
    (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    ended = in_process.stage("ingest", "home")
    assert ended.returncode == 0, ended.stderr
    assert "notice: params.yaml: not valid, and not read here: adapters.other" in ended.stdout
    assert "adapters.other.train.trian: unknown key" in in_process.stage("ingest", "other").stderr
