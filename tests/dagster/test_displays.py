"""fineline.dagster.displays: the table of what is shown of each kind of stage."""

import base64
import hashlib

import yaml

from fineline.dagster.displays import DISPLAYS, UNKNOWN
from tests.conftest import ROOT

adapter, plan = DISPLAYS["train"].metadata, DISPLAYS["plan"].metadata
merged, exported = DISPLAYS["merge"].metadata, DISPLAYS["export"].metadata

PLAN = {
    "device": {"name": "cpu"},
    "methods": [
        {"method": "qlora", "trained_parameters": 1000, "memory_bytes": {"weights": 5, "total": 7}, "fits": True},
        {"method": "lora", "trained_parameters": 1000, "memory_bytes": {"weights": 9, "total": 11}, "fits": False},
    ],
    "recommended": "qlora",
    "reason": "the largest that fits",
}


COMPARISON = {"passed": True, "mean_kl": 1e-5, "top1_agreement": 0.999, "max_abs_difference": 0.02}
EXPORT = {
    "parity": COMPARISON,
    "forms": {
        "fp32": {"bytes": 540, "tokens_per_second": 30.5},
        "quantized": {"precision": "int4", "bytes": 86, "tokens_per_second": 120.0},
    },
}


def test_every_kind_of_stage_of_this_project_has_its_display():
    assert set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) == set(DISPLAYS)


def test_a_stage_of_another_kind_shows_its_artifacts_only(stage):
    assert UNKNOWN.metadata(stage("publish", publish={"rows": 1})) == {}


def test_a_plan_shows_what_it_recommends_and_what_each_method_needs(stage):
    shown = plan(stage("plan", plan=PLAN))
    assert (shown["recommended"], shown["reason"]) == ("qlora", "the largest that fits")
    assert [(record.data["memory_bytes"], record.data["fits"]) for record in shown["methods"].records] == [
        (7, True),
        (11, False),
    ]


def test_the_numbers_of_a_training_are_numbers(stage):
    shown = adapter(stage("train", training={"train_loss": 0.5, "steps": 10, "host": "a"}))
    assert shown == {"train_loss": 0.5, "steps": 10}


def test_numbers_inside_a_training_are_named_by_their_place(stage):
    training = {"energy_wh": {"value": 3.5, "source": "meter"}, "memory": {"predicted": {"total": 7}, "measured": 8}}
    expected = {"energy_wh": 3.5, "memory/predicted/total": 7, "memory/measured": 8}
    assert adapter(stage("train", training=training)) == expected


def test_the_preflight_shows_findings_longest_rows_lengths_and_three_rows(stage, tmp_path):
    rendered = "```diff\n+ on<|im_end|>\n```\n"
    row = {"file": "train.jsonl", "line": 3, "id": "a", "tokens": 40, "learned": 9}
    found = {"context": 8192, "longer": 0, "served": "x"}
    made = stage(
        "train",
        preflight={
            "rows": {"train": 5},
            "template": "ab",
            "lengths": {"median": 30, "longest": 40},
            "longest": [row],
            "shown": [row],
            "findings": [{"name": "length", "severity": "ok", "found": found, "message": "all fit"}],
            "rendered": hashlib.sha256(rendered.encode()).hexdigest(),
        },
    )
    file = tmp_path / ".fineline" / "preflight" / "home-en.md"
    assert "rendered_rows" not in adapter(made)
    file.parent.mkdir(parents=True)
    file.write_text(rendered, encoding="utf-8")
    shown = adapter(made)
    (finding,) = (record.data for record in shown["findings"].records)
    assert finding == {"severity": "ok", "name": "length", "found": "context 8,192, longer 0", "message": "all fit"}
    assert [record.data for record in shown["longest_rows"].records] == [row]
    assert (shown["rows/train"], shown["lengths/median"], shown["lengths/longest"]) == (5, 30, 40)
    assert shown["rendered_rows"].value == rendered
    file.write_text("rows of another run", encoding="utf-8")
    assert "rendered_rows" not in adapter(made)


def test_the_loss_is_drawn_as_png(stage, tmp_path):
    made = stage("train", training={})
    reports = tmp_path / "reports" / "home-en"
    (reports / "loss.csv").write_text("step,loss,learning_rate\n1,2.0,0.1\n2,1.0,0.1\n")
    (reports / "validation_loss.csv").write_text("step,loss\n2,1.5\n")
    picture = adapter(made)["loss"].value
    data = picture.removeprefix("![loss over steps](data:image/png;base64,").removesuffix(")")
    assert base64.b64decode(data).startswith(b"\x89PNG")


def test_before_the_first_training_nothing_is_shown(stage):
    assert adapter(stage("train")) == {}
    assert plan(stage("plan")) == {}


def test_merge_shows_its_distances(stage):
    assert merged(stage("merge", merge=COMPARISON)) == {
        "fidelity/mean_kl": 1e-5,
        "fidelity/top1_agreement": 0.999,
        "fidelity/max_abs_difference": 0.02,
    }


def test_export_shows_size_and_speed_of_each_form(stage):
    shown = exported(stage("export", export=EXPORT))
    assert (shown["fp32/bytes"], shown["quantized/bytes"], shown["quantized/precision"]) == (540, 86, "int4")
    assert shown["parity/top1_agreement"] == 0.999


def test_without_reports_nothing_is_shown(stage):
    for kind, display in DISPLAYS.items():
        assert display.metadata(stage(kind)) == {}
