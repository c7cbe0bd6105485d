"""The training run itself: `transformers.Trainer` with our loss and our batches."""

import math
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments, set_seed

from pipelines import loading
from pipelines.errors import FinelineError
from pipelines.params.training import Train
from pipelines.tokens import Tokens
from pipelines.train import adapter, batches, loss
from pipelines.train.progress import Progress

_VALIDATIONS = 4  # passes over the validation split in one run


@dataclass(frozen=True)
class Trained:
    """A trained model with what was measured on the way."""

    model: Any
    metrics: dict[str, float]
    progress: Progress


class CompletionTrainer(Trainer):
    """`Trainer` with the loss on completion tokens only and batches of rows of like length."""

    def _get_train_sampler(self, train_dataset: Any = None) -> batches.LengthGrouped:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(row["input_ids"]) for row in rows]
        return batches.LengthGrouped(lengths, self.args.train_batch_size, self.args.seed)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor | tuple[torch.Tensor, tuple[torch.Tensor]]:
        """The loss of `pipelines.train.loss`; a value that is no number stops the run."""
        value = loss.completion_loss(model, inputs["input_ids"], inputs["labels"], num_items_in_batch)
        if not torch.isfinite(value):
            raise FinelineError(f"the loss became {value.item()} at step {self.state.global_step}; lower `train.learning_rate`")
        return (value, (value.detach(),)) if return_outputs else value


def train(base: Path, train_rows: list[Tokens], validation_rows: list[Tokens], config: Train) -> Trained:
    """Train a new adapter on the base model in directory `base`.

    Raises:
        FinelineError: The loss stopped being a number.
    """
    started = time.perf_counter()
    set_seed(config.seed)
    longest = max(len(row.input_ids) for row in train_rows + validation_rows)
    quantized = loading.QUANTIZED[config.method]
    model = loading.base_model(base, quantized=quantized, attention=loading.attention_for(longest))
    loss.check_head(model)
    set_seed(config.seed)  # the adapter's first values must not depend on what loading drew
    model = adapter.attach(model, config)
    tokens_per_epoch = sum(len(row.input_ids) for row in train_rows)
    progress = Progress(tokens_per_epoch)
    with TemporaryDirectory() as scratch:
        trainer = CompletionTrainer(
            model=model,
            args=_arguments(config, len(train_rows), bool(validation_rows), scratch),
            train_dataset=batches.dataset(train_rows),
            eval_dataset=batches.dataset(validation_rows) or None,
            data_collator=batches.collate,
            callbacks=[progress],
        )
        trainer.model_accepts_loss_kwargs = True  # the Trainer then counts labels over accumulated micro-steps
        for callback in (ProgressCallback, PrinterCallback):
            trainer.remove_callback(callback)
        result = trainer.train()
    tokens = round(tokens_per_epoch * config.epochs)
    metrics = {
        "train_loss": progress.curve[-1]["loss"],
        "mean_train_loss": result.training_loss,
        "validation_loss": progress.validation[-1]["loss"] if progress.validation else None,
        "steps": result.global_step,
        "tokens": tokens,
        "tokens_per_second": tokens / result.metrics["train_runtime"],
        "seconds": time.perf_counter() - started,
        "trained_parameters": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        "peak_memory_bytes": _peak_memory(),
    }
    return Trained(model.eval(), metrics, progress)


def _arguments(config: Train, rows: int, validate: bool, scratch: str) -> TrainingArguments:
    steps = math.ceil(math.ceil(rows / config.batch_size) / config.accumulation * config.epochs)
    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(steps * config.warmup),
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=config.seed,
        data_seed=config.seed,
        bf16=True,
        use_cpu=loading.device().type == "cpu",
        logging_steps=max(1, steps // 100),
        logging_nan_inf_filter=False,
        eval_strategy="steps" if validate else "no",
        eval_steps=max(1, math.ceil(steps / _VALIDATIONS)),
        prediction_loss_only=True,
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
    )


def _peak_memory() -> int:
    """Highest memory use of this process so far in bytes: of the accelerator if there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
