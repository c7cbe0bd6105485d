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
from fineline.chat.format import ChatFormat
from fineline.chat.tokens import chat_of, tokenizer_of
from fineline.errors import parameters_of
from fineline.hardware import device
from fineline.models import config
from fineline.models.config import Precision
from fineline.plan.workload import cost, energy_wh
from fineline.project import layout, lock, params
from fineline.project.params.project import Costs
from fineline.project.params.training import AUTO, Train
from fineline.project.versions import STAGES
from fineline.stages import handover
from fineline.stages.handover import Forecast
from fineline.train import checkpoints, preflight
from fineline.train.preflight import Preflight
from fineline.train.row_checks import Split


@dataclass(frozen=True)
class TrainInputs:
    """Everything that a training reads, and the places that it writes to. Functions below `run` open nothing else."""

    base: Path
    """Directory of the base model."""
    tokenizer: Any
    chat: ChatFormat
    context: int | None
    """Length of the longest row that the model accepts, in tokens; None if it is not known."""
    splits: Mapping[str, Split]
    """`train` and `validation`: rows with their tokens."""
    requested: Train
    """The `train:` block of params.yaml."""
    decided: Train
    """The same block without `auto`, as `plan` decided."""
    forecast: Forecast
    sources: Mapping[str, Input]
    """Role -> artifact from which the adapter is made."""
    reports: Path
    checkpoints: Path
    """Directory for the checkpoints of this adapter."""
    rendered: Path
    """File for the rendering of three rows."""
    costs: Costs | None

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the trained weights: a run resumes only from checkpoints with the same identity."""
        return {
            "sources": {role: source.digest for role, source in self.sources.items()},
            "train": self.decided.model_dump(mode="json"),
            "chat": self.chat.settings.model_dump(mode="json"),
            "version": STAGES["train"],
            "libraries": lock.library_versions(),
        }


def run(name: str) -> None:
    """Train adapter `name` into models/adapters/<name>, with the settings that `plan` decided.

    Raises:
        InputError: Inputs are missing or cannot be used, or the preflight found an error.
        FinelineError: The training failed or was stopped, or its result cannot be written.
        Refused: A file is not as its artifact recorded it.
    """
    with parameters_of(f"adapters.{name}"):
        inputs = read(name)
        examined = preflight.examine(inputs.tokenizer, inputs.splits, inputs.base, inputs.context, inputs.chat, inputs.decided)
        _write_preflight(inputs, examined)
        preflight.check(examined)
        settings = inputs.decided.model_dump(mode="json", exclude_unset=True) | inputs.chat.recorded
        with artifacts.create(
            layout.adapter(name), kind="adapter", name=name, stage="train", inputs=inputs.sources, parameters=settings
        ) as directory:
            metrics = train(inputs, directory)
    shutil.rmtree(inputs.checkpoints, ignore_errors=True)
    reports.write(inputs.reports / "training.json", metrics)
    print(
        f"{metrics['steps']} steps, {metrics['tokens_per_second']:.0f} tokens/s, validation loss {metrics['validation_loss']}"
    )


def read(name: str) -> TrainInputs:
    """Read and check the inputs of the training of adapter `name`.

    Raises:
        InputError: Parameters, settings or rows are missing or cannot be used.
        Refused: A file is not as its artifact recorded it.
    """
    configured = params.load_for(name)
    block = configured.adapter(name)
    base, data, reported = layout.base(block.base), layout.curated(name), layout.reports(name)
    sources = {"base": artifacts.used(base), "data": artifacts.used(data, layout.TRAINING_ROWS)}
    digests = {role: source.digest for role, source in sources.items()}
    decided = handover.read_settings(reported, digests, block.train, block.curate.chat, remedy=f"run `dvc repro plan@{name}`")
    tokenizer, context = tokenizer_of(base), config.context_length(base)
    if context and METHODS[decided.method].prompt_learning:
        context -= decided.virtual_tokens
    chat = chat_of(tokenizer, block.curate.chat)
    return TrainInputs(
        base=base,
        tokenizer=tokenizer,
        chat=chat,
        context=context,
        splits=handover.training_rows(data, chat, decided.learn),
        requested=block.train,
        decided=decided,
        forecast=handover.forecast(reported, digests),
        sources=sources,
        reports=reported,
        checkpoints=layout.SCRATCH / "checkpoints" / name,
        rendered=layout.rendered(name),
        costs=configured.costs,
    )


def train(inputs: TrainInputs, directory: Path) -> dict[str, Any]:
    """Train an adapter and save it into an empty directory.

    Returns:
        The content of training.json.

    Raises:
        InputError: The model cannot be trained this way.
        FinelineError: The training failed or was stopped, or its result cannot be written.
    """
    # Rows of many lengths fragment an accelerator's memory unless segments can grow; torch reads this when it starts.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    # Imported here, so that wrong rows and parameters are reported before seconds of imports.
    from fineline import adapters
    from fineline.models import loading
    from fineline.train import loop, memory

    decided, predicted = inputs.decided, inputs.forecast.memory_bytes
    elsewhere = planned_elsewhere(inputs.requested, decided, device.native(loading.device().type))
    for warning in filter(None, (elsewhere, memory.shortage(decided, predicted, memory.free()))):
        print(f"warning: {warning}", flush=True)
    trained = loop.train(
        inputs.base,
        inputs.splits["train"].tokens,
        inputs.splits["validation"].tokens,
        decided,
        report=inputs.reports,
        scratch=checkpoints.directory(inputs.checkpoints, inputs.identity),
        predicted=predicted,
    )
    try:
        adapters.save(trained.model, directory)
    except (OSError, SafetensorError) as error:
        raise checkpoints.disk_error(error, directory) from error
    metrics = {"method": decided.method} | trained.metrics
    metrics["value"] = _value(metrics, inputs.costs)
    metrics["memory"] = {"predicted": dict(predicted), "measured": metrics.pop("peak_memory_bytes")}
    metrics["time"] = {"predicted": inputs.forecast.seconds, "measured": metrics["seconds"]}
    return metrics


def planned_elsewhere(requested: Train, decided: Train, here: Precision) -> str | None:
    """Return a warning if the plan chose a precision and this machine is faster in another one.

    Args:
        here: The precision in which this machine is fastest.
    """
    if requested.precision != AUTO or decided.precision == here:
        return None
    return (
        f"the plan was made on a machine that is fastest in {decided.precision}, and this one is fastest in {here}; to plan"
        " again, run `dvc repro -f plan@NAME`"
    )


def _write_preflight(inputs: TrainInputs, examined: Preflight) -> None:
    """Write preflight.json, and three rendered rows for the browser."""
    text = preflight.rendered(inputs.tokenizer, inputs.splits)
    files.write_text(inputs.rendered, text)
    rendered = hashlib.sha256(text.encode()).hexdigest()  # identifies the rendering that belongs to the report
    reports.write(inputs.reports / preflight.REPORT, asdict(examined) | {"rendered": rendered})


def _value(metrics: Mapping[str, Any], costs: Costs | None) -> dict[str, Any]:
    """Return the cost of the training and the share of the model that it changed."""
    watts = costs.watts if costs and costs.watts else device.detect().watts
    return {
        "seconds": metrics["seconds"],
        "energy_wh": energy_wh(metrics["seconds"], watts),
        "cost": cost(metrics["seconds"], costs),
        "currency": costs.currency if costs else None,
        "trained_share": metrics["trained_parameters"] / metrics["base_parameters"],
    }
