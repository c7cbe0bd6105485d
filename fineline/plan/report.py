"""The forecast of every method and the choice among them, as plain data and as a table of text."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from fineline.adapters.methods import METHODS
from fineline.errors import InputError
from fineline.hardware.device import Device
from fineline.models.config import Precision
from fineline.models.shape import Shape
from fineline.plan import choice, forecast
from fineline.plan.workload import Lengths, Workload, count, duration, energy_wh, price
from fineline.project.params.project import Costs
from fineline.project.params.training import AUTO, Train


@dataclass(frozen=True)
class Run:
    """A planned training run."""

    shape: Shape
    device: Device
    train: Train
    lengths: Lengths
    """Lengths of at least one row."""
    validation: Workload | None = None
    training_tokens: float | None = None
    """Number of tokens that the base was trained on; None if unknown."""

    @cached_property
    def chosen(self) -> choice.Choice:
        """Return the chosen settings.

        Raises:
            InputError: The base has nothing that the configured method, or LoRA for `auto`, would train.
        """
        return choice.decide(self.train, self.memory_bytes, self._tokens, self.device.memory_bytes)

    @property
    def precision(self) -> Precision:
        """Return the precision of matrix products."""
        return self.device.precision if self.train.precision == AUTO else self.train.precision

    def step(self, batch_size: int) -> Workload:
        """Return the largest micro-step."""
        return self.lengths.largest(batch_size, self.train.packing)

    def memory_bytes(self, setting: choice.Setting) -> dict[str, int]:
        """Return the forecast of memory by component."""
        longest = self.lengths.rows[0][0]
        return forecast.memory_bytes(
            setting.method,
            self.shape,
            self.train,
            self.step(setting.batch_size),
            recompute=setting.recompute,
            dequantize=setting.dequantize,
            kind=self.device.kind,
            precision=self.precision,
            scores=self.device.kind == "cpu" and longest * longest <= forecast.DENSE_SCORES,
        )

    def method(self, method: str) -> dict[str, Any]:
        """Return the forecast of one method, or why it cannot be used with this base."""
        try:
            return self.figures(choice.settle(method, self.train, self.memory_bytes, self._tokens, self.device.memory_bytes))
        except InputError as error:
            return {"method": method, "fits": False, "not_possible": str(error)}

    def figures(self, settled: choice.Choice) -> dict[str, Any]:
        """Return settings with all their forecasts."""
        setting = settled.setting
        flops = forecast.training_flops(
            setting.method,
            self.shape,
            self.train,
            self.lengths.epoch(setting.batch_size),
            recompute=setting.recompute,
            validation=self.validation,
        )
        seconds = forecast.seconds(
            flops,
            self.device,
            setting.method,
            self.shape,
            self.step(setting.batch_size),
            recompute=setting.recompute,
            dequantize=setting.dequantize,
            precision=self.precision,
        )
        return {
            **asdict(setting),
            "precision": self.precision,
            "trained_parameters": METHODS[setting.method].trained_parameters(self.shape, self.train),
            "memory_bytes": settled.memory_bytes,
            "fits": settled.fits,
            "flops": flops,
            "seconds": seconds,
            "energy_wh": energy_wh(seconds, self.device.watts),
            "share_of_base_compute": forecast.share_of_base(flops, self.shape, self.training_tokens),
        }

    def report(self) -> dict[str, Any]:
        """Return the content of plan.json.

        Raises:
            InputError: See `chosen`.
        """
        recommended, reason = self._recommended()
        epoch = self.lengths.epoch()
        return {
            "device": asdict(self.device),
            "parameters": self.shape.parameters,
            "shape": {name: value for name, value in asdict(self.shape).items() if name not in _LISTS},
            "rows": epoch.rows,
            "tokens": epoch.tokens,
            "learned": epoch.learned,
            "epochs": self.train.epochs,
            "largest_batch": asdict(self.step(self.chosen.setting.batch_size)),
            "methods": [self.method(method) for method in METHODS],
            "configured": self.train.method,
            "recommended": recommended,
            "reason": reason,
            "chosen": self.figures(self.chosen) | {"reason": self.chosen.reason},
        }

    def _recommended(self) -> tuple[str | None, str]:
        """Return the method that `auto` would choose, and why; None if no method fits."""
        try:
            found = replace(self, train=self.train.model_copy(update={"method": AUTO})).chosen
        except InputError as error:
            return None, str(error)
        return found.setting.method if found.fits else None, found.reason

    def _tokens(self, batch_size: int) -> int:
        return self.step(batch_size).tokens


_LISTS = ("linear", "parameters", "experts", "active", "frozen")
"""Fields of a shape that are not in `shape` of plan.json."""

COLUMNS = (
    "method", "trained", "batch", "base", "adapters", "gradients, optimizer", "activations", "logits", "context", "total",
    "fits", "time", "energy", "cost",
)  # fmt: skip
"""Memory is in GiB. `batch`: rows per micro-step x micro-steps per optimizer step, with r if blocks are recomputed, and d if
four-bit weights are dequantized."""


def cells(report: dict[str, Any], costs: Costs | None) -> list[list[str]]:
    """Return a row per method: those that fit in order of memory, then those that do not, then those that are not possible."""
    order = sorted(
        report["methods"], key=lambda entry: (not entry["fits"], entry.get("memory_bytes", {"total": 2**62})["total"])
    )
    return [_line(entry, costs) for entry in order]


def _line(entry: dict[str, Any], costs: Costs | None) -> list[str]:
    if "not_possible" in entry:
        return [entry["method"], *["-"] * 9, "no", "-", "-", "-"]
    parts = entry["memory_bytes"]
    sizes = [parts["base"], parts["adapters"], parts["gradients"] + parts["optimizer"]]
    sizes += [parts[part] for part in ("activations", "logits", "context", "total")]
    modes = "r" * entry["recompute"] + "d" * entry["dequantize"]
    return [
        entry["method"],
        count(entry["trained_parameters"]),
        f"{entry['batch_size']}x{entry['accumulation']} {modes}".strip(),
        *(f"{size / 2**30:.2f}" if size >= 2**30 / 200 or size == 0 else "<0.01" for size in sizes),
        "yes" if entry["fits"] else "no",
        duration(entry["seconds"]),
        "-" if entry["energy_wh"] is None else f"{count(entry['energy_wh'])}Wh",
        price(entry["seconds"], costs),
    ]
