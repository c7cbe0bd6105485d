"""fineline.dagster.graph: what is remembered of dvc.yaml is what DVC would resolve."""

import json

import pytest

from fineline.dagster import graph
from fineline.dagster.stages import read_stages


@pytest.fixture
def memory(made_project):
    return made_project.root / ".fineline" / "graph.json"


def test_what_is_remembered_is_what_was_resolved(made_project, memory):
    resolved = read_stages(made_project.root)
    assert memory.exists()
    assert read_stages(made_project.root) == resolved


def test_what_is_remembered_is_not_resolved_again(made_project, memory, monkeypatch):
    read_stages(made_project.root)
    monkeypatch.setattr(graph, "_resolved", lambda *_: pytest.fail("was resolved again"))
    read_stages(made_project.root)


def test_files_are_looked_at_every_time(made_project):
    before = {stage.name: stage for stage in read_stages(made_project.root)}
    (made_project.root / "rows" / "day-2.jsonl").write_text("{}\n")
    after = {stage.name: stage for stage in read_stages(made_project.root)}
    assert before["curate@home-en"].sources != after["curate@home-en"].sources
    assert before["evaluate@home-en"] == after["evaluate@home-en"]


def test_another_graph_is_resolved_anew(made_project):
    count = len(read_stages(made_project.root))
    file = made_project.root / "params.yaml"
    file.write_text(file.read_text().replace("support:", "support-2:"))
    names = {stage.name for stage in read_stages(made_project.root)}
    assert len(names) == count
    assert "train@support-2" in names


@pytest.mark.parametrize("content", ["", "{", '{"key": "x"}', '{"key": "x", "nodes": [1]}'])
def test_a_memory_that_makes_no_sense_is_none(made_project, memory, content):
    resolved = read_stages(made_project.root)
    known = json.loads(memory.read_text())["key"]
    memory.write_text(content.replace('"x"', json.dumps(known)))
    assert read_stages(made_project.root) == resolved


def test_a_graph_that_reads_more_files_is_not_remembered(made_project, memory):
    file = made_project.root / "dvc.yaml"
    (made_project.root / "more.yaml").write_text("name: x\n")
    file.write_text("vars:\n  - more.yaml\n" + file.read_text())
    assert read_stages(made_project.root)
    assert not memory.exists()


def test_a_place_that_cannot_be_written_is_no_error(made_project, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(graph.reports, "write", full)
    assert read_stages(made_project.root)
