"""A project for whole retrainings: its stages take no time; its params.yaml, artifacts and reports have the real format.

An adapter passes unless one of its rows says `bad`. Every run of a stage writes a line to the file that RUNS names, outside of
the project.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import yaml

from fineline.artifacts import reports
from fineline.governance import store
from fineline.project import layout, lock
from tests.dagster.conftest import BIN, WARM

GRAPH = """
stages:
  base:
    foreach: ${bases}
    do:
      cmd: python stage.py base ${key}
      params: ["bases.${key}", fineline.lock: [stages.base]]
      outs: ["models/bases/${key}"]
      metrics: ["reports/bases/${key}/provenance/base.json": {cache: false}]
      meta: {owner: "${item.owner}", limit_hours: 1}
  ingest:
    foreach: ${adapters}
    do:
      cmd: python stage.py ingest ${key}
      params: ["adapters.${key}.source", fineline.lock: [stages.ingest]]
      deps: ["${item.source.path}"]
      outs: ["data/raw/${key}"]
      metrics: ["reports/${key}/provenance/ingest.json": {cache: false}]
      meta: {owner: "${item.owner}"}
  train:
    foreach: ${adapters}
    do:
      cmd: python stage.py train ${key}
      params: ["adapters.${key}.train", fineline.lock: [stages.train]]
      deps: ["data/raw/${key}/rows.jsonl", "models/bases/${item.base}"]
      outs: ["models/adapters/${key}"]
      metrics: ["reports/${key}/provenance/train.json": {cache: false}]
      meta: {owner: "${item.owner}"}
  evaluate:
    foreach: ${adapters}
    do:
      cmd: python stage.py evaluate ${key}
      params: ["adapters.${key}.evaluate", fineline.lock: [stages.evaluate]]
      deps: ["models/adapters/${key}"]
      metrics: ["reports/${key}/provenance/evaluate.json": {cache: false}, "reports/${key}/gate.json": {cache: false}]
      meta: {owner: "${item.owner}"}
  assess:
    foreach: ${adapters}
    do:
      cmd: python stage.py assess ${key}
      params: [fineline.lock: [stages.assess]]
      deps: ["reports/${key}/gate.json"]
      metrics: ["reports/${key}/provenance/assess.json": {cache: false}, "reports/${key}/candidate.json": {cache: false}]
      meta: {owner: "${item.owner}"}
"""

STAGE = """
import json, os, sys, time
from pathlib import Path
from fineline import artifacts
from fineline.artifacts import provenance, reports
from fineline.project import layout, params

kind, name = sys.argv[1:]
with open(os.environ["RUNS"], "a") as log:
    log.write(f"{kind}@{name}\\n")
now = provenance.now()
ran = {"stage": f"{kind}@{name}", "stage_version": 1, "artifacts": {}, "owner": "a", "license": "mit"}
ran |= {"fineline": "0", "code": "0", "commit": None, "dirty": None, "libraries": {}, "host": {}}
ran |= {"started": f"{now} {time.time()}", "finished": now}
reports.write(layout.provenance(kind, name), ran)
made = {"name": name, "stage": kind}
if kind == "base":
    with artifacts.create(layout.base(name), kind="base", **made) as at:
        (at / "config.json").write_text("{}")
    sys.exit(0)
block = params.load().adapter(name)
if kind == "ingest":
    source = Path(block.source.path)
    files = sorted(source.rglob("*.jsonl")) if source.is_dir() else [source]
    with artifacts.create(layout.raw(name), kind="raw-data", **made) as at:
        (at / "rows.jsonl").write_text("".join(file.read_text() for file in files))
elif kind == "train":
    if (pause := os.environ.get("PAUSE")) and Path(pause).exists():
        print("training in", os.getpgid(0), flush=True)
        time.sleep(float(Path(pause).read_text()))
    with artifacts.create(layout.adapter(name), kind="adapter", **made) as at:
        (at / "weights.txt").write_bytes((layout.raw(name) / "rows.jsonl").read_bytes())
elif kind == "evaluate":
    rows = (layout.adapter(name) / "weights.txt").read_text()
    digest = artifacts.read(layout.adapter(name)).digest
    arms = {"candidate": {"digest": digest}}
    if block.evaluate.champion:
        arms["champion"] = {"digest": artifacts.verified(Path(block.evaluate.champion.path)).digest}
    verdict = "fail" if "bad" in rows else "pass"
    scores = {"candidate": {"target_exact_match": rows.count("{") / 100}}
    gate = {"verdict": verdict, "arms": arms, "scores": scores}
    reports.write(layout.reports(name) / "gate.json", gate)
else:
    gate = reports.read(layout.reports(name) / "gate.json")
    found = {"verdict": gate["verdict"], "reasons": [f"It is a {gate['verdict']}."], "candidate": gate["arms"]["candidate"]}
    reports.write(layout.reports(name) / "candidate.json", found)
"""

IGNORED = "/data/raw/\n/models/\n/releases/\n/.fineline/\n/tickets/\n__pycache__/\n"


SERVED = """
from pathlib import Path
from fineline.dagster import EXECUTOR, build_definitions
defs = build_definitions(Path({!r}), executor=EXECUTOR)
"""
"""The module that `dagster dev` or the daemon loads, to be formatted with the project's path."""


class Small:
    """The project on disk."""

    def __init__(self, root: Path, adapters=("support",), repository: Path | None = None, **retrain: object) -> None:
        """Make a project; `repository` is the top of a larger git repository, above `root`."""
        self.root = root
        self.log = (repository or root).parent / f"{root.name}.runs"
        os.environ["RUNS"] = str(self.log)
        (root / "tickets").mkdir(parents=True)
        self.rows("day-1", "one")
        blocks = {name: adapter(f"tickets/{name}" if len(adapters) > 1 else "tickets", retrain) for name in adapters}
        for name in adapters if len(adapters) > 1 else ():
            self.rows("day-1", name, name)
        params = {"bases": {"tiny": {"owner": "m@example.com", "license": "mit", "path": "."}}, "adapters": blocks}
        (root / "params.yaml").write_text("# ours\n" + yaml.safe_dump(params, sort_keys=False))
        (root / "dvc.yaml").write_text(GRAPH)
        lock.write(lock.installed(), root)
        (root / "stage.py").write_text(STAGE)
        (root / ".gitignore").write_text(IGNORED)
        self.run("git", "init", "--quiet", "--initial-branch", "main", str(repository or root))
        self.run("dvc", "init", "--quiet", *(["--subdir"] if repository else []))
        self.run("dvc", "repro", "--quiet")
        self.commit("begin")

    def rows(self, day: str, *texts: str) -> None:
        """Add a file of rows, in the directory that a second text names."""
        place = self.root / "tickets" / (texts[1] if len(texts) > 1 else "")
        place.mkdir(exist_ok=True)
        (place / f"{day}.jsonl").write_text(json.dumps({"text": texts[0]}) + "\n")

    def run(self, *command: str) -> str:
        environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        program = os.environ[WARM] if command[0] == "dvc" else command[0]
        answer = subprocess.run(
            [program, *command[1:]], cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
        return answer.stdout

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        return self.run("git", *who, *arguments).strip()

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def set(self, **retrain: object) -> None:
        """Set the `retrain:` block of every adapter."""
        content = yaml.safe_load((self.root / "params.yaml").read_text())
        for block in content["adapters"].values():
            block["retrain"] = retrain
        (self.root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def runs(self) -> list[str]:
        return self.log.read_text().split()

    def branches(self, name: str = "support") -> list[str]:
        listed = self.git("for-each-ref", "--sort=creatordate", "--format=%(refname:short)", f"refs/heads/retrain/{name}")
        return listed.split()

    def promote(self, name: str = "support") -> str:
        """Put the present result in production, as far as retraining looks; return the digest of the adapter."""
        digest = str(reports.read(self.root / layout.reports(name) / "gate.json")["arms"]["candidate"]["digest"])
        release = self.root / store.ROOT / name / digest.removeprefix("sha256:")
        reports.write(release / store.RECORD, {"artifacts": {"adapter": {"digest": digest}}})
        link = self.root / store.channel(name, "production")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / release.name)
        return digest


def adapter(path: str, retrain: dict[str, object]) -> dict[str, object]:
    return {
        "owner": "a@example.com",
        "license": "mit",
        "base": "tiny",
        "source": {"path": path},
        "curate": {},
        "train": {},
        "evaluate": {"guards": []},
        "export": {},
        "retrain": retrain,
    }


def until(ask, seconds=120.0):
    """Return the first true answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.2)
    raise AssertionError("timed out waiting for the condition")
