"""The block of a base model in params.yaml, from its directory or its repository on the Hugging Face Hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fineline import artifacts
from fineline.errors import InputError, Unreachable, did_you_mean
from fineline.models import bases
from fineline.project import editing, params
from fineline.project.params.block import NAME, proposed_name


@dataclass(frozen=True)
class Base:
    """A base model that an adapter is added to."""

    name: str
    license: str
    block: dict[str, Any] | None
    """Its block, if params.yaml does not have it yet."""


def find(base: str, known: params.Params, adapter: str, owner: str, license: str | None) -> Base:
    """Return the base model that a user named.

    Args:
        base: A name under `bases:`, a model directory, or OWNER/NAME on the Hub.
        adapter: Name of the adapter that is added, which the base cannot have too.
        owner: Of the new block.
        license: Of a model that is not in params.yaml yet; None for the one that its own card names.

    Raises:
        InputError: There is no such base, it is not a usable model, or its license is unknown.
        Unreachable: The Hub does not answer.
    """
    if base in known.bases:
        return Base(base, known.bases[base].license, None)
    if Path(base).is_dir():
        named, origin, found = Path(base).resolve().name, _of_directory(Path(base)), _license_in(Path(base) / "README.md")
    elif base.count("/") == 1 and not base.startswith((".", "/", "~")):
        named = base.partition("/")[2]
        origin, found = _of_hub(base)
    else:
        hint = did_you_mean(base, list(known.bases)) if known.bases else ""
        raise InputError(
            f"{params.FILE}: there is no base {base!r}{hint}; --base also accepts a model directory and OWNER/NAME on the Hub"
        )
    used = license or found
    if used is None:
        raise InputError(f"{base}: names no license; pass it with --base-license, as an SPDX id such as apache-2.0")
    name = proposed_name(named)
    if not NAME.fullmatch(name) or name in {*known.bases, *known.adapters, adapter}:
        raise InputError(
            f"{base}: the base cannot be named {name!r} (not usable, or taken); add it under `bases:` with another name"
        )
    return Base(name, used, {"owner": owner, "license": used, **origin})


def add(text: str, base: Base) -> str:
    """Return the text of params.yaml with the block of a base that it does not have yet."""
    return text if base.block is None else editing.put(text, ("bases", base.name), base.block)


def _of_directory(directory: Path) -> dict[str, Any]:
    whole = directory.resolve()
    path = whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole
    return {"path": path.as_posix(), "digest": artifacts.digest(bases.manifest(directory))}


def _of_hub(repo: str) -> tuple[dict[str, Any], str | None]:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        found = HfApi().model_info(repo)
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise InputError(f"{repo}: no such model on the Hub, or this access token may not read it") from error
    except Exception as error:  # the HTTP client raises other exceptions
        raise Unreachable(f"{repo}: the Hub does not answer ({type(error).__name__}); check the network") from error
    license = found.card_data.get("license") if found.card_data else None
    return {"hub": {"repo": repo, "revision": found.sha}}, license if isinstance(license, str) else None


def _license_in(card: Path) -> str | None:
    """Return the license in the front matter of a model card, if there is one."""
    try:
        _, front, _ = card.read_text(encoding="utf-8").split("---\n", 2)
        license = yaml.safe_load(front)["license"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    return license if isinstance(license, str) else None
