"""What is seen of a running training: a line now and then, and the curves as CSV files."""

import csv
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

_LINES = 25  # progress lines over a whole run


class Progress(TrainerCallback):
    """Prints step, loss, speed and time left, and collects the points of both loss curves."""

    def __init__(self, tokens_per_epoch: int) -> None:
        self.tokens_per_epoch = tokens_per_epoch
        self.curve: list[dict[str, float]] = []
        self.validation: list[dict[str, float]] = []
        self._started = 0.0
        self._printed = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Keep every point; print a line when a further twenty-fifth of the run is done."""
        logs = logs or {}
        if "eval_loss" in logs:
            self.validation.append({"step": state.global_step, "loss": logs["eval_loss"]})
            print(f"step {state.global_step}/{state.max_steps}  validation loss {logs['eval_loss']:.4f}", flush=True)
        if "loss" not in logs:
            return
        point = {"step": state.global_step, "loss": logs["loss"], "learning_rate": logs["learning_rate"]}
        self.curve.append(point)
        part = state.global_step * _LINES // state.max_steps
        if part > self._printed:
            self._printed = part
            seconds = time.perf_counter() - self._started
            left = seconds / state.global_step * (state.max_steps - state.global_step)
            speed = self.tokens_per_epoch * (state.epoch or 0) / seconds
            print(
                f"step {state.global_step}/{state.max_steps}  loss {logs['loss']:.4f}"
                f"  {speed:.0f} tokens/s  {left // 60:.0f} min {left % 60:02.0f} s left",
                flush=True,
            )


def write_curve(file: Path, points: list[dict[str, float]]) -> None:
    """Write the points of a curve as CSV with a header, for `dvc plots` and Dagster."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(points[0]) if points else ["step", "loss"])
        writer.writeheader()
        writer.writerows(points)
