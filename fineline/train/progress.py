"""Progress of a training run: progress lines, loss curves as CSV files, and a stop if the loss diverges."""

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from fineline.errors import FinelineError

_LINES = 25  # progress lines over a whole run
_DIVERGED = 2.0  # times the first loss
_POINTS = 3  # of the curve in a row


class Progress(TrainerCallback):
    """Prints step, loss, speed and remaining time, and keeps `loss.csv` and `validation_loss.csv` in `report` up to date."""

    def __init__(self, report: Path) -> None:
        self.report = report
        self.tokens = 0
        """Tokens trained on by this process."""
        self._started = 0.0
        self._first_step = 0
        self._printed = -1
        self._speeds: dict[int, float] = {}

    def seconds(self) -> float:
        """Return the seconds since the first step of this process."""
        return max(time.perf_counter() - self._started, 1e-9)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        self._first_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Write every point, and print about 25 lines over a run.

        Raises:
            FinelineError: The loss diverges.
        """
        logs = logs or {}
        seconds = self.seconds()
        speed = self.tokens / seconds
        self._speeds[state.global_step] = speed
        write_curves(self.report, state.log_history, self._speeds)
        if "eval_loss" in logs:
            print(f"step {state.global_step}/{state.max_steps}  validation loss {logs['eval_loss']:.4f}", flush=True)
        if "loss" not in logs:
            return
        refuse_divergence([point["loss"] for point in state.log_history if "loss" in point], state.global_step)
        part = state.global_step * _LINES // state.max_steps
        if part > self._printed:
            self._printed = part
            left = seconds / (state.global_step - self._first_step) * (state.max_steps - state.global_step)
            print(
                f"step {state.global_step}/{state.max_steps}  loss {logs['loss']:.4f}"
                f"  {speed:.0f} tokens/s  {left // 60:.0f} min {left % 60:02.0f} s left",
                flush=True,
            )


def refuse_divergence(losses: Sequence[float], step: int) -> None:
    """Raise `FinelineError` if the last three points of the loss curve are all at least twice the first."""
    recent = losses[-_POINTS:]
    if len(losses) > _POINTS and min(recent) >= _DIVERGED * losses[0]:
        raise FinelineError(
            f"the loss diverges: it was {losses[0]:.3f} at the start and is {recent[-1]:.3f} at step {step};"
            " lower `train.learning_rate` or raise `train.warmup`"
        )


def write_curves(report: Path, history: Sequence[Mapping[str, float]], speeds: Mapping[int, float]) -> None:
    """Write both curves from the Trainer's history, which a resumed run still has, for `dvc plots` and Dagster."""
    training = [
        {
            "step": point["step"],
            "loss": point["loss"],
            "learning_rate": point["learning_rate"],
            "tokens_per_second": round(speeds[int(point["step"])], 1) if point["step"] in speeds else "",
        }
        for point in history
        if "loss" in point
    ]
    validation = [{"step": point["step"], "loss": point["eval_loss"]} for point in history if "eval_loss" in point]
    _write(report / "loss.csv", training, ("step", "loss", "learning_rate", "tokens_per_second"))
    _write(report / "validation_loss.csv", validation, ("step", "loss"))


def _write(file: Path, points: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns)
        writer.writeheader()
        writer.writerows(points)
