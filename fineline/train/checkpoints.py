"""Checkpoints, from which an interrupted run resumes and produces the same bytes, in safetensors and JSON.

A checkpoint contains the trained weights, the state of optimizer, schedule and random numbers, and the best weights so far. Its
directory is named by the digest of everything that decides the result, so a run with another configuration does not find it.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fineline.artifacts import canonical
from fineline.errors import FinelineError

WEIGHTS, OPTIMIZER, BEST, STATE, TRAINER = (
    "weights.safetensors", "optimizer.safetensors", "best.safetensors", "state.json", "trainer_state.json",
)  # fmt: skip


def directory(root: Path, identity: Mapping[str, Any]) -> Path:
    """Return the directory below `root` for the checkpoints of the run with this identity.

    Args:
        identity: All that decides the trained weights, as plain data.
    """
    return root / canonical.digest(identity).removeprefix("sha256:")[:16]


def latest(root: Path) -> Path | None:
    """Return the newest complete checkpoint below `root`. One whose writing was interrupted does not count."""
    whole = [path for path in root.glob("step-*") if (path / TRAINER).is_file()]
    return max(whole, key=lambda path: int(path.name.removeprefix("step-")), default=None)


def readable(checkpoint: Path) -> bool:
    """True if every file of a checkpoint can be read."""
    try:
        for file in checkpoint.iterdir():
            if file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            else:
                load_file(file)
    except (OSError, ValueError, SafetensorError):
        return False
    return True


def trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the trained parameters by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def write(root: Path, trainer: Any, best: Mapping[str, torch.Tensor], notes: Mapping[str, Any]) -> None:
    """Write a checkpoint of a `transformers.Trainer`, then remove older ones.

    Args:
        best: The weights with the lowest validation loss so far, if they are kept.
        notes: Further state of the run.

    Raises:
        FinelineError: The checkpoint cannot be written.
    """
    draft = root / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        _save({name: weight.detach() for name, weight in trained(trainer.model).items()}, draft / WEIGHTS)
        if best:
            _save(best, draft / BEST)
        tensors, rest = _flat(trainer.optimizer.state_dict())
        tensors |= {f"random/{name}": state for name, state in _random_states().items()}
        _save(tensors, draft / OPTIMIZER)
        state = {"optimizer": rest, "schedule": trainer.lr_scheduler.state_dict(), "notes": dict(notes)}
        (draft / STATE).write_text(json.dumps(state), encoding="utf-8")
        trainer.state.save_to_json(str(draft / TRAINER))
    except (OSError, SafetensorError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise disk_error(error, root) from error
    target = root / f"step-{trainer.state.global_step}"
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    for old in root.glob("step-*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def disk_error(error: Exception, place: Path) -> FinelineError:
    """Return the error to raise if writing below `place` failed."""
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
    if not full:
        return FinelineError(f"{place}: cannot be written: {error}")
    parent = next(path for path in (place, *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(parent).free
    return FinelineError(
        f"{place}: the disk is full ({free / 2**20:.0f} MiB free). No earlier result is lost; free some space and run the stage"
        " again: it resumes from the last checkpoint"
    )


def read_weights(checkpoint: Path, model: torch.nn.Module, file: str = WEIGHTS) -> None:
    """Copy the weights of a checkpoint into the model.

    Raises:
        FinelineError: They are not the trained parameters of the model.
    """
    put(model, load_file(checkpoint / file))


def put(model: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Overwrite the trained parameters.

    Raises:
        FinelineError: `weights` has other names than they.
    """
    parameters = trained(model)
    if parameters.keys() != weights.keys():
        raise FinelineError("the checkpoint belongs to another model; remove .fineline/checkpoints and run the stage again")
    with torch.no_grad():
        for name, weight in parameters.items():
            weight.copy_(weights[name])


def read_best(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return the best weights so far; empty if they are not kept."""
    return load_file(checkpoint / BEST) if (checkpoint / BEST).is_file() else {}


def read_notes(checkpoint: Path) -> dict[str, Any]:
    """Return the notes of a checkpoint, see `write`."""
    notes: dict[str, Any] = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["notes"]
    return notes


def read_optimizer(checkpoint: Path, trainer: Any) -> None:
    """Restore the state of optimizer and schedule."""
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    trainer.optimizer.load_state_dict(_nested(load_file(checkpoint / OPTIMIZER), state["optimizer"]))
    trainer.lr_scheduler.load_state_dict(state["schedule"])


def read_random(checkpoint: Path) -> None:
    """Restore the state of torch's random number generators."""
    states = load_file(checkpoint / OPTIMIZER)
    torch.set_rng_state(states["random/cpu"])
    if torch.cuda.is_available() and "random/cuda" in states:
        torch.cuda.set_rng_state(states["random/cuda"])


def _random_states() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _flat(state: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return an optimizer's state as tensors by path, and the rest. Eight-bit optimizers nest tensors one level deeper."""
    tensors: dict[str, torch.Tensor] = {}
    rest: dict[str, Any] = {}
    for path, value in _leaves(state["state"], ()):
        (tensors if isinstance(value, torch.Tensor) else rest)["/".join(path)] = value
    return tensors, {"values": rest, "groups": state["param_groups"]}


def _leaves(branch: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in branch.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def _nested(tensors: Mapping[str, torch.Tensor], rest: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for path, value in {**tensors, **rest["values"]}.items():
        number, *keys, last = path.split("/")
        if number == "random":
            continue
        branch = state.setdefault(int(number), {})
        for key in keys:
            branch = branch.setdefault(key, {})
        branch[last] = value
    return {"state": state, "param_groups": rest["groups"]}


def _save(tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, file)
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
