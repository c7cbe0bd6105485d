"""Checks of the machine and the project: versions, hardware, configuration, and what is stale."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fineline import artifacts
from fineline.errors import InputError
from fineline.project import layout, lock, params, versions
from fineline.project.versions import STAGES

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "lm-eval", "dagster", "dvc")
_RUNTIMES = (("onnxruntime", "onnxruntime-gpu"), ("onnxruntime-genai", "onnxruntime-genai-cuda"))
"""Builds for the CPU and for CUDA, which overwrite each other's files."""
_DISK_NEEDED = 10 * 2**30


@dataclass(frozen=True)
class DoctorCheck:
    """The result of one check."""

    subject: str
    state: str
    passed: bool = True


def examine() -> list[DoctorCheck]:
    """Run all checks; never raises."""
    return [
        DoctorCheck("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *(_package(name) for name in PACKAGES),
        *(_either(*builds) for builds in _RUNTIMES),
        _hardware(),
        _disk(),
        *_lock(),
        _configuration(),
        *_bases(),
        *_evidence(),
        *_retraining(),
        _notifications(),
        _dagster_home(),
        _stages(),
    ]


def show(checks: list[DoctorCheck]) -> None:
    """Print a line for each check."""
    from rich.table import Table

    from fineline.stages.cli import console

    table = Table(show_header=False, box=None, pad_edge=False)
    for check in checks:
        table.add_row("[green]ok[/]" if check.passed else "[red]!![/]", check.subject, check.state)
    console.print(table)


def _package(name: str) -> DoctorCheck:
    version = _version(name)
    if version is None:
        return DoctorCheck(name, "not installed; install fineline again with its dependencies", passed=False)
    return DoctorCheck(name, version)


def _either(cpu: str, cuda: str) -> DoctorCheck:
    """Check that one of two builds of a library is installed, and not both."""
    found = [name for name in (cpu, cuda) if _version(name)]
    if len(found) == 1:
        return DoctorCheck(found[0], str(_version(found[0])))
    if not found:
        return DoctorCheck(cpu, f"not installed; install {cpu}, or {cuda} for CUDA", passed=False)
    remedy = f"run `pip uninstall {cpu} {cuda}`, then install the one that this machine needs"
    return DoctorCheck(cpu, f"{cpu} and {cuda} are both installed and overwrite each other; {remedy}", passed=False)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _hardware() -> DoctorCheck:
    from fineline.hardware import device

    machine = device.detect()
    return DoctorCheck("device", f"{machine.kind}: {machine.name}, {machine.memory_bytes / 2**30:.1f} GiB")


def _disk() -> DoctorCheck:
    free = shutil.disk_usage(".").free
    return DoctorCheck("disk", f"{free / 2**30:.1f} GiB free", passed=free >= _DISK_NEEDED)


def _lock() -> list[DoctorCheck]:
    """Compare fineline.lock with what is installed. Stages refuse to run with another version; libraries only matter here."""
    try:
        locked, installed = lock.read(), lock.installed()
    except InputError as error:
        return [DoctorCheck(str(lock.FILE), str(error), passed=False)]
    checks = []
    if versions.newer(locked.fineline, installed.fineline):
        checks.append(f"written by fineline {locked.fineline}, and {installed.fineline} is installed")
    stages = [
        f"{stage} {locked.stages.get(stage)} -> {version}"
        for stage, version in STAGES.items()
        if locked.stages.get(stage) != version
    ]
    if stages:
        checks.append(f"stage versions differ from the installed fineline {installed.fineline}: {', '.join(stages)}")
    names = sorted({*locked.libraries, *installed.libraries})
    before, now = (
        {name: versions.get(name, "not installed") for name in names} for versions in (locked.libraries, installed.libraries)
    )
    libraries = [f"{name} {before[name]} -> {now[name]}" for name in names if before[name] != now[name]]
    if libraries:
        checks.append(f"results were made with other libraries than are installed: {', '.join(libraries)}")
    if not checks:
        return [DoctorCheck(str(lock.FILE), f"as installed: fineline {locked.fineline}")]
    return [
        DoctorCheck(str(lock.FILE), f"{check}; run `fineline upgrade --dry-run`, or install these versions", passed=False)
        for check in checks
    ]


def _configuration() -> DoctorCheck:
    try:
        loaded = params.load()
    except InputError as error:
        return DoctorCheck(str(params.FILE), str(error), passed=False)
    bases, adapters = (", ".join(names) or "none yet" for names in (loaded.bases, loaded.adapters))
    return DoctorCheck(str(params.FILE), f"bases {bases}; adapters {adapters}")


def _source_of(made: Path) -> str:
    """Return the digest of the files that a local base was made from: its own, unless the stage changed them."""
    record = artifacts.read(made)
    return str(record.parameters.get("source", record.digest))


def _bases() -> list[DoctorCheck]:
    """Compare each local base model with what stage `base` made of it: DVC cannot watch a path outside of the project."""
    from fineline.models import bases

    try:
        known = params.load().bases
    except InputError:
        return []
    checks = []
    for name, base in known.items():
        if base.path is None:
            continue
        subject = f"base {name}"
        try:
            now = artifacts.digest(bases.manifest(Path(base.path)))
            made = _source_of(layout.base(name)) if layout.base(name).exists() else None
        except InputError as error:
            checks.append(DoctorCheck(subject, str(error), passed=False))
            continue
        if base.digest and base.digest != now:
            state = f"{base.path} is not what bases.{name}.digest pins; restore its files, or write {now} to accept them"
            checks.append(DoctorCheck(subject, state, passed=False))
        elif made and made != now:
            state = f"{base.path} has changed since {layout.base(name)} was made; run `dvc repro -f base@{name}`"
            checks.append(DoctorCheck(subject, state, passed=False))
        else:
            checks.append(DoctorCheck(subject, f"{base.path}: {'unchanged' if made else 'not copied yet'}"))
    return checks


def _evidence() -> list[DoctorCheck]:
    """Check that each adapter has the directory of evidence that stage `assess` reads."""
    try:
        known = params.load().adapters
    except InputError:
        return []
    missing = [layout.evidence(name) for name in known if not layout.evidence(name).is_dir()]
    return [
        DoctorCheck(f"evidence {path.name}", f"{path}: missing; create it with a README.md, so that git keeps it", passed=False)
        for path in missing
    ]


def _retraining() -> list[DoctorCheck]:
    """Check when each adapter is retrained; nothing if params.yaml as a whole is wrong."""
    from fineline.retraining import triggers

    checks = []
    try:
        known = params.load().adapters
    except InputError:
        return []
    for name, adapter in known.items():
        try:
            checks.append(DoctorCheck(f"retrain {name}", ", ".join(triggers.triggers_of(name, adapter).words)))
        except InputError as error:
            checks.append(DoctorCheck(f"retrain {name}", str(error), passed=False))
    return checks


def _notifications() -> DoctorCheck:
    from fineline.notifications import notice

    try:
        receivers = notice.load_receivers(Path()).receivers
    except InputError as error:
        return DoctorCheck(str(notice.FILE), str(error), passed=False)
    return DoctorCheck(str(notice.FILE), ", ".join(receivers) or "no notification receivers configured")


def _dagster_home() -> DoctorCheck:
    """Check DAGSTER_HOME: without the project's settings, the run of a killed process keeps the device."""
    place = os.environ.get("DAGSTER_HOME")
    if not place:
        return DoctorCheck(
            "DAGSTER_HOME", "not set: Dagster keeps no history of manual runs; set it to .dagster of this project"
        )
    home = Path(place)
    if not home.is_dir():
        return DoctorCheck("DAGSTER_HOME", f"{home}: not a directory; create it, or `unset DAGSTER_HOME`", passed=False)
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return DoctorCheck("DAGSTER_HOME", f"{home}: cannot be written to: {error.strerror}", passed=False)
    settings = home / "dagster.yaml"
    if not settings.is_file() or "LocalRunLauncher" not in settings.read_text(encoding="utf-8", errors="replace"):
        state = f"{settings}: not like .dagster/dagster.yaml or deploy/dagster.yaml, so a killed run keeps the device"
        return DoctorCheck("DAGSTER_HOME", state, passed=False)
    return DoctorCheck("DAGSTER_HOME", str(home))


def _stages() -> DoctorCheck:
    try:
        result = dvc("status", "--json")
    except OSError as error:
        return DoctorCheck("stages", f"dvc cannot be started: {error.strerror}; install it", passed=False)
    if result.returncode:
        return DoctorCheck("stages", result.stderr.strip() or "dvc.yaml cannot be read", passed=False)
    changed = json.loads(result.stdout[result.stdout.find("{") :] or "{}")
    return DoctorCheck("stages", f"would run: {', '.join(changed)}, and what follows" if changed else "all up to date")


def dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run DVC as a command, the one of this environment."""
    program = Path(sys.executable).with_name("dvc")
    path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PATH": path}
    return subprocess.run([str(program), *arguments], env=environment, capture_output=True, text=True, check=False)
