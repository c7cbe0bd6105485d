"""A run that is only supposed: from a configuration file and a few numbers, without weights, data or params.yaml."""

from pathlib import Path

from fineline.errors import InputError
from fineline.hardware.device import Device
from fineline.plan import pretraining, shape
from fineline.plan.report import Run
from fineline.plan.shape import Shape
from fineline.plan.workload import Lengths
from fineline.project import layout, params
from fineline.project.params.training import Train

_LEARNED = 0.5  # share of the tokens that carry a label


def suppose(base: str, machine: Device, *, batch_size: int, length: int, rows: int) -> Run:
    """One epoch over `rows` rows of `length` tokens, all else at its default.

    Args:
        base: A name under `bases:` in params.yaml, a model directory, a config.json, or a repository on the Hub.

    Raises:
        InputError: There is no such base, or it is no decoder-only language model.
    """
    row = (length, max(1, round(length * _LEARNED)))
    return Run(
        shape_of(base),
        machine,
        Train(batch_size=min(batch_size, rows)),
        Lengths((row,) * rows),
        training_tokens=pretraining.training_tokens(base),
    )


def shape_of(base: str) -> Shape:
    """The shape of a base by any of its names.

    Raises:
        InputError: There is no such base, or it is no decoder-only language model.
    """
    if params.FILE.is_file() and base in (bases := params.load().bases):
        made, block = layout.base(base), bases[base]
        if (made / "config.json").is_file():
            return shape.of_model(made)
        if block.hub:
            return shape.of_repository(block.hub.repo, block.hub.revision)
        if block.path:
            return shape.of_model(Path(block.path))
        raise InputError(f"--base: {base} is not made yet; run `dvc repro base@{base}`")
    if Path(base).exists() or Path(base).suffix == ".json":
        return shape.of_model(Path(base))
    if base.count("/") == 1 and not base.startswith((".", "/", "~")):
        return shape.of_repository(base)
    raise InputError(
        f"--base: {base!r} is no base of params.yaml, no model directory or config.json, and no OWNER/NAME of the Hub"
    )
