"""fineline.dagster.stages: Dagster has the graph of DVC."""

import json
from pathlib import Path

import pytest

from fineline.dagster.stages import Stage, asset_key, read_stages, stage_name
from fineline.errors import InputError

NAMES = [
    ("train@home-en", ("home_en", "train")),
    ("base@smollm2-135m", ("smollm2_135m", "base")),
    ("evaluate@a-b-c", ("a_b_c", "evaluate")),
    ("publish", ("publish",)),
]


def by_name(root: Path) -> dict[str, Stage]:
    return {stage.name: stage for stage in read_stages(root)}


@pytest.mark.parametrize(("name", "key"), NAMES)
def test_names_and_keys_are_inverse(name, key):
    assert asset_key(name) == key
    assert stage_name(key) == name


def test_an_ambiguous_name_is_refused():
    with pytest.raises(InputError, match=r"train@home_en.*use '-'"):
        asset_key("train@home_en")


def test_stages_are_resolved_and_come_upstream_first(fresh_project):
    stages = read_stages(fresh_project.root)
    order = [stage.name for stage in stages]
    per_adapter = {f"{kind}@{name}" for name in ("home-en", "support") for kind in ("curate", "train", "evaluate")}
    assert set(order) == {"base@tiny-1m"} | per_adapter
    assert all(order.index(upstream) < order.index(stage.name) for stage in stages for upstream in stage.upstream)
    train = by_name(fresh_project.root)["train@home-en"]
    assert (train.kind, train.subject, train.is_base) == ("train", "home-en", False)
    assert train.command == "python stage.py train home-en"
    assert train.description == "The adapter"
    assert train.owner == "voice@fineline.example"
    assert train.upstream == ("base@tiny-1m", "curate@home-en")
    assert train.sources == {}
    assert train.params == {"adapters.home-en.train": {"rank": 8}, "stages.train": 1}
    assert train.outs == (
        "models/adapters/home-en",
        "reports/home-en/provenance/train.json",
        "reports/home-en/training.json",
    )
    assert by_name(fresh_project.root)["evaluate@home-en"].upstream == ("curate@home-en", "train@home-en")


@pytest.mark.parametrize(
    ("kind", "identity"),
    [("train", "models/adapters/home-en"), ("curate", "data/curated/home-en"), ("evaluate", "reports/home-en/gate.json")],
)
def test_provenance_never_identifies_a_result(fresh_project, kind, identity):
    assert by_name(fresh_project.root)[f"{kind}@home-en"].identity == (identity,)


def change_params(project):
    project.set(rank=16)


def raise_a_version(project):
    project.raise_version("train")


def change_external_rows(project):
    (project.root / "rows" / "day-2.jsonl").write_text("{}\n")


@pytest.mark.parametrize("change", [change_params, raise_a_version, change_external_rows])
def test_code_version_changes_exactly_where_dvc_sees_a_change(made_project, change):
    before = by_name(made_project.root)
    change(made_project)
    after = by_name(made_project.root)
    changed = {name for name in after if after[name].code_version != before[name].code_version}
    assert changed == set(json.loads(made_project.dvc("status", "--json")))
    assert changed


def test_an_edit_of_source_code_changes_no_code_version(made_project):
    before = by_name(made_project.root)
    with (made_project.root / "stage.py").open("a") as file:
        file.write("# other code\n")
    assert by_name(made_project.root) == before
    assert json.loads(made_project.dvc("status", "--json")) == {}


def test_missing_sources_do_not_keep_the_graph_from_loading(fresh_project):
    (fresh_project.root / "rows" / "day-1.jsonl").unlink()
    (fresh_project.root / "rows").rmdir()
    assert by_name(fresh_project.root)["curate@home-en"].sources["rows"] is None


def test_a_directory_without_dvc_is_named_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match="not a DVC project; run `dvc init`"):
        read_stages(tmp_path)


def test_a_broken_graph_is_named(fresh_project):
    (fresh_project.root / "dvc.yaml").write_text("stages:\n  train:\n    command: x\n")
    with pytest.raises(InputError, match=r"dvc\.yaml.*validation failed"):
        read_stages(fresh_project.root)


def test_a_stage_may_have_a_limit(fresh_project):
    file = fresh_project.root / "dvc.yaml"
    file.write_text(file.read_text().replace("      meta:\n", "      meta:\n        limit_hours: 1.5\n"))
    assert {stage.limit for stage in read_stages(fresh_project.root)} == {5400.0}


def test_an_invalid_limit_is_an_error_that_names_the_stage(fresh_project):
    file = fresh_project.root / "dvc.yaml"
    file.write_text(file.read_text().replace("      meta:\n", "      meta:\n        limit_hours: soon\n"))
    with pytest.raises(InputError, match=r"meta\.limit_hours: expected a number above 0, found 'soon'"):
        read_stages(fresh_project.root)
