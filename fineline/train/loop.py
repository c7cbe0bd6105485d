"""The training run itself: `transformers.Trainer` with our micro-steps, our loss and our checkpoints."""

import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from fineline import adapters
from fineline.adapters.methods import METHODS
from fineline.chat.tokens import Tokens
from fineline.errors import FinelineError, InputError
from fineline.hardware.device import native
from fineline.models import loading
from fineline.models.precision import Precision, dtype
from fineline.project.params.training import AUTO, Train
from fineline.train import attention, batches, check, checkpoints, loss, memory, rows
from fineline.train.fused import fused
from fineline.train.progress import Progress

SECONDS_BETWEEN_CHECKPOINTS = 60.0
_LOOKED_AT = 64  # items, by first values that are taken from data
_OPTIMIZERS = {
    "adamw": "adamw_torch_fused",
    "adamw-8bit": "adamw_8bit",
    "paged-adamw": "paged_adamw_32bit",
    "paged-adamw-8bit": "paged_adamw_8bit",
}


@dataclass(frozen=True)
class Trained:
    """A trained model with what was measured on the way."""

    model: Any
    metrics: dict[str, Any]


class RowsTrainer(Trainer):
    """`Trainer` on micro-steps of `rows.collate`."""

    def __init__(self, *args: Any, precision: Precision, keeper: "Keeper", progress: Progress, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.precision = precision
        self.keeper = keeper
        self.progress = progress
        self.model_accepts_loss_kwargs = True  # the Trainer then counts labels over accumulated micro-steps
        for callback in (ProgressCallback, PrinterCallback):
            self.remove_callback(callback)

    def _get_train_sampler(self, train_dataset: Any = None) -> batches.LengthGrouped:
        drawn: Any = self.train_dataset if train_dataset is None else train_dataset
        return batches.LengthGrouped([batches.size(item) for item in drawn], self.args.train_batch_size, self.args.seed)

    def _get_num_items_in_batch(self, batch_samples: Any, device: Any) -> torch.Tensor:
        """Labels in an optimizer step. The Trainer would leave out the first of each micro-step, which it takes for padding."""
        return torch.tensor(sum(len(batch["labels"]) for batch in batch_samples), device=device)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The loss of `fineline.train.loss`.

        Raises:
            FinelineError: It is no number.
        """
        value = loss.completion_loss(model, inputs, num_items_in_batch, precision=self.precision)
        if not torch.isfinite(value):
            raise FinelineError(
                f"the loss became {value.item()} at step {self.state.global_step}; lower `train.learning_rate`"
                " or raise `train.warmup`"
            )
        self.progress.tokens += inputs["tokens"]
        return value

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss over every label of the validation rows."""
        model: Any = self.model
        model.eval()
        total, labels = 0.0, 0
        with torch.no_grad():
            for batch in self.get_eval_dataloader():
                inputs = self._prepare_inputs(batch)
                total += loss.completion_loss(model, inputs, 1, precision=self.precision).item()
                labels += len(inputs["labels"])
        metrics = {"eval_loss": total / labels}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        root = Path(str(self.args.output_dir))
        notes = {"keeper": self.keeper.notes(), "tokens": self.progress.tokens, "seconds": self.keeper.seconds()}
        checkpoints.write(root, self, self.keeper.weights, notes)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        checkpoint = Path(resume_from_checkpoint)
        trained: Any = self.model
        checkpoints.read_weights(checkpoint, trained)
        self.keeper.restore(checkpoints.read_notes(checkpoint), checkpoints.read_best(checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.read_optimizer(Path(checkpoint), self)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.read_random(Path(checkpoint))


class Keeper(TrainerCallback):
    """Decides when to write a checkpoint, which weights are the best so far, and when to stop."""

    def __init__(self, config: Train, between: float) -> None:
        self.keep = config.keep == "best"
        self.patience = config.early_stopping
        self.between = between
        self.weights: dict[str, torch.Tensor] = {}
        self.best = math.inf
        self.best_step = 0
        self.worse = 0
        """Validations in a row without a lower loss."""
        self.stopped_early = False
        self.terminated = False
        """Whether somebody asked the process to end."""
        self.tokens_before = 0
        self.seconds_before = 0.0
        self._began = self._written = time.monotonic()

    def seconds(self) -> float:
        """Seconds of this run so far, over all processes that worked at it."""
        return self.seconds_before + time.monotonic() - self._began

    def notes(self) -> dict[str, Any]:
        """What a resumed run has to know."""
        return {"best": self.best, "best_step": self.best_step, "worse": self.worse, "tokens_before": self.tokens_before}

    def restore(self, notes: Mapping[str, Any], weights: dict[str, torch.Tensor]) -> None:
        """Go on from the notes of a checkpoint."""
        kept = notes["keeper"]
        self.best, self.best_step, self.worse = kept["best"], kept["best_step"], kept["worse"]
        self.tokens_before = kept["tokens_before"] + notes["tokens"]
        self.seconds_before = notes["seconds"]
        self.weights = weights

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Checkpoint when enough time has passed, or before the process ends."""
        if self.terminated or time.monotonic() - self._written >= self.between:
            control.should_save = True
            self._written = time.monotonic()
        if self.terminated:
            control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, model: Any = None, **_: Any) -> None:
        """Note the best weights; stop when there is nothing more to gain."""
        value = metrics["eval_loss"]
        if value < self.best:
            self.best, self.best_step, self.worse = value, state.global_step, 0
            if self.keep:
                self.weights = {name: weight.detach().clone() for name, weight in checkpoints.trained(model).items()}
        else:
            self.worse += 1
        if self.patience is not None and self.worse >= self.patience:
            self.stopped_early = control.should_training_stop = True


def train(
    base: Path,
    train_rows: Sequence[Tokens],
    validation_rows: Sequence[Tokens],
    config: Train,
    *,
    report: Path,
    scratch: Path,
    predicted: Mapping[str, int] | None = None,
    between: float = SECONDS_BETWEEN_CHECKPOINTS,
) -> Trained:
    """Train a new adapter on the base model in directory `base`.

    Args:
        config: With a concrete method; `recompute` and `dequantize` decided.
        report: Directory for the loss curves, written while the run goes on.
        scratch: Directory for checkpoints of this very run; if it holds one, the run goes on from there.
        predicted: Bytes by component, as `plan` forecast them; told when memory runs out.
        between: Seconds between checkpoints.

    Raises:
        InputError: The model cannot be trained this way.
        FinelineError: The loss stopped being a number or diverged, memory or disk ran out, or the process was asked to end.
    """
    started = time.perf_counter()
    if not validation_rows and (config.keep == "best" or config.early_stopping):
        raise InputError("`train.keep: best` and `train.early_stopping` need validation rows; set `curate.split.validation`")
    set_seed(config.seed)
    attention.register()
    quantization = config.quantization if METHODS[config.method].quantized else None
    precision = native(loading.device().type) if config.precision == AUTO else config.precision
    model = loading.base_model(base, quantization=quantization, precision=precision)
    check.model(model)
    check.flat_rows(model, train_rows, precision)
    base_parameters = model.num_parameters()
    if quantization and config.dequantize:
        loading.dequantize(model, dtype(precision))
    if config.recompute:
        model.activation_checkpointing_enable({"use_reentrant": False})
    set_seed(config.seed)  # the adapter's initialization must not depend on what loading drew
    drawn = batches.items(train_rows, config.packing)
    model = adapters.attach(model, config, base=base, batches=_first(drawn))
    model.get_base_model().set_attn_implementation(attention.NAME)
    virtual = config.virtual_tokens if METHODS[config.method].prompt_learning else 0
    progress, keeper = Progress(report), Keeper(config, between)
    trainer = RowsTrainer(
        model=model,
        args=_arguments(config, len(drawn), bool(validation_rows), scratch, precision),
        train_dataset=drawn,
        eval_dataset=batches.items(validation_rows, config.packing) or None,
        data_collator=partial(_collate, virtual=virtual),
        callbacks=[progress, keeper],
        precision=precision,
        keeper=keeper,
        progress=progress,
    )
    resumed = checkpoints.latest(scratch)
    if resumed and not checkpoints.readable(resumed):
        print(f"{resumed} is damaged: starting over", flush=True)
        resumed = None
    if resumed:
        print(f"going on from {resumed}", flush=True)
    with ExitStack() as stack:
        stack.enter_context(fused(model))
        stack.enter_context(_ending(keeper))
        stack.enter_context(memory.explained(config, predicted))
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    state = trainer.state
    if keeper.terminated and state.global_step < state.max_steps:
        raise FinelineError(f"asked to end at step {state.global_step} of {state.max_steps}; the next run goes on from there")
    if keeper.weights:
        checkpoints.put(model, keeper.weights)
    tokens = keeper.tokens_before + progress.tokens
    history = state.log_history
    validation = [point["eval_loss"] for point in history if "eval_loss" in point]
    parameters = sum(weight.numel() for weight in checkpoints.trained(model).values())
    metrics = {
        "train_loss": next(point["loss"] for point in reversed(history) if "loss" in point),
        "validation_loss": (keeper.best if keeper.weights else validation[-1]) if validation else None,
        "best_validation_loss": keeper.best if validation else None,
        "best_step": keeper.best_step if validation else None,
        "steps": state.global_step,
        "stopped_early": keeper.stopped_early,
        "resumed_at": int(resumed.name.removeprefix("step-")) if resumed else None,
        "tokens": tokens,
        "tokens_per_second": progress.tokens / progress.seconds(),
        "seconds": keeper.seconds_before + time.perf_counter() - started,
        "trained_parameters": parameters,
        "base_parameters": base_parameters,
        "peak_memory_bytes": memory.peak(),
    }
    return Trained(model.eval(), metrics)


def _collate(drawn: Sequence[batches.Item], *, virtual: int) -> dict[str, Any]:
    together = [row for item in drawn for row in item]
    return rows.collate(together, virtual=virtual) | {"tokens": sum(len(row.input_ids) for row in together)}


def _first(drawn: Sequence[batches.Item]) -> list[dict[str, torch.Tensor]]:
    """A few rows in the plain form, padded at the right, for first values that look at data."""
    seen = [torch.tensor(row.input_ids) for item in drawn[:_LOOKED_AT] for row in item]
    ids = torch.nn.utils.rnn.pad_sequence(seen, batch_first=True)
    lengths = torch.tensor([len(row) for row in seen])
    return [{"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}]


@contextmanager
def _ending(keeper: Keeper) -> Iterator[None]:
    """Within the context, SIGTERM ends the run after the current step, with a checkpoint."""

    def note(*_: Any) -> None:
        keeper.terminated = True

    try:
        before = signal.signal(signal.SIGTERM, note)
    except ValueError:  # not the main thread: whoever runs us handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _arguments(config: Train, drawn: int, validate: bool, scratch: Path, precision: Precision) -> TrainingArguments:
    steps = max(1, math.ceil(math.ceil(math.ceil(drawn / config.batch_size) / config.accumulation) * config.epochs))
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(math.ceil(steps * config.warmup), steps - 1),  # the first step of a warm-up learns nothing
        optim=_OPTIMIZERS[config.optimizer],
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=config.seed,
        data_seed=config.seed,
        bf16=precision == "bf16",
        use_cpu=loading.device().type == "cpu",
        logging_steps=max(1, steps // 100),
        logging_nan_inf_filter=False,
        eval_strategy="steps" if validate else "no",
        eval_steps=max(1, math.ceil(steps / config.validations)),
        prediction_loss_only=True,
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
    )
