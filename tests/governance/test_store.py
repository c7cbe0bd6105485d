"""Placing a release: complete or not there, even if it is interrupted."""

from pathlib import Path

import pytest

from fineline.errors import Refused
from fineline.governance import ledger_files, state, statements, store
from tests.governance.conftest import NAME, day


class TestKilled:
    """A promotion that is killed between any two steps is completed by repeating it, and nothing half-placed is ever seen."""

    @pytest.mark.parametrize("step", ["_copy", "_seal", "verified", "point"])
    def test_in_the_store(self, world, monkeypatch, step):
        world.ready()
        self.killed(world, monkeypatch, store, step)
        assert store.current(NAME, "production") is None
        releases = [path for path in (store.ROOT / NAME).iterdir() if path.is_dir() and path.name != "channels"]
        for release in releases:
            store.verified(release)  # whole, or not there
        world.promote(now=day(5))
        assert store.current(NAME, "production") == world.release()
        assert len(state.load(day(5)).entries_of(statements.PROMOTE)) == 1
        assert not list(Path(".fineline/building").glob("release.*"))

    def test_while_the_entry_is_written(self, world, monkeypatch):
        world.ready()
        self.killed(world, monkeypatch, ledger_files, "append")
        assert store.current(NAME, "production") is None
        world.promote(now=day(5))
        assert len(state.load(day(5)).entries_of(statements.PROMOTE)) == 1

    @staticmethod
    def killed(world, monkeypatch, module, name):
        def kill(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module, name, kill)
            with pytest.raises(KeyboardInterrupt):
                world.promote()


def test_two_promotions_at_once(world):
    world.ready()
    with store.locked(NAME), pytest.raises(Refused, match="another promotion or rollback is running"):
        world.promote()
    world.promote()


def test_a_release_that_was_damaged_is_not_pointed_at(world):
    world.ready()
    world.promote(channel="production")
    file = store.channel(NAME, "production") / "model" / "model.onnx"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(Refused, match=r"model.onnx: changed"):
        world.promote(now=day(5))


def test_files_changed_while_they_are_copied_are_noticed(world, monkeypatch):
    world.ready()
    copy = store._copy

    def changing(source, target):
        if source.name == "model.onnx":
            source.write_bytes(source.read_bytes() + b"x")
        return copy(source, target)

    monkeypatch.setattr(store, "_copy", changing)
    with pytest.raises(Refused, match=r"model.onnx: changed while it was copied"):
        world.promote()
    assert not [path for path in (store.ROOT / NAME).iterdir() if path.is_dir()]


def test_the_release_contains_the_documents_with_the_approvals(world):
    world.ready()
    world.promote()
    documents = store.channel(NAME, "production") / "documents"
    assert {path.relative_to(documents).as_posix() for path in documents.rglob("*") if path.is_file()} == {
        "README.md",
        "bom.cdx.json",
        "dataset/README.md",
        "dataset/croissant.json",
        "licenses.json",
        "technical_documentation.json",
        "technical_documentation.md",
    }
    card = (documents / "README.md").read_text()
    entries = [entry.id for entry in state.load(day(5)).entries_of(statements.APPROVE)]
    assert all(entry in card for entry in entries)
    assert card.count("approved for production") == 2
    assert world.digest().removeprefix("sha256:") in (documents / "bom.cdx.json").read_text()
