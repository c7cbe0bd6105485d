"""A year of a project that nobody watches: 52 Mondays, data that come when they like, and whatever can go wrong.

The clock is advanced by asking the schedule what it starts at each Monday's hour. Runs that are to be killed are processes of
their own; what is killed is really killed.
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

from fineline.dagster.definitions import build_definitions
from fineline.dagster.retraining import JOB
from fineline.dagster.turns import turn
from fineline.notifications import outbox
from tests.dagster.small import Small

WEEKS = 52
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
FAULTS = ("kill the run", "kill the training", "kill dvc", "full disk", "a person's dvc", "no source")


class Year:
    """The project, what has to come of it, and the faults."""

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
        """Whether rows have come that no finished run has seen."""
        self.faults: list[str] = []

    def week(self, number: int) -> None:
        moment = MONDAY + timedelta(weeks=number)
        if self.random.random() < 0.4:
            self.rows_come(number)
        fault = self.random.choice(FAULTS) if self.random.random() < 0.35 else None
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
        if "bad" in self.texts:  # somebody looked after it
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
        """The result of all rows is there, recorded once, judged rightly, and told."""
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
        """Somebody takes the newest challenger."""
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
        elif fault == "a person's dvc":
            process = subprocess.Popen(["dvc", "repro", "--quiet", "--force"], cwd=self.project.root, env=environment())
            assert self.run()
            assert process.wait(120) == 0
            self.drop_what_the_person_made()
        else:
            self.kill(fault)

    def drop_what_the_person_made(self) -> None:
        self.project.git("checkout", "--quiet", "--", ".")
        self.project.run("dvc", "checkout", "--quiet", "--force")

    def kill(self, fault: str) -> None:
        """Kill something while the training runs, or anything at any time if there is nothing to train."""
        self.pause.write_text("60")
        process = self.start()
        deadline = time.monotonic() + 90
        victim = None
        while process.poll() is None and victim is None and time.monotonic() < deadline:
            victim = self.find("stage.py train")
            time.sleep(0.05)
        self.pause.unlink()
        if victim is None:  # nothing was to be trained
            process.wait(90)
            return
        if fault == "kill the run":
            process.kill()
        elif fault == "kill dvc":
            (self.find("dvc --wait-for-lock repro") or victim).kill()
        else:
            victim.kill()
        # a training that was killed is tried again by itself, after a while that nobody wants to wait for here
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
            with contextlib.suppress(psutil.Error, OSError):  # it may end while it is looked at
                if words in " ".join(process.cmdline()):
                    return process
        return None

    def processes(self) -> list[psutil.Process]:
        """Those that work in the project."""
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
        with turn(self.project.root, f"{JOB}@support", pytest.fail):
            pass


def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.timeout(2400)
def test_a_year_passes_and_nothing_is_lost(tmp_path, monkeypatch):
    for name in ("RUNS", "PAUSE"):
        monkeypatch.setenv(name, "")
    year = Year(tmp_path, seed=2026)
    for number in range(WEEKS):
        year.week(number)
    assert set(year.faults) == set(FAULTS), "each kind of fault came up"
    told = [(notice["event"], notice["occasion"].split()[-1]) for notice in year.notices()]
    verdicts = {
        branch: json.loads(year.project.git("show", f"{branch}:reports/support/candidate.json"))["verdict"]
        for branch in year.project.branches()
    }
    expected = [("approval" if verdict == "pass" else "verdict", branch) for branch, verdict in verdicts.items()]
    assert sorted(told) == sorted(expected), "every verdict was told, once"
    assert year.project.git("fsck", "--no-progress") == ""
    (year.project.root / "notifications.yaml").write_text("receivers: {}")
    assert outbox.deliver(year.project.root).waiting == 0
