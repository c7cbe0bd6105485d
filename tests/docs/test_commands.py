"""The documentation names commands, options, targets, stages and files that exist."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer

from fineline import cli
from fineline.project.versions import STAGES
from tests.conftest import ROOT
from tests.docs.test_links import PAGES

FOLDERS = "fineline|pipelines|tests|tools|assets|suites|benchmarks|docs|deploy"
"""Folders of the repository; docs also name files of a user's project."""
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def code(page) -> Iterator[str]:
    """Yield every span of code of a page, and every line of its shell blocks without its comment."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        yield from (line.split(" #")[0].strip() for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


@cache
def accepted() -> dict[str, set[str]]:
    """Return command -> its options; a command of a group is `group command`."""
    return dict(leaves(typer.main.get_command(cli.app)))


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield path and options of a command and of the commands in it."""
    yield path, {option for parameter in command.params for option in parameter.opts} | {"--help"}
    if isinstance(command, typer.core.TyperGroup):
        context = typer.Context(command)
        for name in command.list_commands(context):
            below = cli._imported(name) if isinstance(command, cli.LazyGroup) else command.get_command(context, name)
            yield from leaves(below, f"{path} {name}".strip())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_and_option_exists(page):
    commands, wrong = accepted(), []
    for words in (text.split() for text in code(page) if text.startswith("fineline ")):
        for name in filter(None, words[1].split("|")):
            path = " ".join(words[1:3]) if " ".join(words[1:3]) in commands else name
            options = {word.split("=")[0] for word in words if word.startswith("--")}
            if path not in commands or not options <= commands[path]:
                wrong.append(" ".join(words))
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_target_stage_and_path_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    wrong = []
    for text in code(page):
        if match := re.match(r"make ([a-z-]+)", text):
            wrong += [text] if match[1] not in targets else []
        for stage in re.findall(r"\b([a-z]+)@[a-zA-Z]", text) if text.startswith("dvc repro") else []:
            wrong += [text] if stage not in STAGES else []
        if re.fullmatch(rf"(?:{FOLDERS})/[\w./-]*", text) and not text.endswith("/v1") and not (ROOT / text).exists():
            wrong.append(text)
    assert not wrong
