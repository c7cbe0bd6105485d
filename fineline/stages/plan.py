"""Stage `plan@A`: memory, time and work of each method on this machine, and the settings that training will use."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fineline import artifacts
from fineline.artifacts import reports
from fineline.chat.tokens import tokenizer_of
from fineline.errors import ParameterError, parameters_of
from fineline.hardware import device
from fineline.models import shape
from fineline.models.shape import Shape
from fineline.plan import pretraining, supposed
from fineline.plan.report import Run
from fineline.plan.workload import Lengths
from fineline.project import layout, params
from fineline.project.params.sources import Base
from fineline.project.params.training import AUTO, Train
from fineline.stages import rows, settings


@dataclass(frozen=True)
class PlanInputs:
    """Everything that a plan reads, and the directory that it writes to."""

    requested: Train
    """The `train:` block of params.yaml."""
    shape: Shape
    """The base model's."""
    training_tokens: float | None
    """Tokens that the base model was trained on; None if that is not known."""
    lengths: Mapping[str, Lengths]
    """Lengths of the rows of `train` and `validation`."""
    digests: Mapping[str, str]
    """Digests of `base` and `data`."""
    reports: Path


def run(name: str) -> None:
    """Plan the training of adapter `name` into reports/<name>/plan.json and settings.json.

    Raises:
        InputError: The method is left to the plan and none fits; plan.json contains the forecast.
    """
    with parameters_of(f"adapters.{name}"):
        inputs = read(name)
        planned = plan(inputs, device.detect())
        report = {**inputs.digests, **planned.report()}
        reports.write(inputs.reports / settings.PLAN, report)
        chosen, requested = planned.chosen, inputs.requested
        if requested.method == AUTO and not chosen.fits:
            (inputs.reports / settings.FILE).unlink(missing_ok=True)
            raise ParameterError("train.method", chosen.reason)
    decided = settings.resolved(requested, **asdict(chosen.setting), precision=planned.precision)
    settings.write(inputs.reports, inputs.digests, requested, decided)
    print(f"chosen: {chosen.setting.method}. {chosen.reason}")
    if requested.method != AUTO:
        print(f"recommended: {report['recommended']}. {report['reason']}")


def read(name: str) -> PlanInputs:
    """Read and check the inputs of the plan of adapter `name`.

    Raises:
        InputError: Parameters, rows or base are missing or cannot be used.
        Refused: A file is not as its artifact recorded it.
    """
    configured = params.load()
    block = configured.adapter(name)
    base, data = layout.base(block.base), layout.curated(name)
    digests = {"base": artifacts.used(base).digest, "data": artifacts.used(data, layout.TRAINING_ROWS).digest}
    splits = rows.for_training(data, tokenizer_of(base), block.train.learn)
    return PlanInputs(
        requested=block.train,
        shape=shape.of_model(base),
        training_tokens=pretraining.training_tokens(block.base, *_origins(configured.base(block.base))),
        lengths={split: Lengths.of(found.tokens) for split, found in splits.items()},
        digests=digests,
        reports=layout.reports(name),
    )


def plan(inputs: PlanInputs, machine: device.Device) -> Run:
    """Return the training run on a machine, with its forecast.

    Raises:
        InputError: `keep: best` or `early_stopping` is set and there are no validation rows.
    """
    requested, validation = inputs.requested, inputs.lengths["validation"]
    if not validation.rows and (requested.keep == "best" or requested.early_stopping):
        raise ParameterError("train", "`keep: best` and `early_stopping` need validation rows; set curate.split.validation")
    return Run(
        inputs.shape,
        machine,
        requested,
        inputs.lengths["train"],
        validation=validation.epoch(),
        training_tokens=inputs.training_tokens,
    )


def suppose(base: str, machine: device.Device, *, batch_size: int, length: int, rows: int) -> Run:
    """Return the training of a base without data; see `fineline.plan.supposed`. There may be no params.yaml."""
    blocks = params.load().bases if params.FILE.is_file() else {}
    known = {name: (layout.base(name), block) for name, block in blocks.items()}
    return supposed.suppose(base, known, machine, batch_size=batch_size, length=length, rows=rows)


def _origins(base: Base) -> list[str]:
    """Return the names of a base model at its origin."""
    origins = (base.hub and base.hub.repo, base.wheel and base.wheel.file, base.path)
    return [origin for origin in origins if origin]
