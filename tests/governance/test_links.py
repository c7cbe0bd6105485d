"""Links in releases and in governance/, and files of governance/ that are gone."""

import os
import shutil
from pathlib import Path

import pytest

from fineline.errors import Refused
from fineline.governance import bootstrap, people, policy, state, store, verification
from tests.governance.conftest import NAME, day


def linked(path, tmp_path_factory):
    """Replace a file or directory by a link to an equal copy elsewhere."""
    path = Path(path)
    copy = tmp_path_factory.mktemp("elsewhere") / path.name
    (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copy)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.parent.chmod(0o755)
        path.unlink()
    path.symlink_to(copy)


@pytest.fixture
def release(world):
    """A release in production."""
    world.ready()
    world.promote()
    return store.channel(NAME, "production")


@pytest.mark.parametrize(
    "place",
    [
        "release.json",
        "model",
        "model/version.json",
        "documents",
        "documents/README.md",
        "records/reports/gate.json",
        "records/artifacts/base",
        "records/governance",
        "records/governance/people.yaml",
        "records/governance/ledger",
    ],
)
def test_a_link_to_an_equal_copy_in_a_release(release, tmp_path_factory, place):
    assert (release / place).exists()
    linked(release.resolve() / place, tmp_path_factory)
    with pytest.raises(Refused, match=f"{place}: a link"):
        verification.verify(release, day(5))


def test_a_link_to_an_equal_copy_in_a_ledger_inside_of_a_release(release, tmp_path_factory):
    entry = next((release.resolve() / "records" / "governance" / "ledger").glob("*.json"))
    linked(entry, tmp_path_factory)
    with pytest.raises(Refused, match="a link"):
        verification.verify(release, day(5))


@pytest.mark.parametrize(
    "place",
    [
        "governance",
        "governance/people.yaml",
        "governance/policy.yaml",
        "governance/ledger",
        "governance/ledger/checkpoints",
    ],
)
def test_a_link_to_an_equal_copy_in_governance(release, tmp_path_factory, place):
    linked(place, tmp_path_factory)
    with pytest.raises(Refused, match=f"{place}: a link"):
        verification.verify(release, day(5))
    with pytest.raises(Refused, match=f"{place}: a link"):
        state.load(day(5))


def test_any_other_link_in_governance(release):
    Path("governance/notes").symlink_to("/etc/hostname")
    with pytest.raises(Refused, match="governance/notes: a link"):
        verification.verify(release, day(5))


def test_what_is_neither_a_file_nor_a_directory(release):
    os.mkfifo(release / "documents" / "pipe")
    with pytest.raises(Refused, match="pipe: neither a file nor a directory"):
        verification.verify(release, day(5))


@pytest.mark.parametrize("file", [people.FILE, policy.FILE])
def test_a_file_that_is_gone_is_restored_and_not_begun_again(release, file):
    file.unlink()
    for action in (lambda: verification.verify(release, day(5)), lambda: state.load(day(5))):
        with pytest.raises(Refused, match=f"{file}: missing, although .*governance/ledger has entries; restore it from git"):
            action()


def test_no_second_beginning_without_people(release):
    people.FILE.unlink()
    with pytest.raises(Refused, match="restore it from git"):
        bootstrap.check_person("eve", "eve@example.com")
    assert not people.FILE.exists()
