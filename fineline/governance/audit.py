"""`fineline verify` and `fineline lineage`: verification from files and signatures alone, offline."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from fineline import artifacts
from fineline.artifacts import Artifact, Input
from fineline.errors import InputError, Refused
from fineline.governance import files, ledger, ledger_files, model_signature, revocations, store, verification
from fineline.governance.ledger import Entry
from fineline.governance.state import State
from fineline.project.candidate import ownership_by_role

_WIDTH = 132  # of trees that go to a file or a log
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Chain = Sequence[tuple[Path, Artifact]]


def verify(
    what: Annotated[
        Path, typer.Argument(metavar="RELEASE|ARTIFACT", help="A directory with a release.json or an artifact.json.")
    ],
    head: Annotated[str | None, typer.Option(help="For a release: an entry that the ledger must still have.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Accepted for scripts; verification is always offline.")] = True,
    as_json: AsJson = False,
) -> None:
    """Recompute every digest back to the raw data; for a release, also check who approved it and whether that still counts."""
    if what.parent.name == "channels" and not what.exists():
        raise InputError(f"{what}: no release here; releases are not in git, so it may have been promoted on another machine")
    if (what / store.RECORD).exists():
        _verify_release(what, head, as_json)
        return
    if head is not None:
        raise InputError(f"--head: {what} is not a release; the option applies to releases only")
    chain = _ancestry(what)
    problems = {path: [*artifacts.problems(path), *_other_inputs(path, record)] for path, record in chain}
    wrong = [problem for found in problems.values() for problem in found]
    if as_json and not wrong:
        print(json.dumps({"artifact": what.as_posix(), "holds": True, "chain": _described(chain)}, indent=2))
    elif not as_json:
        for path, record in chain:
            console.print(f"{'[red]!![/]' if problems[path] else '[green]ok[/]'} {path}  {record.digest}")
    if wrong:
        raise Refused("\n".join(wrong))


def lineage(
    artifact: Annotated[Path | None, typer.Argument(metavar="[ARTIFACT]", help="A directory with an artifact.json.")] = None,
    source: Annotated[
        str | None, typer.Option("--from-source", metavar="NAME", help="A source part that was withdrawn.")
    ] = None,
    row: Annotated[str | None, typer.Option("--from-row", metavar="ID", help="The id of a row that was withdrawn.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an artifact was made from and who signed it; or list everything that was made from a source or a row."""
    if sum(given is not None for given in (artifact, source, row)) != 1:
        raise InputError("fineline lineage: give an artifact, --from-source or --from-row")
    if artifact is not None:
        signed, chain = _signed(), _ancestry(artifact)
        if as_json:
            print(json.dumps({"artifact": artifact.as_posix(), "chain": _described(chain, signed)}, indent=2))
        else:
            console.print(_tree(artifact, signed), soft_wrap=False)
        return
    found = revocations.from_source(source) if source is not None else revocations.from_row(str(row))
    if as_json:
        print(json.dumps([asdict(one) | {"path": one.path.as_posix()} for one in found], indent=2))
        return
    for one in found:
        where = f", in {', '.join(one.channels)} now" if one.channels else ""
        console.print(f"{one.path} ({one.kind}{where})  {one.digest}", highlight=False, markup=False)
    console.print("run `fineline revoke` to record that they may no longer be used")


def _verify_release(release: Path, head: str | None, as_json: bool) -> None:
    found = verification.verify(release, expected_head=head)
    if as_json:
        content = asdict(found) | {"release": str(release)}
        if found.release_key is None:
            del content["release_key"]
        print(json.dumps(content, indent=2))
        return
    for role, digest in found.artifacts.items():
        console.print(f"[green]ok[/] {role:<10} {digest}")
    if found.release_key is not None:
        console.print(f"[green]ok[/] {model_signature.FILE:<10} signed with the release key {found.release_key[:16]}")
    for one in found.approved:
        console.print(f"approved by {one['person']} at {one['time']}: {one['reason']}", highlight=False, markup=False)
    for one in found.promoted:
        console.print(f"promoted to {one['channel']} by {one['person']} at {one['time']}", highlight=False, markup=False)
    if not found.second_pair_of_eyes:
        console.print("reviewed only by its author")
    for draft in found.drafts:
        console.print(f"note: {draft}", highlight=False, markup=False)
    in_use, ends = ", ".join(found.in_use) or "no channel", ", ".join(found.head)
    console.print(f"verdict {found.verdict}; in use in {in_use}; ledger at {ends}")


def _ancestry(path: Path) -> Chain:
    """Return the artifact and everything it was made from, each once, sources first."""
    found: dict[Path, Artifact] = {}

    def visit(current: Path, below: tuple[Path, ...]) -> None:
        if current in below:
            raise Refused(f"{current}: is recorded as made from itself")
        if current not in found:
            try:
                record = artifacts.read(current)
            except OSError as error:
                raise InputError(f"{current}: cannot be read: {error.strerror}") from error
            for source in record.inputs.values():
                visit(Path(source.path), (*below, current))
            found[current] = record

    visit(path, ())
    return list(found.items())


def _other_inputs(path: Path, record: Artifact) -> list[str]:
    """Return a sentence for each input that has changed since the artifact was made from it."""
    present = {role: artifacts.read(Path(source.path)) for role, source in record.inputs.items()}
    return [
        f"{path}: made from {role} {source.digest}, but {source.path} is {present[role].digest}"
        for role, source in record.inputs.items()
        if not source.is_from(present[role])
    ]


def _described(chain: Chain, signed: Mapping[str, Sequence[Entry]] | None = None) -> list[dict[str, Any]]:
    return [
        {
            "path": path.as_posix(),
            "kind": record.kind,
            "digest": record.digest,
            **_ownership(record),
            "inputs": {role: _input(source) for role, source in record.inputs.items()},
        }
        | ({} if signed is None else {"signed": [_signature(entry) for entry in signed.get(record.digest, ())]})
        for path, record in chain
    ]


def _ownership(record: Artifact) -> dict[str, str | None]:
    """Return owner and license; None where params.yaml is not here, or no longer has the adapter or base."""
    try:
        return asdict(ownership_by_role({"": record})[""])
    except InputError:
        return {"owner": None, "license": None}


def _input(source: Input) -> dict[str, Any]:
    return {"path": source.path, "digest": source.digest} | ({"files": list(source.files)} if source.files else {})


def _signature(entry: Entry) -> dict[str, Any]:
    return {"act": entry.action, "person": entry.person, "time": entry.time, "entry": entry.id}


def _signed() -> Mapping[str, Sequence[Entry]]:
    """Return digest -> what was signed about it; empty where there is no ledger."""
    found: dict[str, list[Entry]] = {}
    if ledger.ROOT.is_dir():
        for entry in State(ledger_files.read(), files.now()).ledger.entries:
            for digest in entry.subjects.values():
                found.setdefault(digest, []).append(entry)
    return found


def _tree(path: Path, signed: Mapping[str, Sequence[Entry]], role: str = "") -> Tree:
    record = artifacts.read(path)
    owner, license = (value or f"{key} not known" for key, value in _ownership(record).items())
    label = f"{role + ': ' if role else ''}[bold]{path}[/] ({record.kind}, {owner}, {license})"
    actions = escape(", ".join(f"{entry.action} by {entry.person}" for entry in signed.get(record.digest, ()))) or "not signed"
    tree = Tree(f"{label}\n{record.digest}\n{actions}", highlight=True)
    for source_role, source in record.inputs.items():
        tree.add(_tree(Path(source.path), signed, source_role))
    return tree
