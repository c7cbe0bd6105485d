"""Fine-tune language models, verify them, and release them."""

import functools
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from fineline.documents import cli as documents
from fineline.errors import FinelineError
from fineline.evidence import cli as evidence
from fineline.governance import audit
from fineline.governance import cli as governance
from fineline.preference import cli as preference
from fineline.project import lock, root
from fineline.scaffold import cli as scaffold
from fineline.stages import cli as stages

OUTSIDE = {"new", "upgrade"}
"""Commands that do not change to the root of a project."""
ANYWHERE = {"doctor", "history", "keygen", "lineage", "plan", "show", "stamp", "verify"}
"""Commands that also work where there is no fineline.lock: on a release alone, or in a project that is not upgraded yet."""
NOT_UPGRADED = {"report"}
"""Commands that need a project, which may be one that is not upgraded yet."""
NAMES_OR_PATHS = {"base", "key", "what"}
"""Arguments that are a path or something else."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(evidence.app, name="evidence")
app.command("preference")(preference.prefer)
app.command("document")(documents.document)
governance.register(app)
audit.register(app)
scaffold.register(app)
stages.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"fineline {lock.fineline_version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version of fineline.")
    ] = False,
) -> None:
    """Fine-tune language models, verify them, and release them."""


def main() -> None:
    """Run a command; print errors without a traceback and exit with their code."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except FinelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _in_project(name: str, command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that runs in the root of the project, with the paths that the user typed seen from there."""

    hints = get_type_hints(command)
    paths = {
        argument for argument in inspect.signature(command).parameters if Path in (hints[argument], *get_args(hints[argument]))
    }

    @functools.wraps(command)
    def run(**arguments: Any) -> Any:
        typed_in = root.enter(needed=name not in ANYWHERE, upgraded=name not in NOT_UPGRADED)
        for argument, value in arguments.items():
            if argument in paths and value is not None:
                arguments[argument] = root.seen_from_root(value, typed_in)
            elif argument in NAMES_OR_PATHS and value is not None and _is_path(value, typed_in):
                arguments[argument] = str(root.seen_from_root(Path(value), typed_in))
        return command(**arguments)

    return run


def _is_path(value: str, typed_in: Path) -> bool:
    """True if a value is a path rather than a name or a URI."""
    return ("/" in value or "." in value) and "://" not in value and (typed_in / value).exists()


def _anchor(group: typer.Typer) -> None:
    for info in group.registered_commands:
        callback = info.callback
        name = info.name or callback.__name__ if callback else None
        if callback and name and name not in OUTSIDE:
            info.callback = _in_project(name, callback)
    for below in group.registered_groups:
        if below.typer_instance:
            _anchor(below.typer_instance)


_anchor(app)

if __name__ == "__main__":
    main()
