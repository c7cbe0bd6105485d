"""Write what `fineline status` shows in a project as an SVG picture for the documentation.

`python tools/status_picture.py PROJECT docs/pictures/status.svg`
"""

import contextlib
import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

from fineline.scaffold.status import examine, print_status

WIDTH = 100
TITLE = "fineline status"


def picture(project: Path) -> str:
    """Return the SVG. It names no font of another server, so a page with it needs no network."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    with contextlib.chdir(project):
        print_status(examine(), console)
    svg = console.export_svg(title=TITLE, theme=DEFAULT_TERMINAL_THEME, unique_id="status")
    return re.sub(r"@font-face \{.*?\}\n?", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace")


def main(project: str, target: str) -> None:
    """Write the picture."""
    svg = picture(Path(project))
    Path(target).write_text(svg, encoding="utf-8")
    print(f"{target}: {len(svg) // 1024} KiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
