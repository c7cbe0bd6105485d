"""Time that Dagster takes to load the definitions, and to import dagster alone: with one adapter, and with 200.

    python benchmarks/loading.py [ADAPTERS ...]

Each figure is the median of five fresh processes; the project is this one's graph with its adapter under many names.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
ALONE = "import dagster"
LOADED = """
import sys
from pathlib import Path
from fineline.dagster.definitions import build_definitions
keys = build_definitions(Path(sys.argv[1])).get_repository_def().asset_graph.materializable_asset_keys
assert len(list(keys)) == int(sys.argv[2])
"""


def main(counts: list[int]) -> None:
    """Print a line per number of adapters."""
    alone = _median(ALONE)
    print(f"import dagster: {alone:.2f} s")
    for count in counts:
        with TemporaryDirectory() as directory:
            project = _project(Path(directory), count)
            assets = 8 * count + 1
            seconds = _median(LOADED, str(project), str(assets))
            print(f"{count} adapters, {assets} assets: {seconds:.2f} s, {seconds - alone:.2f} s over dagster's own import")


def _project(directory: Path, count: int) -> Path:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (block,) = content["adapters"].values()
    content["adapters"] = {f"adapter-{number}": block for number in range(count)}
    (directory / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    for name in ("dvc.yaml", "fineline.lock", ".dvcignore"):
        shutil.copy(ROOT / name, directory)
    for name in ("corpora", "pipelines", "suites"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=directory, check=True)
    return directory


def _median(code: str, *arguments: str) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, env=os.environ, check=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1, 200])
