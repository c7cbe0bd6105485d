"""`fineline --help`: one summary for each command, and no import of what only running a command needs."""

import inspect
import os
import shlex
import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from fineline import cli
from fineline.cli import COMMANDS, EXAMPLES, app
from tests.conftest import ROOT

HEAVY = (
    "cryptography",
    "dagster",
    "dvc",
    "jinja2",
    "numpy",
    "pydantic",
    "rich",
    "scipy",
    "securesystemslib",
    "torch",
    "transformers",
)


def imported(code: str) -> set[str]:
    """Return the heavy packages that a new process has imported after running `code`."""
    report = f"import sys\n{code}\nprint('imported', *(name for name in {HEAVY!r} if name in sys.modules))"
    answer = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(answer.stdout.splitlines()[-1].split()[1:])


def test_help_imports_no_heavy_package():
    run = "from typer.testing import CliRunner\nfrom fineline.cli import app\nassert CliRunner().invoke(app, ['--help']).output"
    assert imported(run) == set()


@pytest.mark.parametrize("module", ["governance.cli", "governance.audit", "scaffold.cli", "stages.cli"])
def test_commands_import_signing_libraries_and_torch_only_where_they_use_them(module):
    assert imported(f"import fineline.{module}").isdisjoint({"cryptography", "securesystemslib", "torch", "transformers"})


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_the_beginning_of_the_help_of_the_command(name):
    place, summary = COMMANDS[name]
    module, _, attribute = place.partition(":")
    command = getattr(import_module(f"fineline.{module}"), attribute)
    described = command.info.help if isinstance(command, typer.Typer) else inspect.getdoc(command).split("\n\n")[0]
    assert " ".join(described.split()) == summary


def test_every_command_is_listed_and_has_its_own_help():
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert all(f" {name} " in listed for name in COMMANDS)
    shown = CliRunner().invoke(app, ["rollback", "--help"], env={"COLUMNS": "200"}).output
    assert "rollback [OPTIONS]" in shown
    assert "--in" in shown
    assert "completion" not in shown


def test_a_mistyped_command_is_answered_with_the_nearest():
    answer = CliRunner().invoke(app, ["aprove"])
    assert answer.exit_code == 2
    assert "Did you mean 'approve'" in answer.output


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_is_a_command_that_is_accepted(line):
    program, name, *arguments = shlex.split(line)
    assert program == "fineline"
    cli._imported(name).make_context(name, arguments)  # parses, and runs nothing


def test_examples_are_shown_as_written():
    shown = CliRunner().invoke(app, ["rollback", "--help"], env={"COLUMNS": "60"}).output
    assert f"  {EXAMPLES['rollback'][0]}\n" in shown


def completed(words: str, cwd) -> list[str]:
    """Return what a shell is offered for the last word."""
    asked = {"_FINELINE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    program = "import sys; sys.argv = ['fineline']; from fineline.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | asked, cwd=cwd, capture_output=True, text=True, check=True
    )
    return answer.stdout.split()


def test_a_shell_completes_commands_and_adapters(tmp_path):
    assert completed("fineline rep", ROOT) == ["report"]
    assert completed("fineline report home-", ROOT) == ["home-demo", "home-en"]
    assert completed("fineline report ", tmp_path) == []
