"""Stage `train@A`: curated rows and a base model -> adapter weights in PEFT's layout."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from fineline import artifacts
from fineline.adapters.methods import METHODS
from fineline.artifacts import Input, files, reports
from fineline.chat import tokens
from fineline.errors import InputError
from fineline.hardware import device
from fineline.models.precision import Precision
from fineline.plan.value import cost, energy_wh
from fineline.project import layout, lock, params
from fineline.project.params.costs import Costs
from fineline.project.params.training import AUTO, Train
from fineline.project.versions import STAGES
from fineline.stages import rows, settings
from fineline.stages.settings import Forecast
from fineline.train import checkpoints, preflight
from fineline.train.row_findings import Split
from fineline.train.served import context_of


@dataclass(frozen=True)
class TrainInputs:
    """Everything that a training reads, and the places it writes to. Nothing below `run` opens anything else."""

    base: Path
    """Directory of the base model."""
    tokenizer: Any
    splits: Mapping[str, Split]
    """`train` and `validation`: rows with their tokens."""
    requested: Train
    """The `train:` block of params.yaml."""
    decided: Train
    """The same with nothing left open, as `plan` decided."""
    forecast: Forecast
    sources: Mapping[str, Input]
    """Role -> artifact that the adapter is made from."""
    reports: Path
    checkpoints: Path
    """Directory for the checkpoints of this adapter."""
    rendered: Path
    """File for the rendering of three rows."""
    costs: Costs | None

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the trained weights: a run resumes from checkpoints with the same identity only."""
        return {
            "sources": {role: source.digest for role, source in self.sources.items()},
            "train": self.decided.model_dump(mode="json"),
            "version": STAGES["train"],
            "libraries": lock.library_versions(),
        }


def run(name: str) -> None:
    """Train adapter `name` into models/adapters/<name>, with the settings that `plan` decided."""
    inputs = read(name)
    with artifacts.create(
        layout.adapter(name),
        kind="adapter",
        name=name,
        stage="train",
        version=STAGES["train"],
        inputs=inputs.sources,
        parameters=inputs.decided.model_dump(mode="json", exclude_unset=True),
    ) as directory:
        metrics = train(inputs, directory)
    shutil.rmtree(inputs.checkpoints, ignore_errors=True)
    reports.write(inputs.reports / "training.json", {"method": inputs.decided.method} | metrics)
    print(
        f"{metrics['steps']} steps, {metrics['tokens_per_second']:.0f} tokens/s, validation loss {metrics['validation_loss']}"
    )


def read(name: str) -> TrainInputs:
    """Read and check what the training of adapter `name` needs.

    Raises:
        InputError: Parameters, settings or rows are missing or cannot be used.
        Refused: A file is not as its artifact recorded it.
    """
    everything = params.load()
    block = everything.adapter(name)
    base, data = layout.base(block.base), layout.curated(name)
    sources = {"base": artifacts.used(base), "data": artifacts.used(data, layout.TRAINING_ROWS)}
    digests = sources["base"].digest, sources["data"].digest
    decided = settings.read(name, block, *digests)
    tokenizer = tokens.tokenizer_of(base)
    splits = {}
    for split in ("train", "validation"):
        file, found = data / f"{split}.jsonl", rows.curated(name, split)
        splits[split] = Split(file, found, tokens.encode_all(tokenizer, found, file, learn=decided.learn))
    if not splits["train"].tokens:
        raise InputError(f"{data}/train.jsonl: no rows to train on")
    return TrainInputs(
        base=base,
        tokenizer=tokenizer,
        splits=splits,
        requested=block.train,
        decided=decided,
        forecast=settings.forecast(name, *digests),
        sources=sources,
        reports=layout.reports(name),
        checkpoints=layout.SCRATCH / "checkpoints" / name,
        rendered=layout.rendered(name),
        costs=everything.costs,
    )


def train(inputs: TrainInputs, directory: Path) -> dict[str, Any]:
    """Check the rows, train, and save the adapter into an empty directory.

    Returns:
        The content of training.json, without the method.

    Raises:
        InputError: The rows cannot be trained on; the model cannot be trained this way.
        FinelineError: The training failed, or its result cannot be written.
    """
    decided = inputs.decided
    _preflight(inputs)
    # Rows of many lengths fragment an accelerator's memory unless segments can grow; torch reads this when it starts.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    # Imported here, so that wrong rows and parameters are reported before seconds of imports.
    from fineline import adapters
    from fineline.models import loading
    from fineline.train import loop, memory

    elsewhere = planned_elsewhere(inputs.requested, decided, device.native(loading.device().type))
    for warning in filter(None, (elsewhere, memory.shortage(decided, inputs.forecast.memory_bytes, memory.free()))):
        print(f"warning: {warning}", flush=True)
    trained = loop.train(
        inputs.base,
        inputs.splits["train"].tokens,
        inputs.splits["validation"].tokens,
        decided,
        report=inputs.reports,
        scratch=checkpoints.directory(inputs.checkpoints, inputs.identity),
        predicted=inputs.forecast.memory_bytes,
    )
    try:
        adapters.save(trained.model, directory)
    except (OSError, SafetensorError) as error:
        raise checkpoints.disk_error(error, directory) from error
    metrics = trained.metrics
    metrics["value"] = _value(metrics, inputs.costs)
    metrics["memory"] = {"predicted": inputs.forecast.memory_bytes, "measured": metrics.pop("peak_memory_bytes")}
    metrics["time"] = {"predicted": inputs.forecast.seconds, "measured": metrics["seconds"]}
    return metrics


def planned_elsewhere(requested: Train, decided: Train, here: Precision) -> str | None:
    """Return a warning if the precision was left to a plan that was made on a machine that is fastest in another one.

    Args:
        here: The precision in which this machine is fastest.
    """
    if requested.precision != AUTO or decided.precision == here:
        return None
    return (
        f"the plan was made on a machine that is fastest in {decided.precision}, and this one is fastest in {here}; to plan"
        " again, run `dvc repro -f plan@NAME`"
    )


def _preflight(inputs: TrainInputs) -> None:
    """Examine the rows, write the report and the rendering of three rows, and raise `InputError` if one finding is an error."""
    context = context_of(inputs.base)
    if context and METHODS[inputs.decided.method].prompt_learning:
        context -= inputs.decided.virtual_tokens
    found = preflight.examine(inputs.tokenizer, inputs.splits, inputs.base, context)
    text = preflight.rendered(inputs.tokenizer, inputs.splits)
    files.write_text(inputs.rendered, text)
    rendered = hashlib.sha256(text.encode()).hexdigest()  # shows whether the file belongs to this run
    reports.write(inputs.reports / preflight.REPORT, asdict(found) | {"rendered": rendered})
    preflight.check(found)


def _value(metrics: dict[str, Any], costs: Costs | None) -> dict[str, Any]:
    """Return the cost of the training and the share of the model that it changed."""
    watts = costs.watts if costs and costs.watts else device.detect().watts
    return {
        "seconds": metrics["seconds"],
        "energy_wh": energy_wh(metrics["seconds"], watts),
        "cost": cost(metrics["seconds"], costs),
        "currency": costs.currency if costs else None,
        "trained_share": metrics["trained_parameters"] / metrics["base_parameters"],
    }
