"""fineline.lock: a stage runs only if its locked version is the installed one."""

from pathlib import Path

import pytest
import yaml

from fineline.artifacts import provenance
from fineline.errors import InputError
from fineline.project import layout, lock
from fineline.project.versions import STAGES
from fineline.stages import base, entry


@pytest.fixture
def locked(project):
    """A project with the lock of the installed fineline."""
    lock.write(lock.installed())
    return project


def edit(**keys) -> None:
    content = yaml.safe_load(lock.FILE.read_text())
    lock.FILE.write_text(yaml.safe_dump(content | keys))


def refused(stage: str = "train", name: str = "home") -> str:
    """Run a stage that must not start, and return the message."""

    def run(_: str) -> None:
        raise AssertionError("the stage was run")

    with pytest.raises(InputError) as raised:
        entry.execute(stage, run, name)
    assert raised.value.exit_code == 2
    assert not layout.provenance(stage, name).exists()
    return str(raised.value)


def test_the_lock_of_the_installed_fineline_is_read_back(locked):
    assert lock.read() == lock.installed()
    assert lock.FILE.read_text().startswith("# Written by `fineline new` and `fineline upgrade`.")
    for stage in STAGES:
        lock.check(stage)


def test_a_stage_runs_with_its_version_and_leaves_its_provenance(locked):
    entry.execute("base", base.run, "tiny")
    found = provenance.read(layout.provenance("base", "tiny"))
    assert found is not None
    assert (found.stage, found.stage_version, found.owner) == ("base@tiny", STAGES["base"], "models@example.com")
    assert set(found.artifacts) == {"models/bases/tiny", "models/tokenizers/tiny"}


def test_without_a_lock_no_stage_runs(project):
    lock.FILE.unlink(missing_ok=True)
    assert "fineline.lock: missing; restore it with `git checkout fineline.lock`" in refused()


def test_a_stage_with_an_older_version_in_the_lock_needs_an_upgrade(locked, monkeypatch):
    locked_version = STAGES["train"]
    monkeypatch.setitem(STAGES, "train", locked_version + 1)
    message = refused()
    assert f"stages.train is {locked_version}, but the installed fineline" in message
    assert f"has version {locked_version + 1}; run `fineline upgrade --dry-run`" in message
    lock.check("plan")  # the other stages are not affected


@pytest.mark.parametrize("stages", [STAGES, STAGES | {"train": 7}, STAGES | {"distill": 1}])
def test_a_lock_of_a_newer_fineline_stops_every_stage(locked, stages):
    edit(fineline="99.0", stages=stages)
    for stage in ("train", "plan"):
        with pytest.raises(
            InputError, match=r"written by fineline 99\.0, and .* is installed; install that version or a newer"
        ):
            lock.check(stage)


def test_a_raised_stage_in_a_lock_of_the_installed_version_was_edited_by_hand(locked):
    edit(stages=STAGES | {"train": 7})
    assert "stages.train is 7" in refused()
    assert "the file was edited by hand: restore it with `git checkout fineline.lock`" in refused()


def test_a_stage_that_the_lock_does_not_know_yet_needs_an_upgrade(locked):
    edit(stages={stage: version for stage, version in STAGES.items() if stage != "train"})
    assert "stages.train is missing" in refused()
    assert "run `fineline upgrade --dry-run`" in refused()


def test_local_builds_are_versions_too(locked):
    edit(fineline="0.1.0+cpu")
    lock.check("train")


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"stages": STAGES | {"trian": 1}}, r"stages\.trian: unknown stage; accepted: base, ingest"),
        ({"stages": STAGES | {"train": "1"}}, r"stages\.train: expected an integer from 1, found '1'"),
        ({"stages": STAGES | {"train": 0}}, r"stages\.train: expected an integer from 1, found 0"),
        ({"stages": STAGES | {"train": True}}, r"stages\.train: expected an integer from 1, found True"),
        ({"stages": []}, "`stages` and `libraries` must be mappings"),
        ({"fineline": 2}, "fineline: expected a version such as"),
        ({"fineline": "0.2.foo"}, "fineline: expected a version such as"),
        ({"libraries": {"torch": [1, 2]}}, r"libraries\.torch: expected a version, found \[1, 2\]"),
        ({"kept": {"trian": {"from": 1, "to": 2}}}, "kept: expected stage -> {from, to}"),
        ({"notes": "mine"}, "unknown key 'notes'; accepted: fineline, stages, libraries, kept"),
        ({"kept": {"train": 1}}, "kept: expected stage -> {from, to}"),
    ],
)
def test_an_edited_lock_is_an_input_error_with_a_remedy(locked, keys, complaint):
    edit(**keys)
    with pytest.raises(InputError, match=complaint):
        lock.check("train")
    assert "restore it with `git checkout fineline.lock`" in refused()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<<<<<<< HEAD\nfineline: 0.2.0\n=======\n", "cannot be read"),
        ("stages: {train: 1, train: 2}\n", "cannot be read"),
        ("- a\n", "expected a mapping, found list"),
        ("", "expected a mapping, found NoneType"),
    ],
)
def test_a_broken_lock_is_an_input_error(locked, text, complaint):
    Path(lock.FILE).write_text(text)
    assert complaint in refused()
