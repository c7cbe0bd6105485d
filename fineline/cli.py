"""Fine-tune language models, verify them, and release them."""

import functools
import inspect
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from fineline.errors import FinelineError

COMMANDS = {
    "new": (
        "scaffold.cli:create",
        "Create a project: parameters, graph, entry points, regression guards, and a Dagster code location.",
    ),
    "init": (
        "scaffold.cli:init",
        "Add an adapter to params.yaml after reading its first rows; show a forecast and the next commands.",
    ),
    "retire": (
        "scaffold.cli:retire",
        "Remove an adapter from params.yaml. Its releases stay and can be verified as before.",
    ),
    "upgrade": (
        "scaffold.upgrade:upgrade_project",
        "Bring the project to the installed fineline, and list the stages that run again.",
    ),
    "doctor": (
        "scaffold.cli:show_health",
        "Check versions, hardware and configuration, and list the stages that would run.",
    ),
    "plan": (
        "stages.cli:show_plan",
        "Forecast memory, time and cost of each method, and show the settings that training will use.",
    ),
    "docs": (
        "scaffold.manual:show_docs",
        "Show a page of the documentation. Where the output is not a terminal, it is Markdown.",
    ),
    "run": (
        "dagster.run_command:run_adapter",
        "Bring an adapter up to date: run its stale stages in order, then show the result.",
    ),
    "status": ("scaffold.status:show_status", "Show every adapter: what is stale, the last verdict, and what waits for whom."),
    "report": (
        "stages.cli:show_report",
        "Show the result of an adapter: scores of base, adapter and exported model, and the verdict.",
    ),
    "holdout": (
        "stages.cli:open_holdout",
        "Judge the exported model once on the sealed rows of its test split, before a promotion.",
    ),
    "evidence": ("evidence.cli:app", "Results of other tools, bound to the artifact that they judged."),
    "preference": (
        "preference.cli:prefer",
        "Let a judge model decide which of two models answers better. It sends questions and answers to the endpoint.",
    ),
    "document": (
        "documents.cli:document",
        "Write model card, bill of materials, technical documentation and license chain from the records.",
    ),
    "keygen": (
        "governance.keygen_cli:keygen",
        "Generate a key. The first key also begins the ledger, with one person and a policy to start from.",
    ),
    "adopt": (
        "governance.cli:adopt",
        "Put people.yaml and policy.yaml in force as they are now, or agree to them as another governor.",
    ),
    "attest": (
        "governance.cli:attest",
        "Sign how a candidate was made and how it was judged. Run it where the stages ran.",
    ),
    "show": ("governance.cli:show", "Show a candidate with its evidence, and what each channel still needs."),
    "approve": (
        "governance.cli:approve",
        "Approve a candidate or an artifact after it was shown. The signature binds every digest, every report and the policy.",
    ),
    "reject": (
        "governance.cli:reject",
        "Reject a candidate or an artifact. These bytes will not be promoted; other candidates are not affected.",
    ),
    "promote": (
        "governance.cli:promote",
        "Verify everything, place an immutable release, and point the channel at it.",
    ),
    "pack": ("governance.cli:pack", "Write a verified release as an OCI image layout, with what was signed about it."),
    "rollback": ("governance.cli:rollback", "Return a channel to a release that it had before, if that still verifies."),
    "revoke": (
        "governance.cli:revoke",
        "Record that something may no longer be used, and list the releases that were made from it.",
    ),
    "history": ("governance.cli:history", "List who did what with the candidates of an adapter, in order."),
    "verify": (
        "governance.audit:verify",
        "Recompute every digest back to the raw data; for a release, also check who approved it and whether that still counts.",
    ),
    "lineage": (
        "governance.audit:lineage",
        "Show what an artifact was made from and who signed it; or list everything that was made from a source or a row.",
    ),
}
"""Command -> module below `fineline` and function, and its summary in `fineline --help`, which imports no module."""

EXAMPLES = {
    "new": ("fineline new my-project",),
    "init": (
        "fineline init support --data tickets.csv --base Qwen/Qwen3-4B --owner support@example.com",
        "fineline init support --data tickets/ --base models/my-llama --base-license mit",
    ),
    "upgrade": ("fineline upgrade --dry-run", "fineline upgrade --keep train"),
    "plan": ("fineline plan support", "fineline plan --base meta-llama/Llama-3.1-8B --device rtx4090"),
    "docs": ("fineline docs", "fineline docs training"),
    "run": ("fineline run support", "fineline run support --quiet"),
    "status": ("fineline status", "fineline status --json"),
    "report": ("fineline report support", "fineline report support --open"),
    "holdout": ('fineline holdout support --reason "release 2.0"',),
    "document": ("fineline document support",),
    "keygen": ("fineline keygen ada --email ada@example.com", "fineline keygen releases --release"),
    "attest": ("fineline attest support",),
    "show": ("fineline show support",),
    "approve": ('fineline approve support --for staging --reason "Read the flips."',),
    "reject": ('fineline reject support --reason "Leaks names."',),
    "promote": ("fineline promote support --to staging",),
    "pack": ("fineline pack releases/support/channels/production --oci support.oci",),
    "rollback": ('fineline rollback support --in production --reason "Too slow."',),
    "verify": ("fineline verify releases/support/channels/production", "fineline verify models/adapters/support"),
    "lineage": ("fineline lineage models/export/support/quantized",),
}
"""Command -> examples at the end of its `--help`."""

OUTSIDE = {"docs", "new", "upgrade"}
"""Commands that do not change to the root of a project."""
ANYWHERE = {"doctor", "history", "keygen", "lineage", "pack", "plan", "show", "stamp", "verify"}
"""Commands that also work where there is no fineline.lock: on a release alone, or in a project that is not upgraded yet."""
NOT_UPGRADED = {"report"}
"""Commands that need a project, which may be one that is not upgraded yet."""
NAMES_OR_PATHS = {"base", "key", "release_key", "what"}
"""Arguments that are a path or something else."""


class LazyGroup(TyperGroup):
    """The commands, of which a module is imported when one of its commands runs; `--help` needs the summaries only."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (_, summary) in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=summary, short_help=summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name of a command, the command itself, and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _imported(name) if name and command else None, rest


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help in plain text: rich takes longer to import than everything else
    context_settings={"max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from fineline.project import lock

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
    except Exception as error:
        known = error if isinstance(error, FinelineError) else _explained(error)
        if known is None:
            raise
        print(f"error: {known}", file=sys.stderr)
        sys.exit(known.exit_code)


def _explained(error: Exception) -> FinelineError | None:
    from fineline.project import failures

    return failures.explained(error)


def _in_project(name: str, command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that runs in the root of the project, with the paths that the user typed seen from there."""

    hints = get_type_hints(command)
    paths = {
        argument for argument in inspect.signature(command).parameters if Path in (hints[argument], *get_args(hints[argument]))
    }

    @functools.wraps(command)
    def run(**arguments: Any) -> Any:
        from fineline.project import root

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


def _imported(name: str) -> Any:
    """Return a command or a group of commands, ready to run in the root of the project."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"fineline.{module}"), attribute)
    group = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        for info in found.registered_commands:
            assert info.name is not None
            assert info.callback is not None
            group.command(info.name)(_in_project(info.name, info.callback))
        group.info = found.info
        return typer.main.get_group(group)
    epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in EXAMPLES[name])]) if name in EXAMPLES else None
    group.command(name, epilog=epilog)(found if name in OUTSIDE else _in_project(name, found))
    return typer.main.get_command(group)


if __name__ == "__main__":
    main()
