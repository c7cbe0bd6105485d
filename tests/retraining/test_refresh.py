"""fineline.retraining.refresh: pins move to the newest version, and the moves are reported."""

import subprocess
import sys
import zipfile
from hashlib import sha256

import pytest
import yaml

from fineline.errors import InputError, Unreachable
from fineline.project import params
from fineline.retraining import refresh, triggers
from tests.conftest import small_params
from tests.hub_server import REVISION, serving

PIN = f"{triggers.CORPUS}==1.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n"
LOCK = f"before==1.0\n{PIN}    # via us\nlater==2.0\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a packaged corpus, and a directory with one release of it, pip's only source."""
    content = small_params(tmp_path)
    content["adapters"]["home"]["source"] = {"path": "some.lock", "parts": {"home": {"home_assistant": {}}}}
    (tmp_path / "params.yaml").write_text("# ours\n" + yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "some.lock").write_text(LOCK, encoding="utf-8")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    info = "home_assistant_intents-9999.1.dist-info"
    with zipfile.ZipFile(shelf / "home_assistant_intents-9999.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("home_assistant_intents/__init__.py", "HERE = True\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {triggers.CORPUS}\nVersion: 9999.1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return tmp_path


def test_a_newer_release_is_pinned_by_its_digest_and_put_before_the_installed_one(project):
    assert refresh.refresh("home", project) == [f"{triggers.CORPUS}: 1.0 -> 9999.1"]
    (wheel,) = (project / "shelf").iterdir()
    pin = f"{triggers.CORPUS}==9999.1 \\\n    --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n"
    assert (project / "some.lock").read_text() == f"before==1.0\n{pin}    # via us\nlater==2.0\n"
    assert refresh.refresh("home", project) == [], "a current pin does not move"
    (place,) = refresh.packages("home", project)
    assert (place / "home_assistant_intents" / "__init__.py").read_text() == "HERE = True\n"
    assert refresh.packages("home", project) == [place]


def test_a_package_with_another_digest_is_not_used(project):
    refresh.refresh("home", project)
    file = project / "some.lock"
    file.write_text(file.read_text().replace("--hash=sha256:", "--hash=sha256:" + "0" * 8)[: -len("later==2.0\n")])
    with pytest.raises(Unreachable, match="pip could not fetch it with the pinned digest"):
        refresh.packages("home", project)


def test_without_an_index_nothing_moves(project):
    (wheel,) = (project / "shelf").iterdir()
    wheel.unlink()
    with pytest.raises(Unreachable, match="no package index has it"):
        refresh.refresh("home", project)
    assert (project / "some.lock").read_text() == LOCK


def test_a_lock_without_the_pin_is_an_error(project):
    (project / "some.lock").write_text("other==1.0\n")
    with pytest.raises(InputError, match="does not pin home-assistant-intents"):
        refresh.refresh("home", project)


def test_the_newest_commit_of_a_dataset_is_asked_of_the_hub(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}")
    code = "from fineline.retraining import triggers; print(triggers.newest_commit('acme/tiny'))"
    with serving(tmp_path, "datasets") as environment:
        answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == REVISION


def test_a_newer_commit_is_pinned_and_comments_stay(project, monkeypatch):
    content = yaml.safe_load((project / "params.yaml").read_text())
    hub = {"repo": "acme/tiny", "revision": "f" * 40}
    content["adapters"]["home"]["source"]["parts"] = {"faq": {"hub": hub}}
    (project / "params.yaml").write_text("# ours\n" + yaml.safe_dump(content))
    monkeypatch.setattr(triggers, "newest_commit", lambda repo: REVISION)
    assert refresh.refresh("home", project) == [f"acme/tiny: {'f' * 12} -> {REVISION[:12]}"]
    assert params.load(project / "params.yaml").adapter("home").source.parts["faq"].hub.revision == REVISION
    assert (project / "params.yaml").read_text().startswith("# ours\n")
