"""A DVC project of the shape of a real one: a base, two adapters, and stages that write a line to runs.log when they run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline.dagster import process_group
from fineline.dagster.stages import Stage
from fineline.project.versions import STAGES
from tests.dagster import warm_dvc

BIN = Path(sys.executable).parent
WARM = "FINELINE_TEST_DVC"
"""Names the command `dvc` of tests.dagster.warm_dvc."""
ROOT = Path(__file__).resolve().parents[2]

GRAPH = """
stages:
  base:
    foreach: ${bases}
    do:
      desc: The base model
      cmd: python stage.py base ${key}
      params:
        - bases.${key}
        - fineline.lock:
            - stages.base
      outs:
        - models/bases/${key}
      metrics:
        - reports/bases/${key}/provenance/base.json:
            cache: false
      meta:
        owner: ${item.owner}
  curate:
    foreach: ${adapters}
    do:
      desc: Curated rows
      cmd: python stage.py curate ${key}
      params:
        - adapters.${key}.curate
        - fineline.lock:
            - stages.curate
      deps:
        - rows
      outs:
        - data/curated/${key}
      metrics:
        - reports/${key}/provenance/curate.json:
            cache: false
        - reports/${key}/curation.json:
            cache: false
      meta:
        owner: ${item.owner}
  train:
    foreach: ${adapters}
    do:
      desc: The adapter
      cmd: python stage.py train ${key}
      params:
        - adapters.${key}.train
        - fineline.lock:
            - stages.train
      deps:
        - data/curated/${key}/train.json
        - models/bases/${item.base}
      outs:
        - models/adapters/${key}
      metrics:
        - reports/${key}/provenance/train.json:
            cache: false
        - reports/${key}/training.json:
            cache: false
      meta:
        owner: ${item.owner}
  evaluate:
    foreach: ${adapters}
    do:
      desc: The verdict of the gate
      cmd: python stage.py evaluate ${key}
      params:
        - adapters.${key}.evaluate
        - fineline.lock:
            - stages.evaluate
      deps:
        - data/curated/${key}/test.json
        - models/adapters/${key}
      metrics:
        - reports/${key}/provenance/evaluate.json:
            cache: false
        - reports/${key}/gate.json:
            cache: false
      meta:
        owner: ${item.owner}
"""

LOCK = {
    "fineline": "0.2.0",
    "stages": dict.fromkeys(STAGES, 1),
    "libraries": {},
}

PARAMS = {
    "bases": {"tiny-1m": {"owner": "models@fineline.example"}},
    "adapters": {
        "home-en": {
            "owner": "voice@fineline.example",
            "base": "tiny-1m",
            "curate": {"train": 1, "test": 1},
            "train": {"rank": 8},
            "evaluate": 1,
        },
        "support": {
            "owner": "support-team",
            "base": "tiny-1m",
            "curate": {"train": 1, "test": 1},
            "train": {"rank": 8},
            "evaluate": 1,
        },
    },
}

STAGE = """
import json, os, signal, sys, time
from pathlib import Path
import yaml

kind, name = sys.argv[1:]
blocks = yaml.safe_load(Path("params.yaml").read_text())["bases" if kind == "base" else "adapters"][name]
with open("runs.log", "a") as log:
    log.write(f"{kind}@{name}\\n")
if train := kind == "train" and blocks["train"]:
    if train.get("stubborn"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if train.get("seconds"):
        print("group", os.getpgid(0), flush=True)
        time.sleep(train["seconds"])
    if train.get("fails"):
        raise SystemExit("loss is not finite")

def write(path, content):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))

made = {"base": "models/bases", "train": "models/adapters"}
if kind in made:
    write(f"{made[kind]}/{name}/content.json", blocks.get(kind, blocks))
if kind == "curate":
    for split, content in blocks["curate"].items():
        write(f"data/curated/{name}/{split}.json", content)
write(f"reports/{'bases/' if kind == 'base' else ''}{name}/provenance/{kind}.json", {"started": time.time()})
reports = {
    "curate": ("curation", {"rows_in": 4, "kept": 3}),
    "train": ("training", {"train_loss": 0.5, "seconds": time.time()}),
    "evaluate": ("gate", {"verdict": "pass", "reasons": [], "rules": []}),
}
if kind in reports:
    report, content = reports[kind]
    write(f"reports/{name}/{report}.json", content)
"""


@dataclass(frozen=True)
class Project:
    """A project on disk, and what users do with it."""

    root: Path

    def dvc(self, *arguments: str) -> str:
        """Output of a DVC command, which must succeed."""
        return dvc(self.root, *arguments)

    def runs(self) -> list[str]:
        """The stages that really ran, in order."""
        log = self.root / "runs.log"
        return log.read_text().split() if log.exists() else []

    def set(self, **train: object) -> None:
        """Change the training of home-en in params.yaml."""
        self._change("train", train)

    def set_curate(self, **curate: int) -> None:
        """Change the curation of home-en in params.yaml: the content of `train.json` or `test.json`."""
        self._change("curate", curate)

    def _change(self, kind: str, block: dict[str, Any]) -> None:
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        params["adapters"]["home-en"][kind] |= block
        (self.root / "params.yaml").write_text(yaml.safe_dump(params))

    def raise_version(self, kind: str) -> None:
        """Raise the version of a kind of stage in fineline.lock."""
        lock = yaml.safe_load((self.root / "fineline.lock").read_text())
        lock["stages"][kind] += 1
        (self.root / "fineline.lock").write_text(yaml.safe_dump(lock))

    def lock(self) -> str:
        """The content of dvc.lock, empty if there is none."""
        file = self.root / "dvc.lock"
        return file.read_text() if file.exists() else ""


def dvc(root: Path, *arguments: str) -> str:
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = [os.environ[WARM], *arguments]
    return subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session", autouse=True)
def quiet_dvc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Switch off analytics, keep DVC's state of these projects in a temporary directory, and import DVC once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("dvc-state")))
        with warm_dvc.served() as command:
            patch.setenv(WARM, str(command))
            yield


@pytest.fixture(autouse=True)
def stages_through_warm_dvc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start stages with the command that has DVC imported already, unless the test asks for the installed one."""
    if request.node.get_closest_marker("installed_dvc") is None:
        run = process_group.run

        def warm(command: Sequence[str], *arguments: Any, **options: Any) -> int:
            program = os.environ[WARM] if command[0] == "dvc" else command[0]
            return run([program, *command[1:]], *arguments, **options)

        monkeypatch.setattr(process_group, "run", warm)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project before its first run; copied, never used."""
    root = tmp_path_factory.mktemp("fresh")
    dvc(root, "init", "--no-scm", "--quiet")
    (root / "dvc.yaml").write_text(GRAPH)
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (root / "fineline.lock").write_text(yaml.safe_dump(LOCK))
    (root / "stage.py").write_text(STAGE)
    (root / "rows").mkdir()
    (root / "rows" / "day-1.jsonl").write_text("{}\n")
    return root


@pytest.fixture(scope="session")
def made(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after `dvc repro`; copied, never used."""
    root = tmp_path_factory.mktemp("made") / "project"
    shutil.copytree(fresh, root)
    dvc(root, "repro")
    return root


@pytest.fixture
def fresh_project(fresh: Path, tmp_path: Path) -> Project:
    """A project in which no stage has run."""
    return _copy(fresh, tmp_path)


@pytest.fixture
def made_project(made: Path, tmp_path: Path) -> Project:
    """A project in which `dvc repro` has made everything."""
    return _copy(made, tmp_path)


@pytest.fixture(scope="session")
def own_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of this repository's own graph, without its data and models."""
    root = tmp_path_factory.mktemp("own")
    for file in ("dvc.yaml", "params.yaml", "fineline.lock", ".dvcignore"):
        shutil.copy(ROOT / file, root)
    dvc(root, "init", "--no-scm", "--quiet", "--force")
    return Project(root)


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Stage]:
    """Return a function that makes a stage of home-en from its kind, its outs, and its reports, which it writes."""

    def make(kind: str, *outs: str, **reports: object) -> Stage:
        for name, content in reports.items():
            file = tmp_path / "reports" / "home-en" / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content))
        return Stage(tmp_path, f"{kind}@home-en", "true", "", "", (), {}, {}, outs, outs)

    return make


def _copy(source: Path, target: Path) -> Project:
    root = target / "project"
    shutil.copytree(source, root)
    return Project(root)
