"""Governance: speed of verifying a release against `sha256sum` on the same files, and time for a long ledger.

`python benchmarks/governance.py [GIGABYTES]`; needs that much room in the temporary directory, twice.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fineline.governance import ledger, ledger_files, state, statements, store
from fineline.governance.verification import verify
from tests.governance import conftest as project

ENTRIES = 1_000
ROUNDS = 3  # the best one counts
CHUNK = 2**20


def main() -> None:
    """Print both figures."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        release(gigabytes)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        long_ledger()


def release(gigabytes: float) -> None:
    """A release of this size: promoted, then verified."""
    network = project.network

    def large(directory: Path, *arguments: str) -> None:
        network(directory, *arguments)
        with (directory / "more.data").open("wb") as stream:
            block = os.urandom(CHUNK)
            for number in range(int(gigabytes * 1024)):
                stream.write(number.to_bytes(8, "little") + block[8:])

    project.network = large
    project.candidate("1")
    world = project.World(project.ROLES)
    world.ready()
    started = time.perf_counter()
    world.promote()
    placed = time.perf_counter() - started
    where = store.directory(project.NAME, world.release())
    files = [str(path) for path in where.rglob("*") if path.is_file()]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(["sha256sum", *files], check=True, stdout=subprocess.DEVNULL)
        theirs.append(time.perf_counter() - started)
        started = time.perf_counter()
        verify(where, project.day(5))
        ours.append(time.perf_counter() - started)
    size = sum(Path(file).stat().st_size for file in files) / 1e9
    print(f"a release of {size:.2f} GB: placed in {placed:.1f} s (verified, copied, verified again)")
    took, theirs_took = min(ours), min(theirs)
    print(f"verified in {took:.2f} s, {size / took:.2f} GB/s; sha256sum {theirs_took:.2f} s; ratio {theirs_took / took:.2f}")


def long_ledger() -> None:
    """Entries by three people, one after another, read and verified from disk."""
    project.candidate("1")
    world = project.World(project.ROLES)
    world.adopt()
    book = ledger_files.read()
    predicate = {"role": "exported", "adapter": "x", "channel": "production", "reason": "x", "evidence": {"a": "b" * 2000}}
    entries, last = list(book.entries), {}
    for number in range(ENTRIES):
        name = ("bob", "cho", "dan")[number % 3]
        made = ledger.signed(
            _Growing(entries, last), statements.REJECT, {"x": f"sha256:{'a' * 64}"}, predicate, world.who(name), project.day(2)
        )
        entries.append(made)
        last[made.keyid] = made
        (ledger.ROOT / made.file_name).write_text(made.envelope.text())
    for name in ("bob", "cho", "dan"):
        content = {"heads": [entries[-1].id], "entries": len(entries)}
        checkpoint = statements.sign(content, statements.CHECKPOINT, world.signers[name])
        (ledger.ROOT / ledger.CHECKPOINTS / f"{world.keyid(name)[:16]}.json").write_text(checkpoint.text())
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        found = state.load(project.day(3))
        took.append(time.perf_counter() - started)
    assert len(found.ledger) == ENTRIES + 1
    print(f"a ledger of {len(found.ledger):,} entries: read and verified in {min(took):.2f} s")


class _Growing:
    """The place of the next entry, found without reading the whole ledger again."""

    def __init__(self, entries, last):
        self.entries, self.last = entries, last

    def next_link(self, keyid, person, time):
        """Return the same as `Ledger.next_link`."""
        before = self.last.get(keyid)
        number = before.link.number + 1 if before else 1
        link = {"number": number, "previous": before.id if before else None, "time": time, "person": person}
        return {"parents": [self.entries[-1].id], **link}


if __name__ == "__main__":
    main()
