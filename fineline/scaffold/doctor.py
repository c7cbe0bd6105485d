"""Whether this machine and this checkout are fit to run: versions, hardware, configuration, and what is stale."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fineline.errors import InputError
from fineline.project import params

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "lm-eval",
    "onnxruntime",
    "onnxruntime-genai",
    "dagster",
    "dvc",
)
_DISK_NEEDED = 10 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    state: str
    holds: bool = True


def examine() -> list[Finding]:
    """Look at everything; never raises."""
    return [
        Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *(_package(name) for name in PACKAGES),
        _hardware(),
        _disk(),
        _configuration(),
        *_retraining(),
        _notifications(),
        _dagster_home(),
        _stages(),
    ]


def _package(name: str) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "not installed; run `make setup`", holds=False)


def _hardware() -> Finding:
    from fineline.hardware import device

    machine = device.detect()
    return Finding("device", f"{machine.kind}: {machine.name}, {machine.memory_bytes / 2**30:.1f} GiB")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    return Finding("disk", f"{free / 2**30:.1f} GiB free", holds=free >= _DISK_NEEDED)


def _configuration() -> Finding:
    try:
        loaded = params.load()
    except InputError as error:
        return Finding(str(params.FILE), str(error), holds=False)
    return Finding(str(params.FILE), f"bases {', '.join(loaded.bases)}; adapters {', '.join(loaded.adapters)}")


def _retraining() -> list[Finding]:
    """What starts each adapter anew; nothing where params.yaml is wrong as a whole."""
    from fineline.retraining import triggers

    found = []
    try:
        known = params.load().adapters
    except InputError:
        return []
    for name, adapter in known.items():
        try:
            found.append(Finding(f"retrain {name}", ", ".join(triggers.of(name, adapter).words)))
        except InputError as error:
            found.append(Finding(f"retrain {name}", str(error), holds=False))
    return found


def _notifications() -> Finding:
    from fineline.notifications import configuration

    try:
        receivers = configuration.load(Path()).receivers
    except InputError as error:
        return Finding(str(configuration.FILE), str(error), holds=False)
    return Finding(str(configuration.FILE), ", ".join(receivers) or "nobody is told anything")


def _dagster_home() -> Finding:
    """Where Dagster keeps what it knows: without the project's settings a killed run keeps the device for ever."""
    place = os.environ.get("DAGSTER_HOME")
    if not place:
        return Finding("DAGSTER_HOME", "not set: what is run by hand is forgotten; `make ui` sets it")
    home = Path(place)
    if not home.is_dir():
        return Finding("DAGSTER_HOME", f"{home}: no directory; make it, or `unset DAGSTER_HOME`", holds=False)
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return Finding("DAGSTER_HOME", f"{home}: cannot be written to: {error.strerror}", holds=False)
    settings = home / "dagster.yaml"
    if not settings.is_file() or "LocalRunLauncher" not in settings.read_text(encoding="utf-8", errors="replace"):
        said = f"{settings}: not as .dagster/dagster.yaml or deploy/dagster.yaml, so a killed run keeps the device"
        return Finding("DAGSTER_HOME", said, holds=False)
    return Finding("DAGSTER_HOME", str(home))


def _stages() -> Finding:
    dvc = Path(sys.executable).with_name("dvc")
    environment = os.environ | {
        "DVC_NO_ANALYTICS": "1",
        "PATH": f"{dvc.parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [str(dvc), "status", "--quiet"]
    listing = [str(dvc), "repro", "--dry", "--allow-missing"]
    try:
        if subprocess.run(command, env=environment, capture_output=True, text=True, check=False).returncode == 0:
            return Finding("stages", "all up to date")
        result = subprocess.run(listing, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        return Finding("stages", f"dvc cannot be started: {error.strerror}; run `make setup`", holds=False)
    if result.returncode:
        return Finding("stages", result.stderr.strip() or "dvc.yaml cannot be read", holds=False)
    stale = [line.split("'")[1] for line in result.stdout.splitlines() if line.startswith("Running stage '")]
    return Finding("stages", f"would run: {', '.join(stale)}" if stale else "all up to date")
