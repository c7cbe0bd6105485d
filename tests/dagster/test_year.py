"""Weeks of an unattended project: a Monday each, new data at random times, and every kind of fault.

The clock is advanced by asking the schedule what it starts at each Monday's hour. Runs that are to be killed are separate
processes, and they are really killed.
"""

import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest

from fineline.artifacts import locks
from fineline.dagster.definitions import build_definitions
from fineline.dagster.repro import lock_file
from fineline.dagster.retraining import JOB
from fineline.notifications import outbox
from tests.dagster.small import Small

MONDAY = datetime(2026, 1, 5, 3, tzinfo=UTC)
RUN = """
import sys
from pathlib import Path
import dagster as dg
from fineline.dagster.definitions import build_definitions
root, home = map(Path, sys.argv[1:])
with dg.DagsterInstance.local_temp(str(home)) as instance:
    job = build_definitions(root).resolve_job_def("retrain")
    sys.exit(not job.execute_in_process(instance=instance, partition_key="support", raise_on_error=False).success)
"""
FAULTS = ("kill the run", "kill the training", "kill dvc", "full disk", "another dvc", "no source")


class Year:
    """The project, the expected results, and the faults."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.project = Small(root / "project", cron="0 3 * * 1", timezone="UTC")
        self.instance = dg.DagsterInstance.ephemeral()
        self.pause = root / "pause"
        self.home = root / "home"
        self.home.mkdir()
        self.texts = ["one"]
        os.environ["PAUSE"] = str(self.pause)
        definitions = build_definitions(self.project.root)
        self.job = definitions.resolve_job_def(JOB)
        (self.schedule,) = definitions.schedules or ()
        self.repository = definitions.get_repository_def()
        self.pending = False
        """True if there are rows that no finished run has seen."""
        self.faults: list[str] = []

    def week(self, number: int, rows: bool, fault: str | None) -> None:
        """Let a week pass, with new rows and a fault if they are due."""
        moment = MONDAY + timedelta(weeks=number)
        if rows:
            self.rows_come(number)
        context = dg.build_schedule_context(scheduled_execution_time=moment, repository_def=self.repository)
        (request,) = self.schedule.evaluate_tick(context).run_requests
        assert request.partition_key == "support"
        before = self.project.branches()
        if fault is None:
            assert self.run()
            self.check(before)
        else:
            self.faults.append(fault)
            self.suffer(fault)
            self.nothing_is_left_running()
            assert self.run(), "the next run puts it right"
            self.check(before)
        if self.project.branches() != before and self.random.random() < 0.6:
            self.merge()

    def rows_come(self, number: int) -> None:
        text = "bad" if self.random.random() < 0.15 else f"week {number}"
        if "bad" in self.texts:  # an operator removed it
            self.texts.remove("bad")
            for file in (self.project.root / "tickets").glob("*.jsonl"):
                if "bad" in file.read_text():
                    file.unlink()
        self.texts.append(text)
        self.project.rows(f"day-{number + 100}", text)
        self.pending = True

    def run(self) -> bool:
        return self.job.execute_in_process(instance=self.instance, partition_key="support", raise_on_error=False).success

    def check(self, before: list[str]) -> None:
        """Check that the result of all rows exists, is recorded once, judged correctly, and reported."""
        branches = self.project.branches()
        newest = branches[-1] if branches else "main"
        if self.pending:
            assert len(branches) == len(before) + 1, "one result more"
            gate = json.loads(self.project.git("show", f"{newest}:reports/support/gate.json"))
            assert gate["verdict"] == ("fail" if "bad" in self.texts else "pass")
            assert gate["scores"]["candidate"]["target_exact_match"] == len(self.texts) / 100
        else:
            assert branches == before, "nothing new, nothing made"
        self.pending = False
        assert len(self.notices()) == len(branches)
        assert self.project.git("status", "--porcelain") == ""

    def notices(self) -> list[dict]:
        waiting = (self.project.root / ".fineline" / "outbox" / "waiting").glob("*.json")
        return [json.loads(file.read_text())["notice"] for file in waiting]

    def merge(self) -> None:
        """Merge the newest challenger."""
        branch = self.project.branches()[-1]
        self.project.git("merge", "--quiet", "--strategy-option", "theirs", branch)
        self.project.run("dvc", "checkout", "--quiet", "--force")
        assert "up to date" in self.project.run("dvc", "status")

    def suffer(self, fault: str) -> None:
        if fault == "full disk":
            process = self.start(limit=True)
            assert process.wait(120) != 0 or not self.pending
        elif fault == "no source":
            place, away = self.project.root / "tickets", self.project.root / ".fineline" / "away"
            place.rename(away)
            assert not self.run()
            away.rename(place)
        elif fault == "another dvc":
            process = subprocess.Popen(["dvc", "repro", "--quiet", "--force"], cwd=self.project.root, env=environment())
            assert self.run()
            assert process.wait(120) == 0
            self.drop_results_of_the_other_dvc()
        else:
            self.kill(fault)

    def drop_results_of_the_other_dvc(self) -> None:
        self.project.git("checkout", "--quiet", "--", ".")
        self.project.run("dvc", "checkout", "--quiet", "--force")

    def kill(self, fault: str) -> None:
        """Kill a process while the training runs, if there is something to train."""
        self.pause.write_text("60")
        process = self.start()
        deadline = time.monotonic() + 600
        victim = None
        while process.poll() is None and victim is None and time.monotonic() < deadline:
            victim = self.find("stage.py train")
            time.sleep(0.05)
        self.pause.unlink()
        if victim is None:
            assert not self.pending, "a training starts if there is something to train"
            process.wait(90)
            return
        if fault == "kill the run":
            process.kill()
        elif fault == "kill dvc":
            (self.find("dvc --wait-for-lock repro") or victim).kill()
        else:
            victim.kill()
        # a training that was killed is retried, after a delay that is too long for a test
        time.sleep(1)
        process.kill()
        process.wait(30)

    def start(self, limit: bool = False) -> subprocess.Popen:
        def full() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

        command = [sys.executable, "-c", RUN, str(self.project.root), str(self.home)]
        return subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[2],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=full if limit else None,
        )

    def find(self, words: str) -> psutil.Process | None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error, OSError):  # it may end in between
                if words in " ".join(process.cmdline()):
                    return process
        return None

    def processes(self) -> list[psutil.Process]:
        """Return the processes that work in the project."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.project.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def nothing_is_left_running(self) -> None:
        _, alive = psutil.wait_procs(self.processes(), timeout=20)
        assert [process.pid for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
        with locks.try_hold(lock_file(self.project.root, f"{JOB}@support")) as held:
            assert held


def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def eight_weeks(draw: random.Random) -> list[tuple[bool, str | None]]:
    """Return for each week if rows come, and its fault: each kind of fault once, when there is something to train."""
    weeks: list[tuple[bool, str | None]] = [*((True, fault) for fault in FAULTS), (True, None), (False, None)]
    draw.shuffle(weeks)
    return weeks


def a_year(draw: random.Random) -> list[tuple[bool, str | None]]:
    """Return 52 weeks, with faults also when there is nothing to train."""
    return [(draw.random() < 0.4, draw.choice(FAULTS) if draw.random() < 0.35 else None) for _ in range(52)]


@pytest.mark.parametrize(
    "weeks", [pytest.param(eight_weeks, marks=pytest.mark.slow), pytest.param(a_year, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(7200)
def test_weeks_pass_and_nothing_is_lost(tmp_path, monkeypatch, weeks):
    for name in ("RUNS", "PAUSE"):
        monkeypatch.setenv(name, "")
    year = Year(tmp_path, seed=2026)
    for number, (rows, fault) in enumerate(weeks(random.Random(2036))):
        year.week(number, rows, fault)
    assert set(year.faults) == set(FAULTS), "each kind of fault came up"
    reported = [(notice["event"], notice["occasion"].split()[-1]) for notice in year.notices()]
    verdicts = {
        branch: json.loads(year.project.git("show", f"{branch}:reports/support/candidate.json"))["verdict"]
        for branch in year.project.branches()
    }
    expected = [("approval" if verdict == "pass" else "verdict", branch) for branch, verdict in verdicts.items()]
    assert sorted(reported) == sorted(expected), "every verdict was reported, once"
    found = year.project.git("fsck", "--no-progress").splitlines()
    # a result that equals a branch except for its times is compared as a tree and not committed
    assert [line for line in found if not line.startswith("dangling tree ")] == []
    (year.project.root / "notifications.yaml").write_text("receivers: {}")
    assert outbox.deliver(year.project.root).waiting == 0
