"""The daemon itself, as a service runs it: killed, killed with its runs, and started twice on one DAGSTER_HOME.

Each daemon here is a separate process with its own code server, and processes are really killed.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import dagster as dg
import psutil
import pytest
import yaml

from fineline.dagster.displays import GPU
from fineline.dagster.retraining import JOB
from tests.dagster.conftest import BIN
from tests.dagster.small import SERVED, Small, until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / ".dagster" / "dagster.yaml"
OVER = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


class Service:
    """DAGSTER_HOME of a project whose stages take no time, and daemons on it."""

    def __init__(self, place: Path) -> None:
        self.project = Small(place / "project")
        self.pause = place / "pause"
        self.home = place / "home"
        self.home.mkdir()
        settings = yaml.safe_load(SETTINGS.read_text())
        settings["run_monitoring"] |= {"poll_interval_seconds": 2, "free_slots_after_run_end_seconds": 1}  # minutes, as shipped
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(settings))
        (place / "served.py").write_text(SERVED.format(str(self.project.root)))
        self.place = place
        self.environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{place}",
            "DAGSTER_HOME": str(self.home),
            "PAUSE": str(self.pause),
            "RUNS": str(self.project.log),
        }
        self.daemons: list[subprocess.Popen] = []
        self.runs()  # makes the databases: Dagster cannot make them in two processes at once

    def daemon(self) -> subprocess.Popen:
        log = (self.place / f"daemon-{len(self.daemons)}.log").open("w")
        process = subprocess.Popen(
            ["dagster-daemon", "run", "--module-name", "served"],
            cwd=self.place,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.daemons.append(process)
        return process

    def log(self, number: int) -> str:
        return (self.place / f"daemon-{number}.log").read_text()

    def ask(self) -> str:
        """Ask for a retraining as the browser does: the daemon takes it from the queue. Its id."""
        tags = '{"dagster/partition": "support"}'
        command = ["dagster", "job", "launch", "--module-name", "served", "--job", JOB, "--tags", tags]
        before = {run.run_id for run in self.runs()}
        answer = subprocess.run(command, cwd=self.place, env=self.environment, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        (made,) = {run.run_id for run in self.runs()} - before
        return made

    def runs(self) -> list[dg.DagsterRun]:
        with self.instance() as instance:
            return list(instance.get_runs())

    def wait(self, run: str) -> dg.DagsterRunStatus:
        """What a run ended in."""
        return until(lambda: next((one.status for one in self.runs() if one.run_id == run and one.status in OVER), None))

    def slots(self) -> int:
        """Held in the pool of the device."""
        with self.instance() as instance:
            return instance.event_log_storage.get_concurrency_info(GPU).active_slot_count

    @contextlib.contextmanager
    def instance(self):
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def training(self) -> psutil.Process:
        """The stage `train`, as soon as it runs."""
        return until(lambda: next(iter(self.processes("stage.py train")), None))

    def processes(self, words: str) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if words in " ".join(process.cmdline()) and process.environ().get("DAGSTER_HOME") == str(self.home):
                    found.append(process)
        return found

    def trainings(self) -> int:
        return self.project.runs().count("train@support")

    def end(self) -> None:
        for process in self.processes(""):
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS", "")
    found = Service(tmp_path)
    try:
        yield found
    finally:
        found.end()


@pytest.mark.timeout(600)
def test_a_daemon_that_is_killed_takes_no_result_with_it(service):
    service.project.rows("day-2", "two")
    service.pause.write_text("4")
    first = service.daemon()
    run = service.ask()
    service.training()
    first.send_signal(signal.SIGKILL)
    service.pause.unlink()
    assert service.wait(run) is dg.DagsterRunStatus.SUCCESS  # runs are processes of the code server
    assert len(service.project.branches()) == 1

    service.project.rows("day-3", "three")
    service.daemon()
    assert service.wait(service.ask()) is dg.DagsterRunStatus.SUCCESS
    assert len(service.project.branches()) == 2
    assert service.slots() == 0


@pytest.mark.timeout(600)
def test_daemon_code_server_and_run_are_killed_and_the_device_is_free_again(service):
    service.project.rows("day-2", "two")
    service.pause.write_text("60")
    first = service.daemon()
    run = service.ask()
    training = service.training()
    assert service.slots() == 1
    os.killpg(first.pid, signal.SIGKILL)  # as when a machine's memory is full
    for process in service.processes("served"):
        process.kill()
    psutil.wait_procs([training], timeout=30)
    assert not training.is_running(), "the training ends with the process that started it"
    service.pause.unlink()
    trained = service.trainings()

    service.daemon()
    assert service.wait(run) is dg.DagsterRunStatus.FAILURE
    until(lambda: service.slots() == 0)
    assert service.wait(service.ask()) is dg.DagsterRunStatus.SUCCESS
    assert service.trainings() == trained + 1
    assert len(service.project.branches()) == 1


@pytest.mark.timeout(600)
def test_two_daemons_on_one_home_run_a_thing_once(service):
    service.project.rows("day-2", "two")
    trained = service.trainings()
    for _ in range(2):
        service.daemon()
    assert service.wait(service.ask()) is dg.DagsterRunStatus.SUCCESS
    until(lambda: "multiple daemon processes running at once" in service.log(0) + service.log(1))
    assert service.trainings() == trained + 1
    assert len(service.project.branches()) == 1


@pytest.mark.parametrize("command", [["dagster-daemon", "run"], ["dagster", "job", "execute", "--job", JOB]])
def test_a_home_that_is_none(service, command):
    service.environment["DAGSTER_HOME"] = str(service.home / "dagster.yaml")
    command = [*command, "--module-name", "served"]
    answer = subprocess.run(command, cwd=service.place, env=service.environment, capture_output=True, text=True, check=False)
    assert answer.returncode != 0
    assert "DAGSTER_HOME" in answer.stdout + answer.stderr
