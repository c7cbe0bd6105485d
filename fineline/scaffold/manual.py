"""`fineline docs`: the pages of the documentation that belong to the installed version, in the terminal.

The wheel has a copy of them (see `force-include` in pyproject.toml); in a checkout they are read from `docs/`.
"""

import difflib
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from fineline.errors import FinelineError, InputError

CONTENTS = "README"
_PACKAGE = Path(__file__).parents[1]
_PICTURE = re.compile(r"^(!\[.*|</?(picture|source|img|p)\b.*)\n", re.MULTILINE)


def show_docs(
    topic: Annotated[str | None, typer.Argument(help="A page, such as `training`; by default the table of contents.")] = None,
) -> None:
    """Show a page of the documentation. Where the output is not a terminal, it is Markdown."""
    text = read(topic or CONTENTS)
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    with console.pager(styles=True, links=True):
        console.print(Markdown(_PICTURE.sub("", text)))
        if topic is None:
            console.print(f"\n`fineline docs PAGE` shows one of: {', '.join(pages())}")


def pages() -> list[str]:
    """Return the names of the pages.

    Raises:
        FinelineError: The documentation is missing from the installation.
    """
    return sorted(page.stem for page in _directory().glob("*.md") if page.stem != CONTENTS)


def read(page: str) -> str:
    """Return a page as Markdown.

    Args:
        page: Its name, with or without `docs/` and `.md`.

    Raises:
        InputError: There is no such page.
        FinelineError: The documentation is missing from the installation.
    """
    name = page.removeprefix("docs/").removesuffix(".md")
    if name not in (CONTENTS, *pages()):
        close = difflib.get_close_matches(name, pages(), n=1)
        meant = f"; did you mean `{close[0]}`?" if close else ""
        raise InputError(f"no page {page!r}{meant}; pages: {', '.join(pages())}")
    return (_directory() / f"{name}.md").read_text(encoding="utf-8")


def _directory() -> Path:
    for candidate in (_PACKAGE / "docs", _PACKAGE.parent / "docs"):
        if (candidate / f"{CONTENTS}.md").is_file():
            return candidate
    raise FinelineError(f"{_PACKAGE / 'docs'}: the documentation is missing; install fineline again")
