"""`fineline document`: paths on standard output, and the exit codes of its errors."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fineline.documents import cli
from fineline.errors import InputError, Refused
from fineline.project import layout
from tests.documents.conftest import NAME, Make

app = typer.Typer()
app.command("document")(cli.document)
app.command("other")(lambda: None)  # with one command alone, typer would take its name for an argument


def test_it_writes_next_to_the_reports_and_prints_the_files(make: Make) -> None:
    make()
    result = CliRunner().invoke(app, ["document", NAME], catch_exceptions=False)
    directory = layout.reports(NAME) / "documents"
    assert result.output.splitlines()[0] == f"{directory}/README.md"
    assert all(Path(line).is_file() for line in result.output.splitlines())


def test_another_directory_can_be_named(make: Make) -> None:
    make()
    result = CliRunner().invoke(app, ["document", NAME, "--to", "out"], catch_exceptions=False)
    assert result.output.splitlines()[0] == "out/README.md"


def test_license_conflicts_are_refused_after_the_documents_are_written(make: Make) -> None:
    make(base_license="cc-by-nc-4.0")
    with pytest.raises(Refused, match=r"license conflict: adapter .* allows commercial use, but base") as refused:
        CliRunner().invoke(app, ["document", NAME, "--to", "out"], catch_exceptions=False)
    assert refused.value.exit_code == 3
    assert "allows commercial use" in Path("out/README.md").read_text(encoding="utf-8")


def test_an_unknown_adapter_is_wrong_input(make: Make) -> None:
    make()
    with pytest.raises(InputError, match="there is no adapter 'other'") as wrong:
        CliRunner().invoke(app, ["document", "other"], catch_exceptions=False)
    assert wrong.value.exit_code == 2
