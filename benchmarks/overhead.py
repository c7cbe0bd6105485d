"""Time that Dagster and DVC add to the stages, on the shipped adapter (after `make demo`).

    python benchmarks/overhead.py [TOKENS_PER_SECOND]

Runs every stage but the training by hand, one after the other as a user would type them, then the whole graph through
Dagster with the same stages forced; the training is up to date and passes through both tools. The difference is what nine
steps cost, and hashing and caching of what the forced ones made. Of a full run it is a share that depends on how fast the
training is: as recorded, or as given. Then a retraining of an adapter for which nothing is new, from the command to its end.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

import yaml

from fineline.artifacts import reports
from fineline.project import layout

ROOT = Path(__file__).resolve().parent.parent
FORCED = ("base", "ingest", "curate", "plan", "evaluate", "merge", "export", "assess")


def main(tokens_per_second: float | None) -> None:
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
    hand = sum(by_hand.values())
    added = through - hand
    print(f"through Dagster and DVC: {through:.1f} s, {added:.1f} s more than {hand:.1f} s by hand")
    training = reports.read(ROOT / layout.reports(adapter) / "training.json")
    trained = training["tokens"] / (tokens_per_second or training["tokens_per_second"])
    print(f"with a training of {trained:.0f} s that is {added / (hand + trained):.1%} of a full run")
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
    main(float(sys.argv[1]) if len(sys.argv) > 1 else None)
