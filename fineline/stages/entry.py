"""The entry point of every stage: check its version against the project's lock, run it, and record its provenance."""

from collections.abc import Callable
from functools import partial
from typing import NoReturn

from fineline import artifacts
from fineline.artifacts import provenance
from fineline.project import layout, lock, params
from fineline.project.root import command
from fineline.project.versions import STAGES


def main(stage: str, run: Callable[[str], None]) -> NoReturn:
    """Run a stage on the name given on the command line, and exit (see `fineline.project.root`)."""
    command(partial(execute, stage, run))


def execute(stage: str, run: Callable[[str], None], name: str) -> None:
    """Run a stage for base or adapter `name` and write its provenance.

    Raises:
        InputError: fineline.lock is missing, broken, or has another version of the stage.
    """
    lock.check(stage)
    started = provenance.start(stage)
    run(name)
    configured = params.load()
    block = configured.base(name) if stage == "base" else configured.adapter(name)
    found = provenance.of_run(
        stage=stage,
        name=name,
        version=STAGES[stage],
        artifacts={path.as_posix(): artifacts.read(path).digest for path in layout.artifacts_of(stage, name)},
        owner=block.owner,
        license=block.license,
        started=started,
    )
    provenance.write(layout.provenance(stage, name), found)
