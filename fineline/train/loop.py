"""A training run: load the base, attach an adapter, train it, and resume if the run was interrupted before."""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from fineline import adapters
from fineline.adapters.methods import METHODS
from fineline.chat.tokens import TokenizedRow
from fineline.errors import FinelineError, InputError
from fineline.hardware.device import native
from fineline.models import loading
from fineline.models.config import Precision, dtype
from fineline.project.params.training import AUTO, Train
from fineline.train import batches, checkpoints, choice, memory, workers
from fineline.train.path import TrainingPath
from fineline.train.progress import Progress
from fineline.train.trainer import CheckpointCallback, RowsTrainer, collate
from fineline.train.workers import Workers

SECONDS_BETWEEN_CHECKPOINTS = 60.0
_INITIALIZATION_ITEMS = 64  # items for initializations that use data
_TRIAL_ROWS = 2  # of each worker


@dataclass(frozen=True)
class Trained:
    """A trained model with its metrics."""

    model: Any
    metrics: dict[str, Any]


def train(
    base: Path,
    train_rows: Sequence[TokenizedRow],
    validation_rows: Sequence[TokenizedRow],
    config: Train,
    *,
    report: Path,
    scratch: Path,
    predicted: Mapping[str, int] | None = None,
    between: float = SECONDS_BETWEEN_CHECKPOINTS,
) -> Trained:
    """Train a new adapter on the base model in directory `base`.

    Args:
        config: With a concrete method, `recompute` and `dequantize`.
        report: Directory for the loss curves, which are written during the run.
        scratch: Directory for the checkpoints of this run. If it contains one, the run resumes from there.
        predicted: Forecast of `plan`, bytes by component, for the message if memory runs out.
        between: Seconds between checkpoints.

    Raises:
        InputError: The model cannot be trained this way.
        FinelineError: The loss diverged or became NaN, memory or disk space ran out, or SIGTERM was received.
    """
    started = time.perf_counter()
    if not validation_rows and (config.keep == "best" or config.early_stopping):
        raise InputError("`train.keep: best` and `train.early_stopping` need validation rows; set `curate.split.validation`")
    precision = native(loading.device().type) if config.precision == AUTO else config.precision
    set_seed(config.seed)
    quantization = config.quantization if METHODS[config.method].quantized else None
    model = loading.base_model(base, quantization=quantization, precision=precision)
    base_parameters = model.num_parameters()
    if METHODS[config.method].quantized and config.dequantize:
        loading.dequantize(model, dtype(precision))
    if config.recompute:
        _recompute(model)
    set_seed(config.seed)  # the initialization of the adapter must not depend on random numbers drawn while loading
    items = batches.items(train_rows, config.packing)
    model = adapters.attach(model, config, base=base, batches=_initialization_batches(items))
    virtual = config.virtual_tokens if METHODS[config.method].prompt_learning else 0
    with torch.random.fork_rng(devices=[]), memory.explained(config, predicted):
        path = choice.choose(model, [*train_rows, *validation_rows], precision, virtual)
    print(f"path: {path.name}; {path.reason}", flush=True)
    progress, checkpointing = Progress(report), CheckpointCallback(config, between)
    resumed = _checkpoint(scratch)
    with path.ready(model), _workers(model, items, config, precision, path) as several:
        trainer = RowsTrainer(
            model,
            config,
            items,
            batches.items(validation_rows, config.packing),
            scratch=scratch,
            precision=precision,
            path=path,
            workers=several,
            checkpointing=checkpointing,
            progress=progress,
        )
        with _stopping(checkpointing), memory.explained(config, predicted):
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    state = trainer.state
    if checkpointing.terminated and state.global_step < state.max_steps:
        raise FinelineError(
            f"stopped by SIGTERM at step {state.global_step} of {state.max_steps}; the next run resumes from there"
        )
    if checkpointing.weights:
        checkpoints.put(model, checkpointing.weights)
    metrics = _metrics(trainer) | {
        "resumed_at": int(resumed.name.removeprefix("step-")) if resumed else None,
        "seconds": checkpointing.seconds_before + time.perf_counter() - started,
        "base_parameters": base_parameters,
    }
    return Trained(model.eval(), metrics | {"path": path.name, "path_reason": path.reason})


def _recompute(model: Any) -> None:
    """Have the blocks of a model recomputed in the backward pass, if its class supports that."""
    if model.supports_gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    else:
        print(f"{model.config.model_type} models cannot recompute blocks: `train.recompute` has no effect", flush=True)


@contextmanager
def _workers(
    model: Any, items: Sequence[batches.Item], config: Train, precision: Precision, path: TrainingPath
) -> Iterator[Workers]:
    """Within the context, workers compute parts of a micro-step, if a trial gives the gradient of the whole."""
    count = workers.planned(items, config, torch.get_num_threads(), loading.device().type)
    if _replaces_parameters(model):
        count = 1
    with workers.started(count) as several:
        if count == 1 or _same_gradient(several, model, items, precision, path):
            yield several
            return
    print("threads that work on parts of a micro-step give another gradient for this model: not used", flush=True)
    yield Workers()


def _replaces_parameters(model: Any) -> bool:
    """True if PEFT replaces parameters of the model during a forward pass, which threads must not do at the same time."""
    from peft.tuners.lora import ParamWrapper

    return any(isinstance(module, ParamWrapper) for module in model.modules())


def _same_gradient(
    several: Workers, model: Any, items: Sequence[batches.Item], precision: Precision, path: TrainingPath
) -> bool:
    """Try the workers on a few short rows."""
    given = sorted((row for item in items[:_INITIALIZATION_ITEMS] for row in item), key=lambda row: len(row.input_ids))
    short = [[row] for row in given[: _TRIAL_ROWS * several.count]]
    (whole,) = collate(short, path=path)["parts"]
    parts = collate(short, path=path, count=several.count)["parts"]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    model.train()
    return workers.agree(several, lambda part: path.loss(model, part, 1, precision), whole, parts, weights)


def _checkpoint(scratch: Path) -> Path | None:
    """Return the checkpoint to resume from, if there is an undamaged one."""
    found = checkpoints.latest(scratch)
    if found is None:
        return None
    if not checkpoints.readable(found):
        print(f"{found} is damaged: starting over", flush=True)
        return None
    print(f"resuming from {found}", flush=True)
    return found


def _metrics(trainer: RowsTrainer) -> dict[str, Any]:
    """Return the results of a finished run."""
    checkpointing, progress, history = trainer.checkpointing, trainer.progress, trainer.state.log_history
    model: Any = trainer.model
    validation = [point["eval_loss"] for point in history if "eval_loss" in point]
    return {
        "train_loss": next(point["loss"] for point in reversed(history) if "loss" in point),
        "validation_loss": (checkpointing.best if checkpointing.weights else validation[-1]) if validation else None,
        "best_validation_loss": checkpointing.best if validation else None,
        "best_step": checkpointing.best_step if validation else None,
        "steps": trainer.state.global_step,
        "stopped_early": checkpointing.stopped_early,
        "tokens": checkpointing.tokens_before + progress.tokens,
        "tokens_per_second": progress.tokens / progress.seconds(),
        "workers": trainer.workers.count,
        "trained_parameters": sum(weight.numel() for weight in checkpoints.trained(model).values()),
        "peak_memory_bytes": memory.peak(),
    }


def _initialization_batches(items: Sequence[batches.Item]) -> list[dict[str, torch.Tensor]]:
    """Return a few rows in the plain form, padded on the right, for initializations that use data."""
    seen = [torch.tensor(row.input_ids) for item in items[:_INITIALIZATION_ITEMS] for row in item]
    ids = torch.nn.utils.rnn.pad_sequence(seen, batch_first=True)
    lengths = torch.tensor([len(row) for row in seen])
    return [{"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}]


@contextmanager
def _stopping(checkpointing: CheckpointCallback) -> Iterator[None]:
    """Within the context, SIGTERM ends the run after the current step, with a checkpoint."""

    def terminate(*_: Any) -> None:
        checkpointing.terminated = True

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # signals can be handled in the main thread only
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
