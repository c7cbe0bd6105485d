"""`fineline init` and `retire`: the first rows of a source, the base model that a user named, and the blocks in params.yaml."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from fineline import artifacts
from fineline.artifacts import files
from fineline.curate import layouts
from fineline.curate.reading import Rejected
from fineline.errors import InputError, Unreachable, did_you_mean
from fineline.models import bases
from fineline.project import editing, layout, params
from fineline.project.params.block import NAME, proposed_name
from fineline.project.params.project import RESERVED
from fineline.project.params.sources import Part
from fineline.sources import formats, listing
from fineline.sources.readers import RawRow
from fineline.sources.storage import Stored, unreadable

MOST_ROWS = 500  # rows that are read
_BYTES_A_TOKEN = 3.5  # of English text under a tokenizer of 50,000 tokens; a forecast needs the order of magnitude only
_PART = Part(files="**")


@dataclass(frozen=True)
class FirstRows:
    """Counts and sizes of the first rows."""

    files: int
    looked_at: int
    usable: int
    problems: tuple[tuple[str, int], ...]
    """Reason why a row cannot be used -> how often; no value of a row is quoted."""
    estimated: int
    """Rows of the whole source, estimated from the size of its files."""
    tokens: int
    """Approximate length of a long row (95th percentile)."""


def read_first_rows(path: Path) -> FirstRows:
    """Read up to `MOST_ROWS` rows of a file or directory and count those that can be trained on.

    Raises:
        InputError: There is no data file, one is damaged, or not one row can be used.
    """
    stored = listing.find_local("**", path)
    problems, lengths = Counter[str](), list[int]()
    rows = list(itertools.islice(itertools.chain.from_iterable(map(_rows, stored)), MOST_ROWS))
    looked_at, size = len(rows), 0
    for row in rows:
        if row.content is None:
            problems[row.problem or "cannot be read"] += 1
            continue
        size += len(orjson.dumps(row.content, default=str))
        try:
            example = layouts.read(row.content, {})
        except Rejected as error:
            problems[str(error)] += 1
            continue
        lengths.append(sum(len(str(message.get("content", "")).encode()) for message in example.messages))
    if not lengths:
        said = "; ".join(f"{reason} ({count} times)" for reason, count in problems.most_common(3)) or "it is empty"
        raise InputError(
            f"{path}: not one of the first {looked_at} rows can be used: {said}; docs/sources.md shows the layouts"
        )
    bytes_in_all = sum(int(dict(file.state)["size"]) for file in stored)
    estimated = looked_at if looked_at < MOST_ROWS or not size else max(looked_at, round(bytes_in_all * looked_at / size))
    longest = sorted(lengths)[min(len(lengths) - 1, int(0.95 * len(lengths)))]
    tokens = max(8, round(longest / _BYTES_A_TOKEN))
    return FirstRows(len(stored), looked_at, len(lengths), tuple(problems.most_common()), estimated, tokens)


def _rows(stored: Stored) -> Iterator[RawRow]:
    try:
        opened = stored.open()
    except Exception as error:  # each storage raises other exceptions
        raise unreadable(stored.name, error) from error
    with opened as stream:
        yield from formats.format_of(stored.name).rows(stream, stored.name, _PART)


@dataclass(frozen=True)
class Base:
    """A base model that an adapter is added to."""

    name: str
    license: str
    block: dict[str, Any] | None
    """Its block, if params.yaml does not have it yet."""


def find_base(base: str, known: params.Params, adapter: str, owner: str, license: str | None) -> Base:
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
    accepted = "--base accepts a name under `bases:`, a model directory, and OWNER/NAME on the Hub"
    if base in known.bases:
        return Base(base, known.bases[base].license, None)
    if Path(base).is_dir():
        named, origin, found = Path(base).resolve().name, _of_directory(Path(base)), _license_in(Path(base) / "README.md")
    elif base.count("/") == 1 and not base.startswith((".", "/", "~")):
        named = base.partition("/")[2]
        origin, found = _of_hub(base)
    elif base.startswith((".", "/", "~")):
        raise InputError(f"{base}: no such directory; {accepted}")
    else:
        hint = did_you_mean(base, list(known.bases)) if known.bases else ""
        raise InputError(f"{params.FILE}: there is no base {base!r}{hint}; {accepted}")
    used = license or found
    if used is None:
        raise InputError(f"{base}: names no license; pass it with --base-license, as an SPDX id such as apache-2.0")
    name = proposed_name(named)
    if not NAME.fullmatch(name) or name in {*known.bases, *known.adapters, adapter}:
        raise InputError(
            f"{base}: the base cannot be named {name!r} (not usable, or taken); add it under `bases:` with another name"
        )
    return Base(name, used, {"owner": owner, "license": used, **origin})


def _of_directory(directory: Path) -> dict[str, Any]:
    if not (directory / "config.json").is_file():
        raise InputError(f"{directory}: has no config.json; pass the directory of a model")
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


_GUARD, _MARGIN = "mmlu_dev", 0.08


def adapter_block(owner: str, license: str, base: str, data: str) -> dict[str, Any]:
    """Return the block of a new adapter, which must predict held-out rows better than the base and pass the guard."""
    guards = {_GUARD: _MARGIN} if (layout.SUITES / _GUARD).is_dir() else {}
    rules = {"must_improve": {"target_gold": 0}} | ({"must_not_regress": guards} if guards else {})
    return {
        "owner": owner,
        "license": license,
        "base": base,
        "source": {"path": data},
        "curate": {},
        "train": {},
        "evaluate": {"target": {"metrics": ["exact_match", "gold"]}, "guards": list(guards), "gate": rules},
        "export": {},
        "retrain": {},
    }


def check_new(name: str, data: Path) -> params.Params:
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
    if name in RESERVED:
        raise InputError(f"{name!r} is taken, because {RESERVED[name]}; use another name")
    if name in known.bases:
        raise InputError(f"{params.FILE}: {name!r} is a base; in Dagster both would be one group, so take another name")
    if not data.exists():
        raise InputError(f"{data}: no such file or directory")
    if not data.resolve().is_relative_to(Path.cwd().resolve()):
        raise InputError(f"{data}: is outside of the project; DVC watches files within it, so copy or mount the data here")
    return known


def add_adapter(name: str, content: dict[str, Any], base: Base) -> None:
    """Write the block, that of the base if it is new, and the directory for evidence.

    Raises:
        InputError: The result would not be accepted; nothing is written then.
    """
    text = params.FILE.read_text(encoding="utf-8")
    if base.block is not None:
        text = editing.put(text, ("bases", base.name), base.block)
    _write(editing.put(text, ("adapters", name), content))
    ensure_evidence(name)


def remove_adapter(name: str) -> None:
    """Remove the block of an adapter. Raises `InputError` if the adapter is unknown."""
    params.load().adapter(name)
    _write(editing.remove(params.FILE.read_text(encoding="utf-8"), ("adapters", name)))


def ensure_evidence(name: str, directory: Path = Path()) -> bool:
    """Create the evidence directory of an adapter, with a file so that git keeps it. True if it was missing."""
    readme = directory / layout.evidence(name) / "README.md"
    if readme.parent.is_dir() and any(readme.parent.iterdir()):
        return False
    text = f"# Evidence about {name}\n\nStamped results of other tools belong here, see [evidence](../README.md).\n"
    files.write_text(readme, text)
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
