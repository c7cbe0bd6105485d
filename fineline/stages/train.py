"""Stage `train@A`: curated rows and a base model -> adapter weights in PEFT's layout."""

import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from fineline import artifacts
from fineline.adapters.methods import METHODS
from fineline.artifacts import reports
from fineline.chat import tokens
from fineline.errors import InputError
from fineline.hardware import device
from fineline.models.precision import Precision, native
from fineline.plan.value import cost, energy_wh
from fineline.project import layout, params
from fineline.project.params.training import AUTO, Train
from fineline.stages import settings
from fineline.train import checkpoints, preflight
from fineline.train.row_findings import Split
from fineline.train.served import context_of


def run(name: str) -> None:
    """Train adapter `name` into models/adapters/<name>, with the settings that `plan` decided."""
    everything = params.load()
    block = everything.adapter(name)
    base, data, report = layout.base(block.base), layout.curated(name), layout.reports(name)
    digests = artifacts.read(base).digest, artifacts.read(data).digest
    decided, forecast = settings.read(name, block, *digests), settings.forecast(name, *digests)
    with artifacts.create(
        layout.adapter(name),
        kind="adapter",
        name=name,
        owner=block.owner,
        license=block.license,
        stage="fineline.stages.train",
        inputs={"base": base, "data": data},
        parameters=decided.model_dump(mode="json"),
    ) as directory:
        splits = _splits(name, base, data, decided.learn)
        if not splits["train"].tokens:
            raise InputError(f"{data}/train.jsonl: no rows to train on")
        context = context_of(base)
        if context and METHODS[decided.method].prompt_learning:
            context -= decided.virtual_tokens
        preflight.run(name, tokens.tokenizer_of(base), splits, base, context, data / "left_out.jsonl")

        # Rows of many lengths fragment an accelerator's memory unless segments can grow; torch reads this when it starts.
        os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
        # Here, not above: wrong rows and parameters are told at once, before seconds of imports.
        from fineline import adapters
        from fineline.models import loading
        from fineline.train import loop, memory

        elsewhere = planned_elsewhere(name, block.train, decided, native(loading.device().type))
        for warning in filter(None, (elsewhere, memory.shortage(decided, forecast.memory_bytes, memory.free()))):
            print(f"warning: {warning}", flush=True)
        trained = loop.train(
            base,
            splits["train"].tokens,
            splits["validation"].tokens,
            decided,
            report=report,
            scratch=checkpoints.directory(name, _identity(base, data, decided)),
            predicted=forecast.memory_bytes,
        )
        try:
            adapters.save(trained.model, directory)
        except (OSError, SafetensorError) as error:
            raise checkpoints.disk_error(error, directory) from error
    checkpoints.forget(name)
    metrics = trained.metrics
    metrics["value"] = _value(metrics, everything)
    metrics["memory"] = {"predicted": forecast.memory_bytes, "measured": metrics.pop("peak_memory_bytes")}
    metrics["time"] = {"predicted": forecast.seconds, "measured": metrics["seconds"]}
    reports.write(report / "training.json", {"method": decided.method} | metrics)
    print(
        f"{metrics['steps']} steps, {metrics['tokens_per_second']:.0f} tokens/s, validation loss {metrics['validation_loss']}"
    )


def planned_elsewhere(name: str, requested: Train, decided: Train, here: Precision) -> str | None:
    """A warning if the precision was left to a plan, and the plan was made on a machine that is good at another one.

    Args:
        here: What this machine is fastest in.
    """
    if requested.precision != AUTO or decided.precision == here:
        return None
    return (
        f"planned on a machine that is fastest in {decided.precision}, and this one is in {here};"
        f" `dvc repro -f plan@{name}` plans anew"
    )


def _splits(name: str, base: Path, data: Path, learn: Any) -> dict[str, Split]:
    tokenizer = tokens.tokenizer_of(base)
    splits = {}
    for split in ("train", "validation"):
        file = data / f"{split}.jsonl"
        rows = reports.read_lines(file)
        splits[split] = Split(file, rows, tokens.encode_all(tokenizer, rows, file, learn=learn))
    return splits


def _identity(base: Path, data: Path, train: Any) -> dict[str, Any]:
    """Everything that decides a run: a checkpoint is of this very run, or it is not found."""
    from importlib.metadata import version

    from fineline.artifacts import code

    return {
        "base": artifacts.read(base).digest,
        "data": artifacts.read(data).digest,
        "train": train.model_dump(mode="json"),
        "code": code.digest("fineline.stages.train"),
        "libraries": {name: version(name) for name in ("torch", "transformers", "peft")},
    }


def _value(metrics: dict[str, Any], everything: params.Params) -> dict[str, Any]:
    """What the training cost, and how much of the model it changed."""
    config = everything.costs
    watts = config.watts if config and config.watts else device.detect().watts
    return {
        "seconds": metrics["seconds"],
        "energy_wh": energy_wh(metrics["seconds"], watts),
        "cost": cost(metrics["seconds"], config),
        "currency": config.currency if config else None,
        "trained_share": metrics["trained_parameters"] / metrics["base_parameters"],
    }
