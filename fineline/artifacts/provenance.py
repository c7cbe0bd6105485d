"""Provenance: who made a result, where, when and with which code. No result and no stage depends on it.

`attest` signs it as SLSA provenance v1. The files are reports/<adapter>/provenance/<stage>.json and, for a base,
reports/bases/<base>/provenance/base.json.
"""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from fineline.artifacts import code, reports
from fineline.errors import InputError

SCHEMA = "fineline/provenance/v1"
LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "tokenizers",
    "safetensors",
    "lm_eval",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-genai",
    "onnxruntime-genai-cuda",
)


@dataclass(frozen=True)
class Provenance:
    """How one stage was run."""

    stage: str
    """As DVC names it, such as `train@home-en`."""
    stage_version: int
    artifacts: Mapping[str, str]
    """Path of each artifact that the run made -> digest."""
    owner: str
    license: str
    fineline: str
    """Version of fineline."""
    code: str
    """Digest of the source files that the stage can reach, see `fineline.artifacts.code`."""
    commit: str | None
    """Commit of the project's git repository; None outside of a repository."""
    dirty: bool | None
    """True if tracked files differed from that commit; None outside of a repository."""
    libraries: Mapping[str, str]
    """Distribution -> version."""
    host: Mapping[str, str]
    started: str
    """UTC, ISO 8601, to the second."""
    finished: str
    """In the form of `started`."""
    schema: str = SCHEMA


def write(file: Path, found: Provenance) -> None:
    """Write the provenance of one run."""
    reports.write(file, asdict(found))


def read(file: Path) -> Provenance | None:
    """Read the provenance of one run; None if there is none.

    Raises:
        InputError: The file is not a provenance record.
    """
    if not file.is_file():
        return None
    content = reports.read(file)
    try:
        return Provenance(**content)
    except TypeError as error:
        raise InputError(f"{file}: not a provenance record ({error}); run the stage again, or restore it from git") from error


@dataclass(frozen=True)
class Start:
    """The state in which a stage starts: while it runs, the repository and the installation may change."""

    time: str
    code: str
    commit: str | None
    dirty: bool | None
    libraries: Mapping[str, str]
    fineline: str


def start(stage: str) -> Start:
    """Return the time, the code digest, the commit and the libraries at the start of a stage.

    `dirty` leaves out reports/ and dvc.lock, which the stages themselves change.
    """
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)reports", ":(exclude)dvc.lock")
    return Start(
        time=now(),
        code=code.digest((f"fineline.stages.{stage}", f"pipelines.{stage}"), Path()),
        commit=commit,
        dirty=None if commit is None else bool(changes),
        libraries=_installed(),
        fineline=metadata.version("fineline"),
    )


def of_run(
    *, stage: str, name: str, version: int, artifacts: Mapping[str, str], owner: str, license: str, started: Start
) -> Provenance:
    """Return the provenance of a run of a stage that ends now, in the project of the working directory.

    Args:
        artifacts: Path of each artifact that the run made -> digest.
        started: From `start`, before the run.
    """
    return Provenance(
        stage=f"{stage}@{name}",
        stage_version=version,
        artifacts=dict(artifacts),
        owner=owner,
        license=license,
        fineline=started.fineline,
        code=started.code,
        commit=started.commit,
        dirty=started.dirty,
        libraries=started.libraries,
        host={
            "platform": platform.platform(),
            "machine": platform.machine(),
            "processor": processor(),
            "python": platform.python_version(),
        },
        started=started.time,
        finished=now(),
    )


def now() -> str:
    """Return the present time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def processor() -> str:
    """Return the name of the processor, or its architecture where the system does not give one."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _installed() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
