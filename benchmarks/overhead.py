"""What Dagster and DVC add to the stages, on the shipped adapter (after `make demo`).

    python benchmarks/overhead.py

Runs the stages that take seconds by hand, one after the other as somebody would type them, then the whole graph through
Dagster with the same stages forced; the other three (train, evaluate, assess) are up to date and pass through both tools. The
difference is what nine steps cost, and hashing and caching of what the forced ones made. Then a retraining of an adapter for
which nothing is new, from the command to its end.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

import yaml

from pipelines import layout, reports

ROOT = Path(__file__).resolve().parent.parent
FORCED = ("base", "ingest", "curate", "plan", "merge", "export")


def main() -> None:
    """Print the figures."""
    ((adapter, block),) = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["adapters"].items()
    names = {"base": block["base"]}
    by_hand = {stage: _seconds(sys.executable, "-m", f"pipelines.{stage}", names.get(stage, adapter)) for stage in FORCED}
    print("by hand: " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in by_hand.items()))
    keys = [f"{names.get(stage, adapter)}__{stage}".replace("-", "_") for stage in FORCED]
    with NamedTemporaryFile("w", suffix=".yaml") as config:
        yaml.safe_dump({"ops": {key: {"config": {"force": True}} for key in keys}}, config)
        config.flush()
        through = _seconds("dagster", "job", "execute", "-m", "assets.definitions", "-j", "everything", "-c", config.name)
    added = through - sum(by_hand.values())
    print(f"through Dagster and DVC: {through:.1f} s, {added:.1f} s more than {sum(by_hand.values()):.1f} s by hand")
    training = reports.read(ROOT / layout.reports(adapter) / "training.json")
    print(
        f"training alone took {training['seconds']:.0f} s, so of a full run they are at most {added / training['seconds']:.1%}"
    )
    tags = json.dumps({"dagster/partition": adapter})
    nothing = _seconds("dagster", "job", "execute", "-m", "assets.definitions", "-j", "retrain", "--tags", tags)
    print(f"a retraining that finds nothing new: {nothing:.1f} s")


def _seconds(*command: str) -> float:
    started = time.perf_counter()
    answer = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
