"""`fineline new`, `init`, `retire` and `doctor`."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from fineline.errors import InputError
from fineline.governance import store
from fineline.project import layout, params
from fineline.project.argument import AdapterName
from fineline.scaffold import adapter, doctor, new

_BATCH = 8
_LONGEST = 2048


def create(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A directory that does not exist or is empty.")],
) -> None:
    """Create a project: parameters, graph, entry points, regression guards, and a Dagster code location."""
    new.create(directory)
    print(f"{directory}: created a project")
    os.chdir(directory)
    doctor.show(doctor.examine())
    change = "" if Path(os.environ.get("PWD", "")).resolve() == Path.cwd() else f"cd {shlex.quote(str(directory))} && "
    print(f"next: {change}fineline init support --data tickets.jsonl --base Qwen/Qwen3-4B --owner support@example.com")
    print("then: dvc repro assess@support && fineline report support")


def init(
    name: Annotated[str, typer.Argument(metavar="ADAPTER", help="The name of the new adapter.")],
    data: Annotated[Path, typer.Option(help="A file or directory of this project with the rows.")],
    base: Annotated[
        str, typer.Option(metavar="NAME|DIRECTORY|REPO", help="A base model: in params.yaml, a local model, or on the Hub.")
    ],
    owner: Annotated[
        str | None, typer.Option(help="Who answers for the adapter: an address or a team. Default: git's user.email.")
    ] = None,
    license: Annotated[
        str | None, typer.Option(help="License of the adapter, as an SPDX id. Default: that of the base.")
    ] = None,
    base_license: Annotated[
        str | None, typer.Option(help="License of a base model that is new here. Default: the one that its card names.")
    ] = None,
) -> None:
    """Add an adapter to params.yaml after reading its first rows; show a forecast and the next commands."""
    known = adapter.check_new(name, data)
    found = adapter.read_first_rows(data)
    owner = owner or new.git_address()
    if owner is None:
        raise InputError("no owner: pass --owner ADDRESS, or set it for git with `git config user.email ADDRESS`")
    used = adapter.find_base(base, known, name, owner, base_license)
    chosen = license or used.license
    relative = data.resolve().relative_to(Path.cwd().resolve()).as_posix()
    adapter.add_adapter(name, adapter.adapter_block(owner, chosen, used.name, relative), used)

    usable = "all usable" if found.usable == found.looked_at else f"{found.usable} usable"
    files = f"{found.files} file{'s' if found.files > 1 else ''}"
    print(f"{relative}: {files}, about {found.estimated:,} rows; of the first {found.looked_at}, {usable}")
    for reason, count in found.problems[:5]:
        print(f"  {count} times: {reason}")
    if used.block:
        print(f"{params.FILE}: added bases.{used.name}, license {used.license}")
    of_base = "" if license else f" (of {used.name}; --license names another)"
    print(f"{params.FILE}: added adapters.{name}, license {chosen}{of_base}")
    _show_forecast(used.name, found)
    print(f"next: dvc repro plan@{name} && fineline plan {name}   # curates all rows, decides the method")
    print(f"then: dvc repro assess@{name} && fineline report {name}")


def retire(
    name: AdapterName,
) -> None:
    """Remove an adapter from params.yaml. Its releases stay and can be verified as before."""
    adapter.remove_adapter(name)
    worktree = layout.SCRATCH / "worktrees" / name
    if worktree.exists():
        shutil.rmtree(worktree)
        subprocess.run(["git", "worktree", "prune"], capture_output=True, check=False)
    print(f"{params.FILE}: removed adapters.{name}: it is no longer trained, evaluated or retrained")
    releases = sorted(path for path in (store.ROOT / name).glob("*") if path.name != "channels" and path.is_dir())
    held = [link.name for link in sorted((store.ROOT / name / "channels").glob("*")) if link.is_symlink()]
    if held:
        print(f"still in use: {', '.join(held)}; to withdraw it from use, run `fineline revoke`")
    if releases:
        print(f"{len(releases)} release{'s stay' if len(releases) > 1 else ' stays'}: `fineline verify {releases[0]}`")
    kept = [layout.reports(name), layout.raw(name), layout.curated(name), layout.adapter(name), layout.merged(name)]
    if left := [path.as_posix() for path in kept if path.exists()]:
        print(f"left for you to remove: {', '.join(left)}")


def show_health() -> None:
    """Check versions, hardware and configuration, and list the stages that would run."""
    checks = doctor.examine()
    doctor.show(checks)
    wrong = [check for check in checks if not check.passed]
    if wrong:
        raise InputError("; ".join(f"{check.subject}: {check.state}" for check in wrong))


def _show_forecast(base: str, found: adapter.FirstRows) -> None:
    from fineline.hardware import device
    from fineline.plan.workload import duration
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
        f"forecast: {report['recommended']} on {machine.name}: about {duration(chosen['seconds'])} an epoch at"
        f" {length} tokens a row, {memory:.1f} GiB"
    )
