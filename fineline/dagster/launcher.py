"""A run launcher that detects runs whose process has ended.

With Dagster's default launcher a run whose process was killed, or went down with its machine, stays "started", keeps its place
in the pool of the device, and blocks every other retraining of its adapter. `dagster.yaml` names this launcher, and Dagster's
`run_monitoring` asks it.
"""

import json
import os
from pathlib import Path

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG

_HERE = ("localhost", "127.0.0.1", "::1")
_LATER = 60.0
"""Seconds by which a process may seem to begin after it reported its start, because the clock was adjusted."""
_STATE, _STARTED = 0, 19  # fields of /proc/<pid>/stat behind the name, see proc_pid_stat(5)


class LocalRunLauncher(DefaultRunLauncher):
    """Dagster's launcher, with health checks for runs on this machine; `dagster/max_runtime` ends others."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: run monitoring asks this launcher."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return FAILED if the process of a run on this machine has ended."""
        worker = self._worker(run) if self._is_here(run) else None
        if worker is None or is_running(*worker):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"its process {worker[0]} has ended: it was killed, or its machine went down"
        )

    def _is_here(self, run: dg.DagsterRun) -> bool:
        """True if a code server on this machine started it, or a user where the database is a local file."""
        server = run.tags.get(GRPC_INFO_TAG)
        if server is None:
            return "sqlite" in type(self._instance.run_storage).__name__.casefold()
        address = json.loads(server)
        return "socket" in address or address.get("host") in _HERE

    def _worker(self, run: dg.DagsterRun) -> tuple[int, float] | None:
        """Return the process of a run, and when it reported its start."""
        for entry in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            number = event.engine_event_data.metadata.get("pid") if event else None
            if number is not None:
                return int(str(number.value)), entry.timestamp
        return None


def is_running(process: int, reported_at: float) -> bool:
    """True if the process exists and is the one that reported this number at that time (seconds since the epoch)."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    stat = Path(f"/proc/{process}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
        booted = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except (OSError, StopIteration):  # no procfs here: only the number is known
        return True
    began = booted + int(fields[_STARTED]) / os.sysconf("SC_CLK_TCK")
    return fields[_STATE] != "Z" and began <= reported_at + _LATER


# A step process needs seconds to import its modules, including those that are imported on first use only. Forked from a
# process that has imported them, it starts at once.
PRELOADED = (
    "fineline.dagster.definitions",
    "dagster._cli",  # the main module, which every process imports again
    "dagster._core.instance.factory",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.controller",
    "dulwich.worktree",
    "dvc.cachemgr",
    "dvc.data_cloud",
    "dvc.lock",
    "dvc.repo",
    "dvc.repo.artifacts",
    "dvc.repo.datasets",
    "dvc.repo.metrics",
    "dvc.repo.params",
    "dvc.repo.plots",
    "dvc.repo.stage",
    "dvc.scm",
    "dvc_data.hashfile.db.local",
    "networkx",
    "fineline.governance.requirements",
    "ruamel.yaml",
)
EXECUTOR = dg.multiprocess_executor.configured({"start_method": {"forkserver": {"preload_modules": list(PRELOADED)}}})
"""Dagster's multiprocess executor with a fork server that has imported what steps need."""


def reload(context: dg.SensorEvaluationContext) -> bool:
    """Make the code server load the definitions again.

    Returns:
        False where there is no server that can be asked; `dagster dev` and `dagster code-server start` have one.
    """
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin

    origin = context.code_location_origin
    if not isinstance(origin, GrpcServerCodeLocationOrigin):
        return False
    origin.create_client().reload_code(timeout=context.instance.code_server_reload_timeout)
    return True
