"""The decoding settings that ship are those that were judged."""

import json
import shutil

import pytest

from fineline.errors import FinelineError
from fineline.export import decoding, onnx, safetensors

SAMPLED = {
    "bos_token_id": 1,
    "eos_token_id": [2, 5],
    "pad_token_id": 0,
    "do_sample": True,
    "temperature": 0.7,
    "repetition_penalty": 1.1,
    "max_length": 99,
    "transformers_version": "5.0.0",
}


def model_with(place, tiny_base, settings):
    model = shutil.copytree(tiny_base, place)
    (model / decoding.FILE).write_text(json.dumps(settings))
    return model


def shipped(directory):
    return json.loads((directory / decoding.FILE).read_text())


def test_settings_that_change_greedy_answers_are_left_out(tmp_path, tiny_base):
    model = model_with(tmp_path / "model", tiny_base, SAMPLED)
    assert decoding.replaced(model) == {"do_sample": True, "temperature": 0.7, "repetition_penalty": 1.1}
    (tmp_path / "out").mkdir()
    safetensors.build(model, tmp_path / "out")
    kept = {key: SAMPLED[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id", "max_length", "transformers_version")}
    assert shipped(tmp_path / "out") == kept | {"do_sample": False}
    safetensors.check_copied(model, tmp_path / "out")


@pytest.mark.parametrize("settings", [{"eos_token_id": 2}, {"do_sample": False, "repetition_penalty": 1.0, "top_k": None}])
def test_greedy_settings_ship_as_they_are(tmp_path, tiny_base, settings):
    model = model_with(tmp_path / "model", tiny_base, settings)
    assert decoding.replaced(model) == {}
    decoding.write(model, tmp_path)
    assert (tmp_path / decoding.FILE).read_bytes() == (model / decoding.FILE).read_bytes()
    assert decoding.as_judged(model, tmp_path / "view") == model


def test_a_model_without_settings_gets_none(tmp_path, tiny_base):
    model = model_with(tmp_path / "model", tiny_base, {})
    (model / decoding.FILE).unlink()
    (tmp_path / "out").mkdir()
    safetensors.build(model, tmp_path / "out")
    assert not (tmp_path / "out" / decoding.FILE).exists()


def test_the_onnx_runtime_decodes_greedily_too(tmp_path, tiny_base):
    model = model_with(tmp_path / "model", tiny_base, SAMPLED)
    out = tmp_path / "out"
    out.mkdir()
    onnx.build(model, "fp32", out, tmp_path / "scratch")
    search = json.loads((out / "genai_config.json").read_text())["search"]
    assert (search["do_sample"], search["temperature"], search["repetition_penalty"]) == (False, 1.0, 1.0)
    assert json.loads((out / "genai_config.json").read_text())["model"]["eos_token_id"] == [2, 5]
    assert shipped(out)["do_sample"] is False
    assert not any(path.is_symlink() for path in out.rglob("*"))


def test_a_copy_that_differs_is_not_exported(tmp_path, tiny_base):
    model = model_with(tmp_path / "model", tiny_base, {})
    (tmp_path / "out").mkdir()
    safetensors.build(model, tmp_path / "out")
    weights = tmp_path / "out" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(FinelineError, match=r"model.safetensors: differs from"):
        safetensors.check_copied(model, tmp_path / "out")
