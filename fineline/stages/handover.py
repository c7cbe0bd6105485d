"""Curated rows and settings, which stages hand over to later ones: `plan` decides the settings and `train` follows them.

Settings contain nothing that varies between runs on one machine, so an unchanged plan does not make a training stale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fineline.adapters.methods import METHODS, SELECTABLE
from fineline.artifacts import reports
from fineline.chat import tokens
from fineline.chat.settings import ChatSettings
from fineline.chat.tokens import Learn
from fineline.errors import InputError
from fineline.project.params.training import Train
from fineline.train.row_checks import Split

SETTINGS, PLAN = "settings.json", "plan.json"

Rows = list[dict[str, Any]]


def read_rows(curated: Path, *splits: str) -> dict[str, Rows]:
    """Return the rows of splits (train, validation or test) of a curated data set, by split.

    Raises:
        InputError: A file is missing or broken.
    """
    return {split: reports.read_lines(curated / f"{split}.jsonl") for split in splits}


def training_rows(curated: Path, chat: Any, learn: Learn) -> Mapping[str, Split]:
    """Return the splits that training reads, `train` and `validation`, with their tokens.

    Args:
        chat: The `ChatFormat` of the base model.

    Raises:
        InputError: A file is missing or broken, a row cannot be tokenized, or there is no row to train on.
    """
    splits = {}
    for split, rows in read_rows(curated, "train", "validation").items():
        file = curated / f"{split}.jsonl"
        splits[split] = Split(file, rows, tokens.encode_all(chat, rows, file, learn=learn))
    if not splits["train"].tokens:
        raise InputError(f"{curated}/train.jsonl: no rows to train on")
    return splits


def probe_rows(curated: Path) -> Rows:
    """Return the held-out rows, whose first ones compare a merged or exported model with its reference."""
    splits = read_rows(curated, "validation", "test")
    return splits["validation"] + splits["test"]


@dataclass(frozen=True)
class Forecast:
    """The forecast of a plan for the settings that it chose."""

    memory_bytes: Mapping[str, int]
    """Bytes by component, and `total`; empty if there is no plan."""
    seconds: float | None


def resolved(train: Train, **decided: Any) -> Train:
    """Return a `train:` block in which no key is `auto`.

    Args:
        decided: The keys that may be `auto`: those of a `choice.Setting`, and `precision`.
    """
    return _block({name: getattr(train, name) for name in train.model_fields_set} | decided)


def write_settings(
    directory: Path, digests: Mapping[str, str], requested: Train, decided: Train, chat: ChatSettings | None = None
) -> None:
    """Write settings.json into a directory of reports.

    Args:
        digests: Digests of the `base` and the `data` that the plan was made for.
        requested: The `train:` block of params.yaml.
        decided: See `resolved`.
        chat: The block `curate.chat`, which the training follows too.
    """
    content = {
        **digests,
        **_set(chat),
        "requested": requested.model_dump(mode="json", exclude_unset=True),
        "train": decided.model_dump(mode="json", exclude_unset=True),
    }
    reports.write(directory / SETTINGS, content)


def read_settings(
    directory: Path, digests: Mapping[str, str], requested: Train, chat: ChatSettings | None = None, *, remedy: str
) -> Train:
    """Return the decided `train:` block in a directory of reports, if it belongs to these parameters, base and data.

    Args:
        digests: Digests of the present `base` and `data`.
        requested: The present `train:` block of params.yaml.
        chat: The present block `curate.chat`.
        remedy: How to make new settings, for messages.

    Raises:
        InputError: The settings are missing or broken, or the parameters, the base or the data have changed since.
    """
    file = directory / SETTINGS
    if not file.is_file():
        raise InputError(f"{file}: missing; {remedy}")
    content = reports.read(file)
    try:
        planned = {role: content[role] for role in (*digests, "requested")}
        decided = _block(content["train"])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InputError(f"{file}: not the settings of a plan ({str(error).splitlines()[0]}); {remedy}") from error
    present = {**digests, "requested": requested.model_dump(mode="json", exclude_unset=True)}
    changed = ["`train:`" if role == "requested" else role for role in present if planned[role] != present[role]]
    if content.get("chat") != _set(chat).get("chat"):
        changed.append("`curate.chat`")
    if changed:
        raise InputError(f"{file}: {' and '.join(changed)} changed since the plan was made; {remedy}")
    return decided


def forecast(directory: Path, digests: Mapping[str, str]) -> Forecast:
    """Return the forecast in plan.json; an empty one if it is missing, broken or of another base or data.

    No result depends on the forecast, so it neither stops a training nor makes one stale.
    """
    try:
        content = reports.read(directory / PLAN)
        if any(content[role] != digest for role, digest in digests.items()):
            return Forecast({}, None)
        return Forecast(dict(content["chosen"]["memory_bytes"]), content["chosen"]["seconds"])
    except (InputError, KeyError, TypeError, ValueError):
        return Forecast({}, None)


def _set(chat: ChatSettings | None) -> dict[str, Any]:
    """Return the keys of `curate.chat` that were set, as `chat`; empty without any."""
    kept = chat.model_dump(mode="json", exclude_unset=True) if chat is not None else {}
    return {"chat": kept} if kept else {}


def _block(values: Mapping[str, Any]) -> Train:
    """Return a `train:` block without the keys that its method does not read, which would be refused."""
    unread = SELECTABLE - METHODS[values["method"]].uses
    train = Train.model_validate({name: value for name, value in values.items() if name not in unread})
    return train.model_copy(update={"dequantize": bool(values.get("dequantize"))})
