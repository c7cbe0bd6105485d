"""The results of each stage that are the same on every machine, and how they may differ from the recorded ones.

Bytes of text are the same everywhere, so digests are compared. Weights are not: processors round differently. Measured on the
tiny model, the validation loss differs by 1e-7 (relative) between AVX2 and SSE4.1 kernels, and digests of weights differ. So
of weights, norms are compared, and losses and scores, within `CLOSE`.
"""

import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fineline import artifacts
from fineline.artifacts import reports
from fineline.project import layout

FILE = Path(__file__).with_name("results.json")
CLOSE = 1e-4
"""Relative difference that processors may cause."""
CLOSE_IN_FOUR_BITS = 0.02
"""The same where weights near a boundary may be rounded to the next quantized value."""
BEFORE = {
    "base": (),
    "ingest": (),
    "curate": ("base", "ingest"),
    "plan": ("base", "ingest", "curate"),
    "train": ("base", "ingest", "curate", "plan"),
    "evaluate": ("base", "ingest", "curate", "plan", "train"),
    "merge": ("base", "ingest", "curate", "plan", "train"),
    "export": ("base", "ingest", "curate", "plan", "train", "merge"),
    "assess": ("base", "ingest", "curate", "plan", "train", "evaluate", "merge", "export"),
}
"""Stage -> stages whose results reach it."""
LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "tokenizers",
    "onnx",
    "onnxruntime",
    "onnxruntime-genai",
    "lm_eval",
)
"""Distributions that write files or decide numbers of the chain."""


def of_project(project: Path, base: str, adapter: str) -> dict[str, dict[str, Any]]:
    """Return stage -> name -> result of a project after all nine stages."""
    report = project / layout.reports(adapter)
    training, gate, candidate = (reports.read(report / name) for name in ("training.json", "gate.json", "candidate.json"))
    merge, export = reports.read(report / "merge.json"), reports.read(report / "export.json")
    return {
        "base": {"base": digest(project / layout.base(base)), "tokenizer": digest(project / layout.tokenizer(base))},
        "ingest": {"raw": digest(project / layout.raw(adapter))},
        "curate": digests_of_rows(project / layout.curated(adapter)),
        "plan": reports.read(report / "settings.json")["train"],
        "train": {name: training[name] for name in ("steps", "tokens", "trained_parameters", "train_loss", "validation_loss")}
        | norms(project / layout.adapter(adapter) / "adapter_model.safetensors", ("lora_A", "lora_B")),
        "evaluate": {"verdict": gate["verdict"], "items": gate["items"]} | flat(gate["scores"]),
        "merge": {"passed": merge["passed"], "positions": merge["positions"]}
        | norms(project / layout.merged(adapter) / "model.safetensors", ("embed", "self_attn", "mlp", "norm")),
        "export": {"passed": export["parity"]["passed"]}
        | {f"{name} bytes": form["bytes"] for name, form in export["forms"].items()},
        "assess": {"verdict": candidate["verdict"]}
        | {
            f"{name} {score}": value for name in candidate["forms"] for score, value in scores(candidate["forms"][name]).items()
        },
    }


def digest(directory: Path) -> str:
    """Return the digest of an artifact."""
    return artifacts.read(directory).digest


def digests_of_rows(directory: Path) -> dict[str, str]:
    """Return the digest of each file with rows of an artifact; cards contain words, which may change."""
    files = artifacts.read(directory).files
    return {file["path"]: f"sha256:{file['sha256']}" for file in files if file["path"].endswith(".jsonl")}


def norms(file: Path, parts: Iterable[str]) -> dict[str, float]:
    """Return the Euclidean norm of the weights whose names contain each of `parts`, and of all."""
    weights = {name: weight.double() for name, weight in load_file(file).items()}
    squares = {name: torch.sum(weight * weight).item() for name, weight in weights.items()}
    found = {f"norm of {part}": sum(value for name, value in squares.items() if part in name) ** 0.5 for part in parts}
    return {"tensors": len(weights), **found, "norm": sum(squares.values()) ** 0.5}


def scores(judged: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of the model that a verdict is about."""
    found: dict[str, float] = judged["scores"]["candidate"]
    return found


def flat(by_arm: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return `ARM SCORE` -> value."""
    return {f"{arm} {score}": value for arm, found in by_arm.items() for score, value in found.items()}


def differences(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return a line for each result of a stage that is not as recorded."""
    lines = []
    for name in sorted(recorded.keys() | found.keys()):
        before, now = recorded.get(name), found.get(name)
        close = CLOSE_IN_FOUR_BITS if name.startswith("exported ") else CLOSE
        same = before == now
        if isinstance(before, float) and isinstance(now, float):
            same = now == pytest.approx(before, rel=close, abs=1e-9)
        if not same:
            lines.append(f"{name} is {now}, recorded {before}")
    return lines


def problems(
    recorded: Mapping[str, Any],
    found: Mapping[str, Mapping[str, Any]],
    versions: Mapping[str, int],
    libraries: Mapping[str, str],
) -> list[str]:
    """Return a message for each stage whose results changed while neither it, nor a stage before it, nor a library was raised.

    Args:
        recorded: The content of results.json.
        found: Stage -> name -> result now.
        versions: Stage -> version now.
        libraries: Distribution -> installed version.
    """
    if recorded["libraries"] != libraries:
        return []
    wrong = []
    for stage, now in found.items():
        before = recorded["stages"].get(stage)
        if before is None or any(recorded["stages"][one]["version"] != versions[one] for one in (*BEFORE[stage], stage)):
            continue
        changed = differences(before["results"], now)
        if changed and not any(message.startswith(f"{one}: ") for message in wrong for one in BEFORE[stage]):
            wrong.append(
                f"{stage}: the results changed, but its version is still {versions[stage]}: {'; '.join(changed)}. Raise the"
                " version in fineline/project/versions.py with its reason, or keep the results as they were"
            )
    return wrong


def outdated(recorded: Mapping[str, Any], versions: Mapping[str, int], libraries: Mapping[str, str]) -> bool:
    """True if results.json was recorded with other stage versions or libraries."""
    known = {stage: entry["version"] for stage, entry in recorded["stages"].items()}
    return known != dict(versions) or recorded["libraries"] != libraries


def read() -> dict[str, Any]:
    """Return the content of results.json; without stages if the file is missing."""
    if not FILE.is_file():
        return {"libraries": {}, "stages": {}}
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def write(found: Mapping[str, Mapping[str, Any]], versions: Mapping[str, int], libraries: Mapping[str, str]) -> None:
    """Write results.json, with floats in seven digits."""
    stages = {
        stage: {"version": versions[stage], "results": {name: _short(value) for name, value in results.items()}}
        for stage, results in found.items()
    }
    FILE.write_text(json.dumps({"libraries": libraries, "stages": stages}, indent=2) + "\n", encoding="utf-8")


def installed() -> dict[str, str]:
    """Return the installed version of each of `LIBRARIES`."""
    return {name: metadata.version(name) for name in LIBRARIES}


def _short(value: Any) -> Any:
    return float(f"{value:.7g}") if isinstance(value, float) else value
