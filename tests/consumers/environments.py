"""An environment for each consumer, made from the package index by a committed list of pinned packages, and kept in a cache."""

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
_LIMIT = 1200  # seconds of an installation
_TORCH = "torch=="


class NotAvailable(Exception):
    """The environment of a consumer cannot be made; the message says why."""


@cache
def python(consumer: str) -> Path:
    """Return the interpreter of a consumer's environment, which is made when it is first asked for.

    Raises:
        NotAvailable: uv is missing, or an installation failed.
    """
    requirements = HERE / f"{consumer}.txt"
    content = requirements.read_bytes() + sys.version.encode()
    place = _cache() / f"{consumer}-{hashlib.sha256(content).hexdigest()[:16]}"
    found, ready = place / "bin" / "python", place / ".ready"
    if ready.is_file():
        return found
    shutil.rmtree(place, ignore_errors=True)  # a half-made one
    _uv("venv", "--python", sys.executable, str(place))
    install = ["pip", "install", "--python", str(found), *_links()]
    if torch := [line for line in requirements.read_text(encoding="utf-8").splitlines() if line.startswith(_TORCH)]:
        _uv(*install, *torch)  # with what its build needs: CUDA's libraries, or nothing
    _uv(*install, "--no-deps", "--requirement", str(requirements))
    ready.touch()
    return found


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fineline" / "consumers"


def _links() -> list[str]:
    """Return the option for directories of wheels that pip is configured to look into; uv does not read pip's settings."""
    return [part for place in os.environ.get("PIP_FIND_LINKS", "").split() for part in ("--find-links", place)]


def _uv(*arguments: str) -> None:
    program = shutil.which("uv")
    if program is None:
        raise NotAvailable("uv is not installed")
    try:
        result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=_LIMIT)
    except subprocess.TimeoutExpired as error:
        raise NotAvailable(f"the installation took more than {_LIMIT} seconds") from error
    if result.returncode:
        raise NotAvailable(" ".join(result.stderr.split())[-300:])


def variables() -> dict[str, str]:
    """Return the variables of the environment for a consumer: nothing of fineline, and no network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "UV_"))}
    return kept | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
