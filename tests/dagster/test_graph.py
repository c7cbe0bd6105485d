"""fineline.dagster.graph: the cached graph is the one that DVC resolves; paths that touch each other."""

import json

import pytest

from fineline.dagster import graph
from fineline.dagster.graph import Paths
from fineline.dagster.stages import read_stages


@pytest.fixture
def cache(made_project):
    return made_project.root / ".fineline" / "graph.json"


def test_the_cached_graph_is_the_resolved_one(made_project, cache):
    resolved = read_stages(made_project.root)
    assert cache.exists()
    assert read_stages(made_project.root) == resolved


def test_a_cached_graph_is_not_resolved_again(made_project, cache, monkeypatch):
    read_stages(made_project.root)
    monkeypatch.setattr(graph, "_resolved", lambda *_: pytest.fail("the graph was resolved again"))
    read_stages(made_project.root)


def test_stage_versions_are_looked_at_every_time(made_project, monkeypatch):
    before = {stage.name: stage for stage in read_stages(made_project.root)}
    monkeypatch.setattr(graph, "_resolved", lambda *_: pytest.fail("the graph was resolved again"))
    made_project.raise_version("train")
    after = {stage.name: stage for stage in read_stages(made_project.root)}
    assert (before["train@home-en"].params["stages.train"], after["train@home-en"].params["stages.train"]) == (1, 2)
    assert {name for name in after if after[name] != before[name]} == {"train@home-en", "train@support"}


def test_files_are_looked_at_every_time(made_project):
    before = {stage.name: stage for stage in read_stages(made_project.root)}
    (made_project.root / "rows" / "day-2.jsonl").write_text("{}\n")
    after = {stage.name: stage for stage in read_stages(made_project.root)}
    assert before["curate@home-en"].sources != after["curate@home-en"].sources
    assert before["evaluate@home-en"] == after["evaluate@home-en"]


def test_a_changed_graph_is_resolved_again(made_project):
    count = len(read_stages(made_project.root))
    file = made_project.root / "params.yaml"
    file.write_text(file.read_text().replace("support:", "support-2:"))
    names = {stage.name for stage in read_stages(made_project.root)}
    assert len(names) == count
    assert "train@support-2" in names


@pytest.mark.parametrize("content", ["", "{", '{"key": "x"}', '{"key": "x", "nodes": [1]}'])
def test_an_invalid_cache_is_ignored(made_project, cache, content):
    resolved = read_stages(made_project.root)
    known = json.loads(cache.read_text())["key"]
    cache.write_text(content.replace('"x"', json.dumps(known)))
    assert read_stages(made_project.root) == resolved


def test_a_graph_that_reads_more_files_is_not_cached(made_project, cache):
    file = made_project.root / "dvc.yaml"
    (made_project.root / "more.yaml").write_text("name: x\n")
    file.write_text("vars:\n  - more.yaml\n" + file.read_text())
    assert read_stages(made_project.root)
    assert not cache.exists()


def test_a_full_disk_is_no_error(made_project, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(graph.reports, "write", full)
    assert read_stages(made_project.root)


@pytest.mark.parametrize("path", ["a/b", "a", "a/b/c", "a/b/", "a/b/c/d"])
def test_paths_above_below_or_the_same_touch(path):
    assert Paths(["a/b", "x"]).touch(path)


@pytest.mark.parametrize("path", ["a/bc", "b", "a/c", "ab", "xa", ""])
def test_other_paths_do_not_touch(path):
    assert not Paths(["a/b", "x"]).touch(path)
