"""`fineline init` and `fineline retire`."""

import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from fineline.errors import InputError
from fineline.governance import store
from fineline.project import layout, params
from fineline.scaffold import first_rows, joining

_BATCH = 8
_LONGEST = 2048


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(init)
    app.command("retire")(retire)


def init(
    name: Annotated[str, typer.Argument(metavar="ADAPTER", help="What it is to be called.")],
    data: Annotated[Path, typer.Option(help="A file or directory of this project with its rows.")],
    base: Annotated[str, typer.Option(help="A name under `bases:` in params.yaml.")],
    owner: Annotated[str, typer.Option(help="Who answers for it: an address or a team.")],
    license: Annotated[str | None, typer.Option(help="Of the adapter, as an SPDX id; that of the base if left out.")] = None,
) -> None:
    """Add an adapter to params.yaml, after a look at its first rows; tell what training it will take, and what is next."""
    known = joining.check(name, data, base)
    found = first_rows.look(data)
    chosen = license or known.bases[base].license
    relative = data.resolve().relative_to(Path.cwd().resolve()).as_posix()
    joining.join(name, joining.block(owner, chosen, base, relative))

    usable = "all usable" if found.usable == found.looked_at else f"{found.usable} usable"
    files = f"{found.files} file{'s' if found.files > 1 else ''}"
    print(f"{relative}: {files}, about {found.estimated:,} rows; of the first {found.looked_at}, {usable}")
    for reason, count in found.problems[:5]:
        print(f"  {count} times: {reason}")
    print(
        f"{params.FILE}: added adapters.{name}, license {chosen}{'' if license else f' (of {base}; --license names another)'}"
    )
    _tell_plan(base, found)
    print(f"next: dvc repro plan@{name} && fineline plan {name}   # curates all rows, settles the method")
    print(f"then: dvc repro assess@{name} && fineline report {name}")


def retire(
    name: Annotated[str, typer.Argument(metavar="ADAPTER", help="A name under `adapters:` in params.yaml.")],
) -> None:
    """Take an adapter out of params.yaml. Its releases stay, and can be verified as before."""
    joining.leave(name)
    worktree = layout.SCRATCH / "worktrees" / name
    if worktree.exists():
        shutil.rmtree(worktree)
        subprocess.run(["git", "worktree", "prune"], capture_output=True, check=False)
    print(f"{params.FILE}: adapters.{name} is gone: it is no longer trained, judged or retrained")
    releases = sorted(path for path in (store.ROOT / name).glob("*") if path.name != "channels" and path.is_dir())
    held = [link.name for link in sorted((store.ROOT / name / "channels").glob("*")) if link.is_symlink()]
    if held:
        print(f"still in use: {', '.join(held)}; `fineline revoke` says that nobody may use it any more")
    if releases:
        print(f"{len(releases)} release{'s stay' if len(releases) > 1 else ' stays'}: `fineline verify {releases[0]}`")
    kept = [layout.reports(name), layout.raw(name), layout.curated(name), layout.adapter(name), layout.merged(name)]
    if left := [path.as_posix() for path in kept if path.exists()]:
        print(f"left for you to remove: {', '.join(left)}")


def _tell_plan(base: str, found: first_rows.FirstRows) -> None:
    from fineline.hardware import device
    from fineline.plan import table
    from fineline.stages.plan import suppose

    machine = device.detect()
    length = min(found.tokens, _LONGEST)
    try:
        report = suppose(base, machine, batch_size=_BATCH, length=length, rows=found.estimated).report()
    except InputError as error:
        print(f"no forecast yet: {error}")
        return
    chosen = report["chosen"]
    memory = chosen["memory_bytes"]["total"] / 2**30
    print(
        f"forecast: {report['recommended']} on {machine.name}: about {table.duration(chosen['seconds'])} an epoch at"
        f" {length} tokens a row, {memory:.1f} GiB"
    )
