"""The entry point of every stage: check its version against the project's lock, run it, and record its provenance."""

from collections.abc import Callable
from functools import partial
from typing import NoReturn

from fineline import artifacts
from fineline.artifacts import provenance
from fineline.errors import InputError
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
    invalid = [other for other, block in params.load_each().items() if other != name and isinstance(block, InputError)]
    if invalid:
        print(f"notice: params.yaml: not valid, and not read here: {', '.join(f'adapters.{other}' for other in invalid)}")
    started = provenance.start(stage)
    run(name)
    configured = params.load_for(name)
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
