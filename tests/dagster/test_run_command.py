"""`fineline run`: progress, time left, errors and interruption of `dvc repro`, on a small graph with real DVC."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from fineline.dagster.run_command import Progress, clock, last_seconds, reproduce
from fineline.errors import FinelineError, InputError

STAGES = ["base@tiny-1m", "curate@home-en", "train@home-en", "evaluate@home-en"]


def progress_to(file, stages=STAGES, *, terminal=False, width=60):
    return Progress(stages, console=Console(file=file, width=width, force_terminal=terminal, highlight=False, markup=False))


@pytest.fixture
def output(tmp_path):
    with (tmp_path / "output.txt").open("w+") as file:
        yield file


def text(file):
    file.seek(0)
    return file.read()


def recorded(stage, seconds):
    """Write the record of a run of a stage that took so long."""
    kind, _, name = stage.partition("@")
    file = Path("reports", *(["bases"] if kind == "base" else []), name, "provenance", f"{kind}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    times = {"started": "2026-01-01T00:00:00Z", "finished": f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}Z"}
    names = ("stage_version", "artifacts", "owner", "license", "fineline", "code", "commit", "dirty", "libraries", "host")
    file.write_text(json.dumps({"stage": stage} | dict.fromkeys(names) | times))


def test_each_stage_is_a_line_with_its_number(fresh_project, monkeypatch, output):
    monkeypatch.chdir(fresh_project.root)
    progress = progress_to(output)
    reproduce(progress, fresh_project.root)
    lines = text(output).splitlines()
    assert [line for line in lines if line.startswith("[")] == [f"[{n}/4] {stage}" for n, stage in enumerate(STAGES, 1)]
    assert list(progress.finished) == STAGES
    assert "in all: base" in lines[-1]
    again = progress_to(output)
    reproduce(again, fresh_project.root)
    assert not again.finished
    assert "[3/4] train@home-en up to date" in text(output)


def test_a_failed_stage_ends_with_its_last_lines_and_a_remedy(made_project, monkeypatch, output):
    monkeypatch.chdir(made_project.root)
    made_project.set(fails=True)
    with pytest.raises(FinelineError, match="train@home-en: failed; the last lines were") as failed:
        reproduce(progress_to(output), made_project.root)
    assert "loss is not finite" in str(failed.value)
    assert "The same command continues from here." in str(failed.value)


def test_the_exit_code_of_a_stage_is_kept(output):
    progress = progress_to(output)
    for line in (
        "Running stage 'curate@home-en':",
        "> python -m pipelines.curate home-en",
        "error: rows.jsonl:3: not valid JSON",
        "ERROR: failed to reproduce 'curate@home-en': failed to run: python -m pipelines.curate home-en, exited with 2",
    ):
        progress.line(line)
    error = progress.failure(Path(), 255)
    assert isinstance(error, InputError)
    assert str(error).startswith("curate@home-en: rows.jsonl:3: not valid JSON")


def test_an_error_of_dvc_itself_is_named(output):
    progress = progress_to(output)
    for line in (
        "Running stage 'train@home-en':",
        "Updating lock file 'dvc.lock'",
        "ERROR: failed to reproduce 'evaluate@home-en': [Errno 2] No such file or directory: 'evidence/home-en'",
    ):
        progress.line(line)
    assert str(progress.failure(Path(), 255)).startswith("dvc repro: failed to reproduce 'evaluate@home-en': [Errno 2]")


def test_a_full_disk_is_named(output):
    progress = progress_to(output)
    progress.line("Running stage 'train@home-en':")
    progress.line("OSError: [Errno 28] No space left on device: 'models/adapters'")
    assert "no space left on the device of" in str(progress.failure(Path.cwd(), 255))


def test_time_left_is_that_of_the_last_run_at_the_speed_of_this_one(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    for stage, seconds in zip(STAGES, (10, 20, 100, 50), strict=True):
        recorded(stage, seconds)
    assert last_seconds("train@home-en") == 100
    progress = progress_to(output)
    assert progress.seconds_left() == 180
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress.line("Running stage 'base@tiny-1m':")
    now += 20  # twice as long as recorded
    progress.line("Running stage 'curate@home-en':")
    assert progress.seconds_left() == pytest.approx(2 * (20 + 100 + 50))
    now += 30
    assert progress.seconds_left() == pytest.approx(2 * (20 + 100 + 50) - 30)
    progress.line("Stage 'train@home-en' didn't change, skipping")
    assert progress.seconds_left() == pytest.approx(50 * (20 + 30) / (10 + 20))


def test_no_time_is_promised_without_a_record(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    recorded("base@tiny-1m", 10)
    progress = progress_to(output)
    assert progress.seconds_left() is None
    progress.line("Running stage 'base@tiny-1m':")
    assert "left" not in text(output)


def test_a_broken_record_is_as_good_as_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorded("train@home-en", 10)
    Path("reports/home-en/provenance/train.json").write_text("{")
    assert last_seconds("train@home-en") is None


def test_a_terminal_of_60_columns_has_one_status_line(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    progress = progress_to(output, ["train@an-adapter-with-a-name-that-is-longer-than-this-terminal-is-wide"], terminal=True)
    with progress:
        progress.line("Running stage 'train@an-adapter-with-a-name-that-is-longer-than-this-terminal-is-wide':")
        status = progress._status()
    assert len(progress._console.render_lines(status)) == 1


def test_an_interrupted_run_leaves_no_process_and_continues(made_project, tmp_path):
    made_project.set(seconds=60)
    script = (
        "import sys; from pathlib import Path; from fineline.dagster.run_command import Progress, reproduce\n"
        "from fineline.errors import FinelineError\n"
        f"try: reproduce(Progress({STAGES!r}), Path.cwd())\n"
        "except FinelineError as error: print(error, file=sys.stderr); sys.exit(1)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script], cwd=made_project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    group = next(int(line.split()[-1]) for line in run.stdout if line.strip().startswith("group"))
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "interrupted in train@home-en; the same command continues from here" in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3599, "60 min"), (6000, "1 h 40 min")]
)
def test_durations_are_short(seconds, shown):
    assert clock(seconds) == shown
