"""`fineline verify` and `fineline lineage`: what an auditor asks, from files and signatures alone; nothing is ever fetched."""

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
from fineline.artifacts import Artifact
from fineline.errors import InputError, Refused
from fineline.governance import downstream, files, ledger, store, verification
from fineline.governance.ledger import Entry
from fineline.governance.state import State

_WIDTH = 132  # of trees that go to a file or a log
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)

AsJson = Annotated[bool, typer.Option("--json", help="What was found, as JSON.")]
Chain = Sequence[tuple[Path, Artifact]]


def register(app: typer.Typer) -> None:
    """Add both commands."""
    for command in (verify, lineage):
        app.command()(command)


def verify(
    what: Annotated[
        Path, typer.Argument(metavar="RELEASE|ARTIFACT", help="A directory with a release.json or an artifact.json.")
    ],
    head: Annotated[str | None, typer.Option(help="Of a release: an entry that the ledger must still have.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="For scripts that say so: it never is anything else.")] = True,
    as_json: AsJson = False,
) -> None:
    """Recompute every digest, back to the raw data; of a release also who agreed to it, and whether that still counts."""
    if what.parent.name == "channels" and not what.exists():
        raise InputError(f"{what}: nothing was promoted there, or it lies on another machine; releases are not in git")
    if (what / store.RECORD).exists():
        _verify_release(what, head, as_json)
        return
    if head is not None:
        raise InputError(f"--head: {what} is no release, and a ledger says nothing of it")
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
    """What an artifact was made from, and who signed what of it; or everything here that was made from a source or a row."""
    if sum(given is not None for given in (artifact, source, row)) != 1:
        raise InputError("fineline lineage: give an artifact, --from-source or --from-row")
    if artifact is not None:
        signed = _signed()
        if as_json:
            print(json.dumps({"artifact": artifact.as_posix(), "chain": _described(_ancestry(artifact), signed)}, indent=2))
        else:
            console.print(_tree(artifact, signed), soft_wrap=False)
        return
    found = downstream.from_source(source) if source is not None else downstream.from_row(str(row))
    if as_json:
        print(json.dumps([asdict(one) | {"path": one.path.as_posix()} for one in found], indent=2))
        return
    for one in found:
        where = f", in {', '.join(one.channels)} now" if one.channels else ""
        console.print(f"{one.path} ({one.kind}{where})  {one.digest}", highlight=False, markup=False)
    console.print("`fineline revoke` says that they may not be used any more")


def _verify_release(release: Path, head: str | None, as_json: bool) -> None:
    found = verification.verify(release, expected_head=head)
    if as_json:
        print(json.dumps(asdict(found) | {"release": str(release)}, indent=2))
        return
    for role, digest in found.artifacts.items():
        console.print(f"[green]ok[/] {role:<10} {digest}")
    for one in found.approved:
        console.print(f"approved by {one['person']} at {one['time']}: {one['reason']}", highlight=False, markup=False)
    for one in found.promoted:
        console.print(f"promoted to {one['channel']} by {one['person']} at {one['time']}", highlight=False, markup=False)
    if not found.second_pair_of_eyes:
        console.print("nobody but its maker looked at it")
    for draft in found.drafts:
        console.print(f"note: {draft}", highlight=False, markup=False)
    in_use, ends = ", ".join(found.in_use) or "no channel", ", ".join(found.head)
    console.print(f"verdict {found.verdict}; in use in {in_use}; ledger at {ends}")


def _ancestry(path: Path) -> Chain:
    """The artifact and all it was made from, each once, the sources first."""
    found: dict[Path, Artifact] = {}

    def visit(current: Path, made_from_it: tuple[Path, ...]) -> None:
        if current in made_from_it:
            raise Refused(f"{current}: it says that it was made from itself")
        if current not in found:
            try:
                record = artifacts.read(current)
            except OSError as error:
                raise InputError(f"{current}: cannot be read: {error.strerror}") from error
            for source in record.inputs.values():
                visit(Path(source.path), (*made_from_it, current))
            found[current] = record

    visit(path, ())
    return list(found.items())


def _other_inputs(path: Path, record: Artifact) -> list[str]:
    """What an artifact was made from that is another one by now."""
    present = {role: artifacts.read(Path(source.path)).digest for role, source in record.inputs.items()}
    return [
        f"{path}: made from {role} {source.digest}, but {source.path} is {present[role]}"
        for role, source in record.inputs.items()
        if present[role] != source.digest
    ]


def _described(chain: Chain, signed: Mapping[str, Sequence[Entry]] | None = None) -> list[dict[str, Any]]:
    return [
        {
            "path": path.as_posix(),
            "kind": record.kind,
            "digest": record.digest,
            "owner": record.owner,
            "license": record.license,
            "inputs": {role: asdict(source) for role, source in record.inputs.items()},
        }
        | ({} if signed is None else {"signed": [_told(entry) for entry in signed.get(record.digest, ())]})
        for path, record in chain
    ]


def _told(entry: Entry) -> dict[str, Any]:
    return {"act": entry.act, "person": entry.person, "time": entry.time, "entry": entry.id}


def _signed() -> Mapping[str, Sequence[Entry]]:
    """Digest -> what people signed about it; nothing where no ledger has begun."""
    found: dict[str, list[Entry]] = {}
    if ledger.ROOT.is_dir():
        for entry in State(ledger.read(), files.now()).ledger.entries:
            for digest in entry.subjects.values():
                found.setdefault(digest, []).append(entry)
    return found


def _tree(path: Path, signed: Mapping[str, Sequence[Entry]], role: str = "") -> Tree:
    record = artifacts.read(path)
    label = f"{role + ': ' if role else ''}[bold]{path}[/] ({record.kind}, {record.owner}, {record.license})"
    acts = (
        escape(", ".join(f"{entry.act} by {entry.person}" for entry in signed.get(record.digest, ()))) or "nobody signed for it"
    )
    tree = Tree(f"{label}\n{record.digest}\n{acts}", highlight=True)
    for source_role, source in record.inputs.items():
        tree.add(_tree(Path(source.path), signed, source_role))
    return tree
