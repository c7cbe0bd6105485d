"""`fineline report`: the path of the page, and --open."""

import webbrowser
from pathlib import Path

import pytest

from fineline.report import page
from fineline.stages import cli


@pytest.mark.parametrize(("found", "said"), [(True, ""), (False, "; no browser was found, so open it yourself")])
def test_open_shows_the_local_copy_and_leaves_the_page_in_git_alone(project, monkeypatch, capsys, found, said):
    before = page.write("home").read_bytes()
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or found)
    cli.show_report("home", in_browser=True)
    assert opened == [(project / ".fineline/reports/home/index.html").as_uri()]
    assert capsys.readouterr().out == f"page: .fineline/reports/home/index.html{said}\n"
    assert Path("reports/home/index.html").read_bytes() == before


def test_the_report_in_the_terminal_names_the_page(project, capsys):
    cli.show_report("home")
    assert "page:" not in capsys.readouterr().out
    page.write("home")
    cli.show_report("home")
    assert "page: reports/home/index.html; `fineline report home --open` shows it" in capsys.readouterr().out
