"""Stage `plan@A`: memory, time and work of each method on this machine, and the settings that training will use.

`suppose` plans without data and weights, from the configuration of a base.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fineline import artifacts
from fineline.artifacts import reports
from fineline.chat.settings import ChatSettings
from fineline.chat.tokens import chat_format
from fineline.errors import InputError, ParameterError, parameters_of
from fineline.export import formats
from fineline.hardware import device
from fineline.hardware.device import Device
from fineline.models import shape
from fineline.models.shape import Shape
from fineline.plan import workload
from fineline.plan.report import Run
from fineline.plan.workload import Lengths
from fineline.project import layout, params
from fineline.project.params.exporting import Export
from fineline.project.params.sources import Base
from fineline.project.params.training import AUTO, Train
from fineline.stages import handover

_LEARNED = 0.5  # share of the tokens that are labels in a run without data


@dataclass(frozen=True)
class PlanInputs:
    """Everything that a plan reads, and the directory that it writes to."""

    requested: Train
    """The `train:` block of params.yaml."""
    chat: ChatSettings
    shape: Shape
    """The base model's."""
    training_tokens: float | None
    """Tokens that the base model was trained on; None if that is not known."""
    lengths: Mapping[str, Lengths]
    """Lengths of the rows of `train` and `validation`."""
    digests: Mapping[str, str]
    """Digests of `base` and `data`."""
    reports: Path
    base: Path
    export: Export
    """The block `export:` of params.yaml."""


def run(name: str) -> None:
    """Plan the training of adapter `name` into reports/<name>/plan.json and settings.json.

    Raises:
        InputError: The method is left to the plan and none fits, or `export.formats` names a format that the base or the
            method cannot take; plan.json contains the forecast.
    """
    with parameters_of(f"adapters.{name}"):
        inputs = read(name)
        planned = plan(inputs, device.detect())
        chosen, requested = planned.chosen, inputs.requested
        exportable = formats.forecast(inputs.base, inputs.export, chosen.setting.method)
        report = {**inputs.digests, **planned.report(), "formats": exportable}
        reports.write(inputs.reports / handover.PLAN, report)
        (inputs.reports / handover.SETTINGS).unlink(missing_ok=True)  # of an earlier plan
        if requested.method == AUTO and not chosen.fits:
            raise ParameterError("train.method", chosen.reason)
        names, reason = formats.decide(inputs.export, inputs.base, chosen.setting.method)
    decided = handover.resolved(requested, **asdict(chosen.setting), precision=planned.precision)
    handover.write_settings(inputs.reports, inputs.digests, requested, decided, inputs.chat)
    print(f"chosen: {chosen.setting.method}. {chosen.reason}")
    print(f"export: {', '.join(names)}; {reason}")
    for line in formats.lines(exportable):
        print(f"export: {line}")
    if requested.method != AUTO:
        print(f"recommended: {report['recommended']}. {report['reason']}")


def read(name: str) -> PlanInputs:
    """Read and check the inputs of the plan of adapter `name`.

    Raises:
        InputError: Parameters, rows or base are missing or cannot be used.
        Refused: A file is not as its artifact recorded it.
    """
    configured = params.load_for(name)
    block = configured.adapter(name)
    base, data = layout.base(block.base), layout.curated(name)
    digests = {"base": artifacts.used(base).digest, "data": artifacts.used(data, layout.TRAINING_ROWS).digest}
    splits = handover.training_rows(data, chat_format(base, block.curate.chat), block.train.learn)
    return PlanInputs(
        requested=block.train,
        chat=block.curate.chat,
        shape=shape.of_model(base),
        training_tokens=workload.training_tokens(block.base, *_origins(configured.base(block.base))),
        lengths={split: Lengths.of(found.tokens) for split, found in splits.items()},
        digests=digests,
        reports=layout.reports(name),
        base=base,
        export=block.export,
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


def suppose(base: str, machine: Device, *, batch_size: int, length: int, rows: int) -> Run:
    """Return one epoch over `rows` rows of `length` tokens, without data, with defaults for everything else.

    Args:
        base: A name under `bases:` in params.yaml, if there is one, a model directory, a config.json, or a repository on the
            Hub.

    Raises:
        InputError: The base is unknown, or is not a decoder-only language model.
    """
    row = (length, max(1, round(length * _LEARNED)))
    return Run(
        shape_of(base),
        machine,
        Train(batch_size=min(batch_size, rows)),
        Lengths((row,) * rows),
        training_tokens=workload.training_tokens(base),
    )


def shape_of(base: str) -> Shape:
    """Return the shape of a base, given by any of its names; see `suppose`.

    Raises:
        InputError: The base is unknown, or is not a decoder-only language model.
    """
    known = params.load().bases if params.FILE.is_file() else {}
    if base in known:
        directory, block = layout.base(base), known[base]
        if (directory / "config.json").is_file():
            return shape.of_model(directory)
        if block.hub:
            return shape.of_repository(block.hub.repo, block.hub.revision)
        if block.path:
            return shape.of_model(Path(block.path))
        raise InputError(f"--base: {base} does not exist yet; run `dvc repro base@{base}`")
    if Path(base).exists() or Path(base).suffix == ".json":
        return shape.of_model(Path(base))
    if base.count("/") == 1 and not base.startswith((".", "/", "~")):
        return shape.of_repository(base)
    raise InputError(
        f"--base: {base!r} is not a base of params.yaml, a model directory, a config.json, or OWNER/NAME on the Hub"
    )


def _origins(base: Base) -> list[str]:
    """Return the names of a base model at its origin."""
    origins = (base.hub and base.hub.repo, base.wheel and base.wheel.file, base.path)
    return [origin for origin in origins if origin]
