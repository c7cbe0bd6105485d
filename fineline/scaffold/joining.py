"""An adapter joins: a block for it in params.yaml, and nothing else written around it."""

import os
from pathlib import Path
from typing import Any

from fineline.errors import InputError, did_you_mean
from fineline.project import editing, layout, params
from fineline.project.params.block import NAME

_GUARD, _MARGIN = "mmlu_dev", 0.08


def block(owner: str, license: str, base: str, data: str) -> dict[str, Any]:
    """What is asked of a new adapter: to fit its held-out rows better than the base, and to unlearn nothing that is guarded."""
    guards = [_GUARD] if (layout.SUITES / _GUARD).is_dir() else []
    rules: dict[str, Any] = {"must_improve": {"target_gold": 0}}
    if guards:
        rules["must_not_regress"] = {_GUARD: _MARGIN}
    return {
        "owner": owner,
        "license": license,
        "base": base,
        "source": {"path": data},
        "curate": {},
        "train": {},
        "evaluate": {"target": {"metrics": ["exact_match", "gold"]}, "guards": guards, "gate": rules},
        "export": {},
        "retrain": {},
    }


def check(name: str, data: Path, base: str) -> params.Params:
    """The configuration as it is, if an adapter may join under that name.

    Raises:
        InputError: The name is taken or no name, there is no such base, or the data are not within the project.
    """
    if not NAME.fullmatch(name):
        proposal = "-".join(part for part in "".join(c if c.isalnum() else " " for c in name.lower()).split())
        hint = f"; {proposal!r} would do" if NAME.fullmatch(proposal) else ""
        raise InputError(
            f"{name!r} is no usable name: lower-case letters, digits and single inner hyphens, a letter first{hint}"
        )
    known = params.load()
    if name in known.adapters:
        raise InputError(f"{params.FILE}: there is an adapter {name!r} already")
    if name in known.bases:
        raise InputError(f"{params.FILE}: {name!r} is a base; in Dagster both would be one group, so take another name")
    if base not in known.bases:
        raise InputError(f"{params.FILE}: there is no base {base!r}{did_you_mean(base, list(known.bases))}")
    if not data.exists():
        raise InputError(f"{data}: no such file or directory")
    if not data.resolve().is_relative_to(Path.cwd().resolve()):
        raise InputError(f"{data}: lies outside of the project; DVC watches what is within it, so copy or mount it here")
    return known


def join(name: str, content: dict[str, Any]) -> None:
    """Write the block.

    Raises:
        InputError: It would not be accepted; nothing was written then.
    """
    _write(editing.put(params.FILE.read_text(encoding="utf-8"), ("adapters", name), content))


def leave(name: str) -> None:
    """Take the block of an adapter out.

    Raises:
        InputError: There is none.
    """
    params.load().adapter(name)
    _write(editing.remove(params.FILE.read_text(encoding="utf-8"), ("adapters", name)))


def _write(text: str) -> None:
    """In one step, after the new text was read as any other."""
    draft = params.FILE.with_name(f".{params.FILE.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    try:
        params.load(draft)
        draft.replace(params.FILE)
    finally:
        draft.unlink(missing_ok=True)
