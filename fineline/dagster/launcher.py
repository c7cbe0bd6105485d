"""Starts runs as Dagster does by itself, and notices when the process of one is gone.

Dagster's own launcher cannot tell: a run whose process was killed, or went down with its machine, would stay "started" for
ever, keep its place in the pool of the device, and let no other retraining of its adapter begin. `dagster.yaml` names this
one, and its `run_monitoring` asks it.
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
"""Seconds by which a process may seem to have begun after it said so: the clock was set."""
_STATE, _STARTED = 0, 19  # fields of /proc/<pid>/stat behind the name, see proc_pid_stat(5)


class LocalRunLauncher(DefaultRunLauncher):
    """For code servers on this machine. What runs elsewhere is left to `dagster/max_runtime`."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run is there, as far as it can be seen from here."""
        worker = self._worker(run) if self._is_here(run) else None
        if worker is None or lives(*worker):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"its process {worker[0]} is gone: it was killed, or its machine went down"
        )

    def _is_here(self, run: dg.DagsterRun) -> bool:
        """Whether a code server on this machine has started it, or somebody by hand where the database is a file here."""
        server = run.tags.get(GRPC_INFO_TAG)
        if server is None:
            return "sqlite" in type(self._instance.run_storage).__name__.casefold()
        address = json.loads(server)
        return "socket" in address or address.get("host") in _HERE

    def _worker(self, run: dg.DagsterRun) -> tuple[int, float] | None:
        """The process of a run, and when it said that it is."""
        for entry in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            number = event.engine_event_data.metadata.get("pid") if event else None
            if number is not None:
                return int(str(number.value)), entry.timestamp
        return None


def lives(process: int, said_so_at: float) -> bool:
    """Whether a process is there, and is the one that said at that time (seconds since the epoch) that it has this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    stat = Path(f"/proc/{process}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
        booted = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except (OSError, StopIteration):  # no such file system: the number alone has to do
        return True
    began = booted + int(fields[_STARTED]) / os.sysconf("SC_CLK_TCK")
    return fields[_STATE] != "Z" and began <= said_so_at + _LATER
