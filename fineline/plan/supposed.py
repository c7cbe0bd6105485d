"""A hypothetical run: from the configuration of a base model and a few numbers, without weights and data."""

from collections.abc import Mapping
from pathlib import Path

from fineline.errors import InputError
from fineline.hardware.device import Device
from fineline.models import shape
from fineline.models.shape import Shape
from fineline.plan import pretraining
from fineline.plan.report import Run
from fineline.plan.workload import Lengths
from fineline.project.params.sources import Base
from fineline.project.params.training import Train

Known = Mapping[str, tuple[Path, Base]]
"""Name of a base in params.yaml -> the directory that `base@NAME` writes, and its block."""

_LEARNED = 0.5  # share of the tokens that are labels


def suppose(base: str, known: Known, machine: Device, *, batch_size: int, length: int, rows: int) -> Run:
    """Return one epoch over `rows` rows of `length` tokens, with defaults for everything else.

    Args:
        base: A name under `bases:` in params.yaml, a model directory, a config.json, or a repository on the Hub.
        known: Bases of the project.

    Raises:
        InputError: The base is unknown, or is not a decoder-only language model.
    """
    row = (length, max(1, round(length * _LEARNED)))
    return Run(
        shape_of(base, known),
        machine,
        Train(batch_size=min(batch_size, rows)),
        Lengths((row,) * rows),
        training_tokens=pretraining.training_tokens(base),
    )


def shape_of(base: str, known: Known) -> Shape:
    """Return the shape of a base, given by any of its names; see `suppose`.

    Raises:
        InputError: The base is unknown, or is not a decoder-only language model.
    """
    if base in known:
        directory, block = known[base]
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
