"""What `plan` decided and `train` follows: reports/<name>/settings.json.

Nothing in it varies from run to run on one machine, so an unchanged plan never makes a training stale.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fineline.adapters.methods import METHODS, SELECTABLE
from fineline.artifacts import reports
from fineline.errors import InputError
from fineline.models.precision import Precision
from fineline.project import layout
from fineline.project.params.project import Adapter
from fineline.project.params.training import Train


def file(name: str) -> Path:
    """Where the settings of adapter `name` lie."""
    return layout.reports(name) / "settings.json"


def resolved(
    train: Train,
    *,
    method: str,
    batch_size: int,
    accumulation: int,
    recompute: bool,
    dequantize: bool,
    precision: Precision,
) -> Train:
    """A `train:` block with nothing left open."""
    decided = {
        "method": method,
        "batch_size": batch_size,
        "accumulation": accumulation,
        "recompute": recompute,
        "dequantize": dequantize,
        "precision": precision,
    }
    return _of({name: getattr(train, name) for name in train.model_fields_set} | decided)


def write(name: str, base_digest: str, data_digest: str, requested: Train, decided: Train) -> None:
    """Write the settings of adapter `name`."""
    content = {
        "base": base_digest,
        "data": data_digest,
        "requested": requested.model_dump(mode="json", exclude_unset=True),
        "train": decided.model_dump(mode="json", exclude_unset=True),
    }
    reports.write(file(name), content)


def read(name: str, adapter: Adapter, base_digest: str, data_digest: str) -> Train:
    """The settings of adapter `name`, if they are still those of its parameters, base and data.

    Returns:
        The `train:` block with nothing left open.

    Raises:
        InputError: There are none, they are broken, or the parameters, the base or the data have changed since.
    """
    place, remedy = file(name), f"run `dvc repro plan@{name}`"
    if not place.is_file():
        raise InputError(f"{place}: missing; {remedy}")
    content = reports.read(place)
    try:
        found = {"base": content["base"], "data": content["data"], f"adapters.{name}.train": content["requested"]}
        decided = _of(content["train"])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InputError(f"{place}: not the settings of a plan ({str(error).splitlines()[0]}); {remedy}") from error
    requested = adapter.train.model_dump(mode="json", exclude_unset=True)
    now = {"base": base_digest, "data": data_digest, f"adapters.{name}.train": requested}
    changed = [subject for subject in now if found[subject] != now[subject]]
    if changed:
        raise InputError(f"{place}: {' and '.join(changed)} changed since the plan was made; {remedy}")
    return decided


@dataclass(frozen=True)
class Forecast:
    """What a plan forecast for the settings that it chose."""

    memory_bytes: dict[str, int]
    """By component, and `total`; empty if there is no plan."""
    seconds: float | None


def forecast(name: str, base_digest: str, data_digest: str) -> Forecast:
    """What plan.json forecast for adapter `name`, to set it beside what is measured; nothing if it is of another base or data.

    No result depends on it, so it stops no training. It is not part of the settings, so that a better forecast makes no
    training stale.
    """
    try:
        content = reports.read(layout.reports(name) / "plan.json")
        if (content["base"], content["data"]) != (base_digest, data_digest):
            return Forecast({}, None)
        return Forecast(dict(content["chosen"]["memory_bytes"]), content["chosen"]["seconds"])
    except (InputError, KeyError, TypeError, ValueError):
        return Forecast({}, None)


def _of(values: dict[str, Any]) -> Train:
    """A block from its values, without those that the method does not read: they would be refused as set in vain."""
    idle = SELECTABLE - METHODS[values["method"]].uses
    train = Train.model_validate({name: value for name, value in values.items() if name not in idle})
    return train.model_copy(update={"dequantize": bool(values.get("dequantize"))})
