"""The stage: its output, that the output is reproducible, and the message when nothing fits."""

import json
from dataclasses import replace

import pytest
import yaml

from fineline import artifacts
from fineline.adapters.methods import METHODS
from fineline.errors import InputError
from fineline.hardware import device
from fineline.hardware.device import Device
from fineline.models import shape
from fineline.plan.report import Run
from fineline.plan.workload import Lengths
from fineline.project import layout, params
from fineline.project.params.training import Train
from fineline.stages import handover, plan
from tests import zoo
from tests.models.shapes import GPT2, write_config


@pytest.fixture
def curated(curated):
    configure(curated, method="auto")
    return curated


def configure(project, **train):
    file = project / "params.yaml"
    content = yaml.safe_load(file.read_text())
    content["adapters"]["home"]["train"] |= train
    file.write_text(yaml.safe_dump(content))


def test_the_plan_has_every_method_and_train_can_follow_it(curated, monkeypatch):
    plan.run("home")
    report = json.loads((layout.reports("home") / "plan.json").read_text())
    assert [entry["method"] for entry in report["methods"]] == list(METHODS)
    assert (report["configured"], report["recommended"]) == ("auto", "lora")
    assert report["chosen"]["fits"]
    assert report["chosen"]["seconds"] > 0
    assert report["rows"] == sum(1 for _ in (layout.curated("home") / "train.jsonl").open())
    digests = {
        "base": artifacts.read(layout.base("tiny")).digest,
        "data": artifacts.read(layout.curated("home")).part(layout.TRAINING_ROWS),
    }
    assert {role: report[role] for role in digests} == digests
    assert report["chosen"]["precision"] == report["device"]["precision"]
    found = handover.read_settings(layout.reports("home"), digests, params.load().adapter("home").train, remedy="")
    assert (found.method, found.recompute, found.dequantize) == ("lora", False, False)
    assert handover.forecast(layout.reports("home"), digests).memory_bytes == report["chosen"]["memory_bytes"]

    # The same settings from a machine as large and of another speed.
    first = (layout.reports("home") / handover.SETTINGS).read_bytes()
    machine = device.detect()
    faster = replace(machine, tflops={name: 2 * rate for name, rate in machine.tflops.items()})
    monkeypatch.setattr(device, "detect", lambda: faster)
    plan.run("home")
    assert (layout.reports("home") / handover.SETTINGS).read_bytes() == first
    assert json.loads((layout.reports("home") / "plan.json").read_text())["chosen"]["seconds"] < report["chosen"]["seconds"]


def test_a_machine_without_enough_memory(curated, monkeypatch):
    """`auto` stops with the reason and leaves the evidence; a configured method only gives a warning."""
    plan.run("home")
    small = Device("cpu", "small", 2**20, {"bf16": 1.0, "fp32": 1.0})
    monkeypatch.setattr(device, "detect", lambda: small)
    with pytest.raises(InputError, match=r"adapters.home.train.method: Even qlora .* most of it context"):
        plan.run("home")
    assert not (layout.reports("home") / handover.SETTINGS).exists()
    report = json.loads((layout.reports("home") / "plan.json").read_text())
    assert report["recommended"] is None
    assert not report["chosen"]["fits"]
    configure(curated, method="qlora")
    plan.run("home")
    assert json.loads((layout.reports("home") / handover.SETTINGS).read_text())["train"]["method"] == "qlora"


def test_a_base_whose_layers_are_no_linear_modules(tmp_path):
    """GPT-2: methods that look for separate keys, values and an MLP are not possible, and all others are."""
    gpt2 = shape.of_model(write_config(tmp_path, GPT2))
    run = Run(gpt2, Device("cpu", "any", 2**40, {"bf16": 1.0, "fp32": 1.0}), Train(method="auto"), Lengths(((20, 5),) * 8))
    report = run.report()
    assert report["recommended"] == "lora"
    assert {entry["method"] for entry in report["methods"] if "not_possible" in entry} == {"ia3"}


@pytest.mark.parametrize("family", ["mixtral", "gemma3", "mamba2", "gpt_oss"])
def test_mixtures_models_with_images_and_recurrent_ones_are_planned(tmp_path, family):
    zoo.tiny_config(family).save_pretrained(tmp_path)
    device = Device("cpu", "any", 2**40, {"bf16": 1.0, "fp32": 1.0})
    report = Run(shape.of_model(tmp_path), device, Train(method="auto"), Lengths(((20, 5),) * 8)).report()
    assert (report["recommended"], report["chosen"]["fits"]) == ("lora", True)
    sizes = {entry["method"]: entry["memory_bytes"]["base"] for entry in report["methods"] if "memory_bytes" in entry}
    assert sizes["qlora"] < sizes["lora"]
    if family == "mixtral":  # four bits for linear layers, but not for experts
        assert sizes["qlora"] > 2 * 2 * 4 * 3 * 64 * 64


@pytest.mark.parametrize(("asked", "expected"), [("auto", "fp32"), ("bf16", "bf16"), ("fp32", "fp32")])
def test_a_configured_precision_overrides_that_of_the_machine(tiny_shape, asked, expected):
    machine = Device("cpu", "any", 2**40, {"bf16": 0.1, "fp32": 1.0}, "fp32")
    report = Run(tiny_shape, machine, Train(precision=asked), Lengths(((20, 5),) * 8)).report()
    assert report["chosen"]["precision"] == expected
    other = Run(tiny_shape, machine, Train(precision="fp32"), Lengths(((20, 5),) * 8)).report()
    assert (report["chosen"]["seconds"] > 5 * other["chosen"]["seconds"]) == (expected == "bf16")
    assert (report["chosen"]["memory_bytes"]["base"] < other["chosen"]["memory_bytes"]["base"]) == (expected == "bf16")


def test_a_method_that_the_base_does_not_allow_is_refused(curated):
    file = curated / "params.yaml"
    content = yaml.safe_load(file.read_text())
    content["adapters"]["home"]["train"] = {"method": "bitfit"}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="bitfit trains bias terms, and this base has none"):
        plan.run("home")
