"""Curation: speed, memory, and what is found, against planted truth and against datatrove.

`make bench`, or `python benchmarks/curation.py --rows 20000 --no-peer`, after `make demo` (it makes the base model, whose
tokenizer counts). The rows of benchmarks/planted.py go through fineline's two stages as a user runs them, in a project made
for the purpose, and through benchmarks/datatrove_peer.py. Memory is the proportional set size of all processes (Linux).
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Annotated, Any

import numpy as np
import orjson
import psutil
import typer
import yaml

from fineline.curate import similar
from fineline.curate.text import SHINGLE, Words, normalize, words
from fineline.curate.workers import cores
from fineline.project import layout, lock
from fineline.project.params import FILE
from fineline.project.params.curation import Duplicates
from fineline.suites import suite as suites
from planted import Truth, generate

NAME = "planted"
BASE = "smollm2-135m"
SUITE = "mmlu_dev"
SEED = 1
SCALING = (100_000, 1_000_000)
ROOT = Path(__file__).resolve().parents[1]
PEER = Path(__file__).with_name("datatrove_peer.py")
PEER_NEAR = ("signatures", "buckets", "clusters")
PEER_FINDS = ("exact", "near", "repetition", "broken")
BETWEEN_LOOKS = 1.0  # seconds; a look takes a tenth of one, which both contenders feel
BATCH = 5_000  # rows


@dataclass(frozen=True)
class Result:
    """The time and memory that one contender took, and its effect on the rows."""

    seconds: float
    near_seconds: float
    """Finding near-duplicates alone, from rows in JSONL to the list of those to leave out."""
    near_rows: int
    peak: int
    """Bytes, of all processes together."""
    found: dict[str, float]
    """Kind of fault -> share of the planted ones that was dealt with."""
    removed_wrongly: float
    """Share of the clean rows."""
    changed_wrongly: float | None = None
    """Share of the clean rows; None where it was not looked at."""


def main(
    rows: Annotated[int, typer.Option(help="How many rows.")] = SCALING[0],
    scaling: Annotated[bool, typer.Option("--scaling", help=f"{SCALING[0]:,} and {SCALING[1]:,} rows, and the ratio.")] = False,
    peer: Annotated[bool, typer.Option(help="Run datatrove on the same rows.")] = True,
) -> None:
    """Print one table for each number of rows, then the machine."""
    seconds = [_compare(size, peer) for size in (SCALING if scaling else (rows,))]
    if scaling:
        print(f"{SCALING[1] // SCALING[0]} times the rows took {seconds[1] / seconds[0]:.1f} times as long\n")
    print(_machine())


def near_duplicates_alone(rows: list[tuple[str, str]]) -> set[int]:
    """Return the places of the rows (prompt, completion) that fineline would remove as near-duplicates, without any other step.

    As in the stage: shingles, sketches and bands of batches in one process per core, then the search with exact verification.
    """
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        sketched = list(pool.map(_sketched, batches))
    bands = np.concatenate([one for one, _, _ in sketched])
    sets = [part for _, shingles, starts in sketched for part in np.split(shingles, starts[1:-1])]
    found = similar.search(
        np.arange(len(rows)),
        bands,
        lambda one, two: similar.jaccard(frozenset(sets[one].tolist()), frozenset(sets[two].tolist())),
        Duplicates().similarity or 1,
        lambda one, two: True,
    )
    return {row for row, _, _ in found.pairs}


def _sketched(rows: list[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bands of each row; the shingles of all, prompt before completion; where each row's begin."""
    halves = Words.from_texts([words(normalize(half)) for row in rows for half in row])
    shingles, starts = halves.sequences(SHINGLE)
    sketch = similar.sketches(shingles, starts)
    return similar.band_hashes(np.minimum(sketch[0::2], sketch[1::2])), shingles, starts[0::2]


def _compare(size: int, with_peer: bool) -> float:
    """Run both, print the table, and return fineline's seconds."""
    layout.SCRATCH.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=layout.SCRATCH) as scratch:
        project, data = Path(scratch) / "project", Path(scratch) / "project" / "incoming"
        data.mkdir(parents=True)
        truth = generate(data, size, SEED, _suite_items())
        _set_up(project)
        results = {"fineline": _fineline(project, truth)}
        if with_peer:
            results["datatrove"] = _datatrove(data / "rows.jsonl", Path(scratch) / "peer", truth)
        _print_table(size, results)
        _print_steps(project)
    return results["fineline"].seconds


def _suite_items() -> list[str]:
    return [str(item["question"]) for item in suites.read(SUITE).items]


def _set_up(project: Path) -> None:
    """Write a project with one adapter on the shipped base, which is linked to."""
    if not layout.tokenizer(BASE).is_dir():
        sys.exit(f"{layout.tokenizer(BASE)}: missing; run `make demo` first")
    for path in (layout.base(BASE), layout.tokenizer(BASE), layout.SUITES, lock.FILE):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).symlink_to(path.resolve())
    adapter = {
        "owner": "benchmarks@fineline.example",
        "license": "cc0-1.0",
        "base": BASE,
        "source": {"path": "incoming", "parts": {"rows": {"files": "rows.jsonl"}}},
        "curate": {"system": "Answer briefly.", "quality": {"languages": ["en"]}},
        "train": {},
        "evaluate": {"guards": [SUITE]},
        "export": {},
    }
    bases = yaml.safe_load(FILE.read_text(encoding="utf-8"))["bases"]
    (project / FILE).write_text(yaml.safe_dump({"bases": bases, "adapters": {NAME: adapter}}), encoding="utf-8")


def _fineline(project: Path, truth: Truth) -> Result:
    """Both stages, and what they did to the planted rows."""
    stages = [
        _watched([sys.executable, str(ROOT / "pipelines" / f"{stage}.py"), NAME], project) for stage in ("ingest", "curate")
    ]
    curated = project / layout.curated(NAME)
    out, changed = ({_row(entry["at"]) for entry in _entries([curated / f"{name}.jsonl"])} for name in ("left_out", "changed"))
    found = _found(truth, out)
    found["invisible"] = _share(fault["row"] in out | changed for fault in truth.planted["invisible"])
    kept = _entries([curated / f"{split}.jsonl" for split in ("train", "validation", "test")])
    values = {fault["value"] for kind in ("personal", "secret") for fault in truth.planted[kind]}
    exposed = _still_there(values, ("\n".join(turn["content"] for turn in row["messages"]) for row in kept))
    for kind in ("personal", "secret"):
        found[kind] = _share(fault["value"] not in exposed for fault in truth.planted[kind])
    seconds, rows = _timed_alone(project / "incoming" / "rows.jsonl")
    return Result(
        seconds=sum(seconds for seconds, _, _ in stages),
        near_seconds=seconds,
        near_rows=rows,
        peak=max(peak for _, peak, _ in stages),
        found=found,
        removed_wrongly=_removed_wrongly(truth, out),
        changed_wrongly=_share(row in changed for row in truth.clean()),
    )


def _datatrove(rows: Path, scratch: Path, truth: Truth) -> Result:
    """The peer; the seconds are those of its phases, without the start of its process."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "sync", "--quiet", "--script", str(PEER)], check=True)
    python = subprocess.run([*uv, "python", "find", "--script", str(PEER)], check=True, capture_output=True, text=True)
    _, peak, output = _watched([python.stdout.strip(), str(PEER), str(rows.resolve()), str(scratch.resolve())], Path.cwd())
    account = json.loads(output.splitlines()[-1])
    kept = {int(row["id"]) for row in _entries(sorted((scratch / "kept").glob("*.jsonl")))}
    out = set(range(truth.rows)) - kept
    return Result(
        seconds=sum(account["seconds"].values()),
        near_seconds=sum(account["seconds"][phase] for phase in PEER_NEAR),
        near_rows=account["rows_distinct"],
        peak=peak,
        found={kind: share for kind, share in _found(truth, out).items() if kind in PEER_FINDS},
        removed_wrongly=_removed_wrongly(truth, out),
    )


def _watched(command: list[str], directory: Path) -> tuple[float, int, str]:
    """Run a command: seconds, bytes at the peak of all its processes together, standard output."""
    with TemporaryFile("w+", encoding="utf-8") as output, TemporaryFile("w+", encoding="utf-8") as errors:
        started = time.perf_counter()
        process = psutil.Popen(command, cwd=directory, stdout=output, stderr=errors)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory(process))
            with suppress(psutil.TimeoutExpired):
                process.wait(timeout=BETWEEN_LOOKS)
        seconds = time.perf_counter() - started
        for file in (output, errors):
            file.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)} exited with code {process.returncode}:\n{errors.read()}")
        return seconds, peak, output.read()


def _memory(process: psutil.Process) -> int:
    """Proportional set size in bytes: a page that two processes share counts half for each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it ended while we looked
                total += member.memory_full_info().pss
    return total


def _timed_alone(file: Path) -> tuple[float, int]:
    """Seconds from the file to the near-duplicates in it, and rows."""
    started = time.perf_counter()
    rows = []
    for line in file.open("rb"):
        with suppress(orjson.JSONDecodeError, KeyError):
            row = orjson.loads(line)
            rows.append((row["prompt"], row["completion"]))
    near_duplicates_alone(rows)
    return time.perf_counter() - started, len(rows)


def _entries(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        yield from map(orjson.loads, file.open("rb"))


def _row(at: str) -> int:
    """The row's number, from `rows.jsonl:<line>`."""
    return int(at.rsplit(":", 1)[1]) - 1


def _found(truth: Truth, out: set[int]) -> dict[str, float]:
    """Kind of fault -> share of the planted ones that are gone, `out` being the rows left out."""
    found = {kind: _share(fault["row"] in out for fault in faults) for kind, faults in truth.planted.items()}
    for kind in ("exact", "near"):  # of a pair, one must go
        found[kind] = _share(not out.isdisjoint((fault["row"], fault["original"])) for fault in truth.planted[kind])
    found["label_noise"] = _share(out.issuperset((fault["row"], fault["original"])) for fault in truth.planted["label_noise"])
    return found


def _removed_wrongly(truth: Truth, out: set[int]) -> float:
    """Share of the clean rows; an original that went while its copy stayed is not counted."""
    replaced = {fault["original"] for kind in ("exact", "near") for fault in truth.planted[kind] if fault["row"] not in out}
    gone = out - replaced
    return _share(row in gone for row in truth.clean())


def _still_there(values: set[str], texts: Iterator[str]) -> set[str]:
    """Return the values whose longest line is still in a text."""
    lines = {value: max(value.splitlines(), key=len) for value in values}
    by_word: dict[str, list[str]] = defaultdict(list)  # the longest word of each, since no text can be searched for them all
    for value, line in lines.items():
        by_word[max(line.split(), key=len)].append(value)
    there: set[str] = set()
    for text in texts:
        for word in text.split():
            there.update(value for value in by_word.get(word.rstrip(".,?!"), ()) if lines[value] in text)
    return there


def _share(cases: Iterable[bool]) -> float:
    counted = list(cases)
    return sum(counted) / len(counted) if counted else 1.0


def _print_table(size: int, results: dict[str, Result]) -> None:
    """One row per figure, one column per contender; the ratio says how many times better fineline is."""
    ours = results["fineline"]
    figures = {
        "seconds": lambda result: result.seconds,
        "rows/s": lambda result: size / result.seconds,
        "near-duplicates alone, rows/s": lambda result: result.near_rows / result.near_seconds,
        "peak memory, MiB": lambda result: result.peak / 2**20,
    }
    print(f"{f'{size:,} rows, seed {SEED}':<32}" + "".join(f"{name:>12}" for name in results) + f"{'ratio':>8}")
    for name, figure in figures.items():
        values = [figure(result) for result in results.values()]
        better = values[0] / values[-1] if name.endswith("rows/s") else values[-1] / values[0]
        print(f"{name:<32}" + "".join(f"{value:>12,.1f}" for value in values) + (f"{better:>8.2f}" if len(values) > 1 else ""))
    for kind in ours.found:
        shares = [f"{result.found[kind]:.2%}" if kind in result.found else "-" for result in results.values()]
        print(f"{'found: ' + kind:<32}" + "".join(f"{share:>12}" for share in shares))
    print(f"{'clean rows removed':<32}" + "".join(f"{result.removed_wrongly:>12.3%}" for result in results.values()))
    print(f"{'clean rows changed':<32}{ours.changed_wrongly:>12.3%}")


def _print_steps(project: Path) -> None:
    speed = json.loads((project / layout.reports(NAME) / "curation" / "speed.json").read_text(encoding="utf-8"))
    print("fineline's steps: " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in speed["steps"].items()) + "\n")


def _machine() -> str:
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    processor = next(line.split(":")[1].strip() for line in about.splitlines() if line.startswith("model name"))
    memory = psutil.virtual_memory().total / 2**30
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    typer.run(main)
