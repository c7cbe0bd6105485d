"""assets.training: the plan, the numbers of a training, and its loss curves."""

import base64

from assets.training import adapter, plan

PLAN = {
    "device": {"name": "cpu"},
    "methods": [
        {"method": "qlora", "trained_parameters": 1000, "memory_bytes": {"weights": 5, "total": 7}, "fits": True},
        {"method": "lora", "trained_parameters": 1000, "memory_bytes": {"weights": 9, "total": 11}, "fits": False},
    ],
    "recommended": "qlora",
    "reason": "the largest that fits",
}


def test_a_plan_shows_what_it_recommends_and_what_each_method_needs(stage):
    shown = plan(stage("plan", plan=PLAN))
    assert (shown["recommended"], shown["reason"]) == ("qlora", "the largest that fits")
    assert [(record.data["memory_bytes"], record.data["fits"]) for record in shown["methods"].records] == [
        (7, True),
        (11, False),
    ]


def test_the_numbers_of_a_training_stay_numbers(stage):
    shown = adapter(stage("train", training={"train_loss": 0.5, "steps": 10, "host": "a"}))
    assert shown == {"train_loss": 0.5, "steps": 10}


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
