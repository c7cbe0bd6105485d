"""fineline.dagster.repro: one stage through DVC, and nothing left behind when it is stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from fineline.dagster.displays import Display
from fineline.dagster.repro import ReproFailed, reproduce
from fineline.dagster.translation import may_succeed_later

pytestmark = pytest.mark.installed_dvc
ROOT = Path(__file__).resolve().parents[2]


class Stop(BaseException):
    """Stands for what Dagster raises when a run is cancelled."""


def living(group: int) -> list[psutil.Process]:
    """Return the running processes of a group; a killed one may take a moment to end, and a zombie has ended."""
    found = [process for process in psutil.process_iter() if _lives_in(process, group)]
    return [process for process in psutil.wait_procs(found, timeout=5)[1] if _lives_in(process, group)]


def _lives_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False


def silent(line: str) -> None:
    pass


def test_a_stage_runs_once_and_is_then_found_unchanged(fresh_project):
    lines: list[str] = []
    assert reproduce(fresh_project.root, "base@tiny-1m", on_line=lines.append).action == "ran"
    assert "Running stage 'base@tiny-1m':" in lines
    assert reproduce(fresh_project.root, "base@tiny-1m", on_line=silent).action == "unchanged"
    assert fresh_project.runs() == ["base@tiny-1m"]


def test_a_result_known_to_the_run_cache_is_restored(made_project):
    made_project.set(rank=16)
    assert reproduce(made_project.root, "train@home-en", on_line=silent).action == "ran"
    made_project.set(rank=8)
    assert reproduce(made_project.root, "train@home-en", on_line=silent).action == "restored"
    assert made_project.runs().count("train@home-en") == 2, "once for each rank"


def test_force_runs_an_unchanged_stage(made_project):
    before = made_project.runs()
    assert reproduce(made_project.root, "base@tiny-1m", force=True, on_line=silent).action == "ran"
    assert made_project.runs() == [*before, "base@tiny-1m"]


def test_a_failed_stage_is_reported_with_its_last_lines(made_project):
    made_project.set(fails=True)
    with pytest.raises(ReproFailed, match="`dvc repro -s train@home-en` ended with status") as failed:
        reproduce(made_project.root, "train@home-en", on_line=silent)
    assert "loss is not finite" in failed.value.tail


@pytest.mark.parametrize("stubborn", [False, True], ids=["ends on SIGINT", "ignores SIGINT"])
def test_an_interruption_ends_every_process_and_records_nothing(made_project, stubborn):
    made_project.set(seconds=120, stubborn=stubborn)
    lock, groups = made_project.lock(), []

    def stop(line: str) -> None:
        if line.startswith("group"):
            groups.append(int(line.split()[1]))
            raise Stop

    started = time.monotonic()
    with pytest.raises(Stop):
        reproduce(made_project.root, "train@home-en", on_line=stop, grace=0.5 if stubborn else 20)
    assert time.monotonic() - started < 15
    assert living(groups[0]) == []
    assert made_project.lock() == lock


def test_after_a_kill_the_previous_result_can_be_had_back_and_the_next_run_is_right(made_project):
    adapter = made_project.root / "models" / "adapters" / "home-en" / "content.json"
    before, lock = adapter.read_text(), made_project.lock()
    made_project.set(seconds=120, rank=32)

    def kill(line: str) -> None:
        if line.startswith("group"):
            os.killpg(int(line.split()[1]), signal.SIGKILL)

    with pytest.raises(ReproFailed):
        reproduce(made_project.root, "train@home-en", on_line=kill)
    assert made_project.lock() == lock
    made_project.dvc("checkout", "models/adapters/home-en")
    assert adapter.read_text() == before
    made_project.set(seconds=0)
    assert reproduce(made_project.root, "train@home-en", on_line=silent).action == "ran"
    assert '"rank": 32' in adapter.read_text()


def test_sigint_to_the_caller_ends_every_process(made_project):
    made_project.set(seconds=120)
    lock = made_project.lock()
    code = (
        "import pathlib, sys; from fineline.dagster.repro import reproduce;"
        "reproduce(pathlib.Path(sys.argv[1]), 'train@home-en')"
    )
    command = [sys.executable, "-c", code, str(made_project.root)]
    caller = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert caller.stdout is not None
    with caller:
        group = next(int(line.split()[1]) for line in caller.stdout if line.startswith("group"))
        caller.send_signal(signal.SIGINT)
    assert caller.returncode != 0
    assert living(group) == []
    assert made_project.lock() == lock


@pytest.fixture
def other_dvc(made_project):
    """Somebody's own `dvc repro` of the training, at work for some seconds; its process group."""
    running = []

    def start(seconds: float) -> int:
        made_project.set(seconds=seconds)
        command = [sys.executable, "-m", "dvc", "repro", "-s", "train@home-en"]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        process = subprocess.Popen(
            command, cwd=made_project.root, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        running.append(process)
        assert process.stdout is not None
        assert any(line.startswith("group") for line in process.stdout)
        return process.pid

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_a_stage_that_another_dvc_works_on_is_tried_again(made_project, other_dvc):
    other_dvc(3)
    lines: list[str] = []
    outcome = reproduce(made_project.root, "train@home-en", on_line=lines.append, busy_waits=[1] * 20)
    assert any("another DVC process" in line for line in lines)
    assert outcome.action == "unchanged"
    assert made_project.runs().count("train@home-en") == 2, "once when the project was made, once here"


def test_the_wait_for_another_dvc_is_bounded(made_project, other_dvc):
    other_dvc(120)
    with pytest.raises(ReproFailed) as failed:
        reproduce(made_project.root, "train@home-en", on_line=silent, busy_waits=[])
    assert any("is busy" in line for line in failed.value.tail)
    assert failed.value.is_lock
    assert may_succeed_later(failed.value, Display(lambda _: {}))


def test_what_is_asked_for_twice_runs_once(made_project):
    made_project.set(seconds=2)
    lines: list[str] = []
    running = threading.Event()

    def note(line: str) -> None:
        if line.startswith("group"):
            running.set()

    other = threading.Thread(target=reproduce, args=(made_project.root, "train@home-en"), kwargs={"on_line": note})
    other.start()
    assert running.wait(30)
    outcome = reproduce(made_project.root, "train@home-en", on_line=lines.append)
    other.join()
    assert lines[0] == "train@home-en: is being run already; waiting for it to finish"
    assert outcome.action == "unchanged"
    assert made_project.runs().count("train@home-en") == 2, "once when the project was made, once here"


def test_a_stage_ends_when_its_time_is_over(made_project):
    made_project.set(seconds=120)
    groups = []

    def note(line: str) -> None:
        if line.startswith("group"):
            groups.append(int(line.split()[1]))

    lock = made_project.lock()
    with pytest.raises(ReproFailed, match=r"was stopped after 6 s, its limit in dvc\.yaml"):
        reproduce(made_project.root, "train@home-en", on_line=note, limit=6)
    assert living(groups[0]) == []
    assert made_project.lock() == lock


def test_a_caller_that_is_killed_takes_every_process_along(made_project):
    made_project.set(seconds=120)
    lock = made_project.lock()
    code = (
        "import pathlib, sys; from fineline.dagster.repro import reproduce;"
        "reproduce(pathlib.Path(sys.argv[1]), 'train@home-en', grace=0.5)"
    )
    command = [sys.executable, "-c", code, str(made_project.root)]
    caller = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert caller.stdout is not None
    with caller:
        group = next(int(line.split()[1]) for line in caller.stdout if line.startswith("group"))
        caller.kill()
    assert living(group) == []
    assert made_project.lock() == lock
    made_project.set(seconds=0)
    assert reproduce(made_project.root, "train@home-en", on_line=silent).action == "ran", "the lock is released"


@pytest.mark.parametrize(
    ("line", "fetches", "expected"),
    [
        ("failed to run: python -m pipelines.train a, exited with -9", False, True),
        ("failed to run: python -m pipelines.train a, exited with 137", False, True),
        ("failed to run: python -m pipelines.train a, exited with 1", False, False),
        ("failed to run: python -m pipelines.ingest a, exited with 1", True, True),
        ("failed to run: python -m pipelines.ingest a, exited with 2", True, False),
        ("failed to run: python -m pipelines.ingest a, exited with 3", True, False),
        ("Unable to acquire lock. Most likely another DVC process is running", False, True),
        ("ERROR: something else", True, False),
    ],
)
def test_only_what_can_succeed_on_repetition_is_tried_again(line, fetches, expected):
    error = ReproFailed("train@a", "ended with status 255", ["before", f"ERROR: failed to reproduce 'train@a': {line}"])
    assert may_succeed_later(error, Display(lambda _: {}, fetches=fetches)) is expected
