"""The Trainer of transformers with fineline's micro-steps, loss and checkpoints."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments

from fineline.errors import FinelineError
from fineline.models import loading
from fineline.models.config import Precision
from fineline.project.params.training import Train
from fineline.train import batches, checkpoints
from fineline.train.path import TrainingPath
from fineline.train.progress import Progress
from fineline.train.workers import Part, Workers, split

_OPTIMIZERS = {
    "adamw": "adamw_torch_fused",
    "adamw-8bit": "adamw_8bit",
    "paged-adamw": "paged_adamw_32bit",
    "paged-adamw-8bit": "paged_adamw_8bit",
}


class CheckpointCallback(TrainerCallback):
    """Decides when to write a checkpoint, which weights are the best so far, and when to stop.

    Args:
        between: Seconds between checkpoints.
    """

    def __init__(self, config: Train, between: float) -> None:
        self.keep = config.keep == "best"
        self.patience = config.early_stopping
        self.between = between
        self.weights: dict[str, torch.Tensor] = {}
        """The best weights so far, if they are kept."""
        self.best = math.inf
        """The lowest validation loss so far."""
        self.best_step = 0
        self.worse = 0
        """Validations since the lowest loss."""
        self.stopped_early = False
        self.terminated = False
        """True once SIGTERM was received."""
        self.tokens_before = 0
        self.seconds_before = 0.0
        self._began = self._written = time.monotonic()

    def seconds(self) -> float:
        """Return the seconds of this run so far, over all processes that worked on it."""
        return self.seconds_before + time.monotonic() - self._began

    def notes(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {"best": self.best, "best_step": self.best_step, "worse": self.worse, "tokens_before": self.tokens_before}

    def restore(self, notes: Mapping[str, Any], weights: dict[str, torch.Tensor]) -> None:
        """Restore the state from the notes and the best weights of a checkpoint."""
        kept = notes["keeper"]
        self.best, self.best_step, self.worse = kept["best"], kept["best_step"], kept["worse"]
        self.tokens_before = kept["tokens_before"] + notes["tokens"]
        self.seconds_before = notes["seconds"]
        self.weights = weights

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write a checkpoint when enough time has passed or the process is about to end."""
        if self.terminated or time.monotonic() - self._written >= self.between:
            control.should_save = True
            self._written = time.monotonic()
        if self.terminated:
            control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, model: Any = None, **_: Any) -> None:
        """Record the best weights, and stop after `early_stopping` validations without a lower loss."""
        value = metrics["eval_loss"]
        if value < self.best:
            self.best, self.best_step, self.worse = value, state.global_step, 0
            if self.keep:
                self.weights = {name: weight.detach().clone() for name, weight in checkpoints.trained(model).items()}
        else:
            self.worse += 1
        if self.patience is not None and self.worse >= self.patience:
            self.stopped_early = control.should_training_stop = True


class OneDevice(TrainingArguments):
    """Arguments of a training on one device. `Trainer` would spread it over all that are visible, with another batch size."""

    @property
    def n_gpu(self) -> int:
        """Return 1 with an accelerator, else 0."""
        return min(1, self.visible)

    @property
    def visible(self) -> int:
        """Return the number of accelerators that this process sees."""
        return int(super().n_gpu)


class RowsTrainer(Trainer):
    """A `Trainer` on micro-steps of `collate`.

    Args:
        scratch: Directory for checkpoints.
        path: How micro-steps are collated and their loss is computed.
        workers: Threads that compute the parts of a micro-step.
    """

    def __init__(
        self,
        model: Any,
        config: Train,
        train_items: Sequence[batches.Item],
        validation_items: Sequence[batches.Item],
        *,
        scratch: Path,
        precision: Precision,
        path: TrainingPath,
        workers: Workers,
        checkpointing: CheckpointCallback,
        progress: Progress,
    ) -> None:
        super().__init__(
            model=model,
            args=_arguments(config, len(train_items), bool(validation_items), scratch, precision),
            train_dataset=train_items,
            eval_dataset=validation_items or None,
            data_collator=partial(collate, path=path, count=workers.count),
            callbacks=[progress, checkpointing],
        )
        self.precision = precision
        self.path = path
        self.workers = workers
        self.checkpointing = checkpointing
        self.progress = progress
        self.model_accepts_loss_kwargs = True  # the Trainer then counts labels over accumulated micro-steps
        for callback in (ProgressCallback, PrinterCallback):
            self.remove_callback(callback)

    def _get_train_sampler(self, train_dataset: Any = None) -> batches.LengthGrouped:
        drawn: Any = self.train_dataset if train_dataset is None else train_dataset
        return batches.LengthGrouped([batches.size(item) for item in drawn], self.args.train_batch_size, self.args.seed)

    def _get_num_items_in_batch(self, batch_samples: Any, device: Any) -> torch.Tensor:
        """Return the labels of an optimizer step. The Trainer would skip the first label of each micro-step as padding."""
        return torch.tensor(sum(_labels(batch) for batch in batch_samples), device=device)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Add the gradients of a micro-step and return its loss, see `fineline.train.path`.

        Raises:
            FinelineError: The loss is not a finite number.
        """
        model.train()
        inputs = self._prepare_inputs(inputs)
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        value = self.workers.backward(self._part_loss(model, num_items_in_batch), inputs["parts"], weights)
        if not torch.isfinite(value):
            raise FinelineError(
                f"the loss became {value.item()} at step {self.state.global_step}; lower `train.learning_rate`"
                " or raise `train.warmup`"
            )
        self.progress.tokens += inputs["tokens"]
        return value

    def _part_loss(self, model: Any, learned: Any) -> Callable[[Part], torch.Tensor]:
        return lambda part: self.path.loss(model, part, learned, self.precision)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Return the mean loss over every label of the validation rows."""
        model: Any = self.model
        model.eval()
        total, labels = 0.0, 0
        for batch in self.get_eval_dataloader():
            inputs: Any = self._prepare_inputs(batch)
            total += self.workers.losses(self._part_loss(model, 1), inputs["parts"]).item()
            labels += _labels(inputs)
        metrics = {"eval_loss": total / labels}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        root = Path(str(self.args.output_dir))
        checkpointing = self.checkpointing
        notes = {"keeper": checkpointing.notes(), "tokens": self.progress.tokens, "seconds": checkpointing.seconds()}
        checkpoints.write(root, self, checkpointing.weights, notes)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        checkpoint = Path(resume_from_checkpoint)
        trained: Any = self.model
        checkpoints.read_weights(checkpoint, trained)
        self.checkpointing.restore(checkpoints.read_notes(checkpoint), checkpoints.read_best(checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.read_optimizer(Path(checkpoint), self)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.read_random(Path(checkpoint))


def collate(drawn: Sequence[batches.Item], *, path: TrainingPath, count: int = 1) -> dict[str, Any]:
    """Return a micro-step as at most `count` parts of a path, with the number of its tokens."""
    together = [row for item in drawn for row in item]
    parts = [path.collate(part) for part in split(together, count)]
    return {"parts": parts, "tokens": sum(len(row.input_ids) for row in together)}


def _labels(batch: Mapping[str, Any]) -> int:
    return sum(len(part["labels"]) for part in batch["parts"])


def _arguments(config: Train, items: int, validate: bool, scratch: Path, precision: Precision) -> TrainingArguments:
    steps = max(1, math.ceil(math.ceil(math.ceil(items / config.batch_size) / config.accumulation) * config.epochs))
    made = OneDevice(
        output_dir=str(scratch),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(math.ceil(steps * config.warmup), steps - 1),  # the first step of a warmup learns nothing
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
    if made.visible > 1:
        print(f"{made.visible} accelerators are visible; the training uses the first ({made.device}), as the plan does")
    return made
