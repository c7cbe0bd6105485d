"""The argument ADAPTER that commands share, and its completion in a shell."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from fineline.project import root


def adapter_names(incomplete: str) -> list[str]:
    """Return the adapters of the nearest params.yaml that begin with `incomplete`.

    A completion never fails: without a project, or with a broken params.yaml, there is nothing to complete.
    """
    place = root.nearest(Path.cwd())
    try:
        content = yaml.safe_load(((place or Path()) / "params.yaml").read_text(encoding="utf-8"))
        return sorted(str(name) for name in content["adapters"] if str(name).startswith(incomplete))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return []


AdapterName = Annotated[
    str,
    typer.Argument(metavar="ADAPTER", help="A name under `adapters:` in params.yaml.", autocompletion=adapter_names),
]
