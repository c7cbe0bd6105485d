"""The block of an adapter in params.yaml: added by `fineline init`, removed by `fineline retire`."""

from pathlib import Path
from typing import Any

from fineline.artifacts import files
from fineline.errors import InputError
from fineline.project import editing, layout, params
from fineline.project.params.block import NAME, proposed_name
from fineline.scaffold import base_block
from fineline.scaffold.base_block import Base

_GUARD, _MARGIN = "mmlu_dev", 0.08


def block(owner: str, license: str, base: str, data: str) -> dict[str, Any]:
    """Return the block of a new adapter, which must predict held-out rows better than the base and pass the guard."""
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


def check(name: str, data: Path) -> params.Params:
    """Return the parameters, if an adapter can be added under that name with these data.

    Raises:
        InputError: The name is taken or not usable, or the data are not within the project.
    """
    if not NAME.fullmatch(name):
        proposal = proposed_name(name)
        hint = f"; {proposal!r} would do" if NAME.fullmatch(proposal) else ""
        raise InputError(
            f"{name!r} is not a usable name: lower-case letters, digits and single inner hyphens, a letter first{hint}"
        )
    known = params.load()
    if name in known.adapters:
        raise InputError(f"{params.FILE}: there is an adapter {name!r} already")
    if name in known.bases:
        raise InputError(f"{params.FILE}: {name!r} is a base; in Dagster both would be one group, so take another name")
    if not data.exists():
        raise InputError(f"{data}: no such file or directory")
    if not data.resolve().is_relative_to(Path.cwd().resolve()):
        raise InputError(f"{data}: is outside of the project; DVC watches files within it, so copy or mount the data here")
    return known


def add(name: str, content: dict[str, Any], base: Base) -> None:
    """Write the block, that of the base if it is new, and the directory for evidence.

    Raises:
        InputError: The result would not be accepted; nothing is written then.
    """
    text = base_block.add(params.FILE.read_text(encoding="utf-8"), base)
    _write(editing.put(text, ("adapters", name), content))
    ensure_evidence(name)


def remove(name: str) -> None:
    """Remove the block of an adapter.

    Raises:
        InputError: There is none.
    """
    params.load().adapter(name)
    _write(editing.remove(params.FILE.read_text(encoding="utf-8"), ("adapters", name)))


def ensure_evidence(name: str, directory: Path = Path()) -> bool:
    """Create the evidence directory of an adapter, with a file so that git keeps it. True if it was missing."""
    readme = directory / layout.evidence(name) / "README.md"
    if readme.parent.is_dir() and any(readme.parent.iterdir()):
        return False
    files.write_text(
        readme, f"# Evidence about {name}\n\nStamped results of other tools belong here, see [evidence](../README.md).\n"
    )
    return True


def _write(text: str) -> None:
    """Replace params.yaml in one step, after checking the new text as a whole."""
    draft = params.FILE.with_name(f".{params.FILE.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        params.load(draft)
        draft.replace(params.FILE)
    finally:
        draft.unlink(missing_ok=True)
