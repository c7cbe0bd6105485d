"""The ledger: what was signed, by whom, and after what. One envelope a file, append only.

Every entry names the entries before it that nothing had followed yet (its parents), so histories that two people wrote at once
merge like branches in git, without a conflict, and the next entry joins them. It also names its signer's entry before, so that
nobody can tell two people different histories. A checkpoint for each key, signed with every entry, names all of the ledger's
ends at that time, so entries cannot be cut off the end.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from securesystemslib.signer import Signer

from fineline.artifacts import validation
from fineline.errors import Refused
from fineline.governance import envelopes, files
from fineline.governance.envelopes import Envelope
from fineline.governance.statements import ACTS, TYPES, Statement, statement
from fineline.project.layout import SCRATCH

ROOT = files.ROOT / "ledger"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Entry:
    """One signed statement."""

    id: str
    """sha256 of the payload."""
    envelope: Envelope
    statement: Statement

    @property
    def kind(self) -> str:
        """The type of its predicate."""
        return self.statement.predicateType

    @property
    def act(self) -> str:
        """What its signer did, in a word."""
        return ACTS[self.kind]

    @property
    def time(self) -> str:
        """When it was signed, by its signer's clock."""
        return self.statement.predicate.ledger.time

    @property
    def person(self) -> str:
        """Who signed it."""
        return self.statement.predicate.ledger.person

    @property
    def keyid(self) -> str:
        """With which key."""
        return self.envelope.keyid

    @property
    def said(self) -> dict[str, Any]:
        """What it states."""
        return self.statement.predicate.said

    @property
    def subjects(self) -> dict[str, str]:
        """Name -> digest of what it is about."""
        return {subject.name: f"sha256:{subject.digest.sha256}" for subject in self.statement.subject}

    @property
    def file_name(self) -> str:
        """Its only possible name: the time, so that a listing is in order, and the identity."""
        return f"{self.time.replace('-', '').replace(':', '')}-{self.id.removeprefix('sha256:')[:16]}.json"


class Ledger:
    """All entries, each after its parents.

    Raises:
        Refused: Entries were edited, renamed, deleted, cut off, put in another order, or one signer told two histories. Who may
            sign what is not looked at here, but that the signature's key is the one that it names must be (see `state`).
    """

    def __init__(self, entries: Iterable[Entry], checkpoints: Iterable[Envelope] = (), root: Path = ROOT) -> None:
        self.root = root
        self._by_id = {entry.id: entry for entry in entries}
        self._checkpoints = {checkpoint.keyid: checkpoint for checkpoint in checkpoints}
        self.entries = list(self._in_order())
        self._check_signers()
        self._check_ends()

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def checkpoints(self) -> list[Envelope]:
        """The last one of each key."""
        return list(self._checkpoints.values())

    @cached_property
    def heads(self) -> list[str]:
        """Entries that nothing follows, sorted."""
        followed = {parent for entry in self.entries for parent in entry.statement.predicate.ledger.parents}
        return sorted(entry.id for entry in self.entries if entry.id not in followed)

    def follows(self, later: Entry, earlier: Entry) -> bool:
        """Whether an entry was signed by somebody who had the other before him."""
        return later.id != earlier.id and bool(self._behind[later.id] >> self._places[earlier.id] & 1)

    def since(self, heads: Iterable[str]) -> list[Entry]:
        """Entries that somebody who knew these ends has not seen, in order."""
        known = [entry for head in heads if (entry := self._by_id.get(head)) is not None]
        return [entry for entry in self.entries if not any(entry is one or self.follows(one, entry) for one in known)]

    def place(self, entry: Entry) -> str:
        """Its file, for messages."""
        return str(self.root / entry.file_name)

    def lacks_checkpoint(self, keyid: str) -> bool:
        """Whether a key has signed entries and no checkpoint."""
        return keyid in self._last and keyid not in self._checkpoints

    def _in_order(self) -> Iterator[Entry]:
        """Parents first; what stands side by side by time. Also fills in what is behind each."""
        self._places: dict[str, int] = {}
        self._behind: dict[str, int] = {}
        waiting = sorted(self._by_id.values(), key=lambda entry: (entry.time, entry.id))
        while waiting:
            left = []
            for entry in waiting:
                parents = entry.statement.predicate.ledger.parents
                if any(parent not in self._behind for parent in parents):
                    left.append(entry)
                    continue
                self._check_time(entry)
                place = self._places[entry.id] = len(self._places)
                behind = 1 << place
                for parent in parents:
                    behind |= self._behind[parent]
                self._behind[entry.id] = behind
                yield entry
            if len(left) == len(waiting):
                entry = left[0]
                lost = [one for one in entry.statement.predicate.ledger.parents if one not in self._by_id]
                raise Refused(f"{self.place(entry)}: an entry before it is missing: {', '.join(lost)}; restore it from git")
            waiting = left

    def _check_time(self, entry: Entry) -> None:
        for parent in entry.statement.predicate.ledger.parents:
            before = self._by_id[parent]
            if entry.time < before.time:
                raise Refused(
                    f"{self.place(entry)}: signed at {entry.time}, but after an entry of {before.time}: a clock was set back"
                )

    def _check_signers(self) -> None:
        """Each signer's entries are one line."""
        last: dict[str, Entry] = {}
        for entry in self.entries:
            link = entry.statement.predicate.ledger
            before = last.get(entry.keyid)
            expected = (before.statement.predicate.ledger.number + 1, before.id) if before else (1, None)
            if (link.number, link.previous) != expected or (before and not self.follows(entry, before)):
                raise Refused(
                    f"{self.place(entry)}: it is entry {link.number} of {entry.person} after {link.previous}, but number"
                    f" {expected[0]} after {expected[1]} would follow: an entry is missing, or two histories were signed"
                )
            last[entry.keyid] = entry
        self._last = last

    def _check_ends(self) -> None:
        """Whatever a checkpoint has seen is still there."""
        for keyid, last in self._last.items():
            if keyid not in self._checkpoints and last.statement.predicate.ledger.number > 1:
                raise Refused(
                    f"{self.root}/{CHECKPOINTS}/{keyid[:16]}.json: missing, although {last.person} has signed entries"
                )
        for keyid, checkpoint in self._checkpoints.items():
            place = f"{self.root}/{CHECKPOINTS}/{keyid[:16]}.json"
            seen = _checkpoint(checkpoint, place)
            lost = [head for head in seen["heads"] if head not in self._by_id]
            if lost:
                raise Refused(
                    f"{place}: it has seen {', '.join(lost)}, which is missing: the ledger was cut; restore it from git"
                )
            behind = 0
            for head in seen["heads"]:
                behind |= self._behind[head]
            if behind.bit_count() != seen["entries"]:
                raise Refused(f"{place}: it has seen {seen['entries']} entries, and {behind.bit_count()} of them are there")

    def next_link(self, keyid: str, person: str, time: str) -> dict[str, Any]:
        """Where the next entry of a signer stands.

        Raises:
            Refused: The clock is behind the ledger's.
        """
        for head in self.heads:
            if time < self._by_id[head].time:
                raise Refused(
                    f"by this machine's clock it is {time}, but the ledger has an entry of {self._by_id[head].time}; set it"
                )
        before = self._last.get(keyid)
        return {
            "parents": self.heads,
            "number": before.statement.predicate.ledger.number + 1 if before else 1,
            "previous": before.id if before else None,
            "time": time,
            "person": person,
        }


def read(root: Path = ROOT) -> Ledger:
    """The ledger of a directory; without one it is empty.

    Raises:
        Refused: Something lies there that is no entry, or see `Ledger`.
    """
    checkpoints = []  # before the entries: somebody may be signing, and an entry is written before its checkpoint
    for file in _files(root / CHECKPOINTS):
        envelope = envelopes.parse(file.read_bytes(), envelopes.CHECKPOINT, str(file))
        if file.name != f"{envelope.keyid[:16]}.json":
            raise Refused(f"{file}: this checkpoint is of key {envelope.keyid[:16]}, so its name is wrong")
        checkpoints.append(envelope)
    entries = [entry(file.read_bytes(), file) for file in _files(root)]
    return Ledger(entries, checkpoints, root)


def entry(text: bytes, file: Path) -> Entry:
    """An entry as a file holds it.

    Raises:
        Refused: It is no statement in an envelope, or the file has another name than its content gives it.
    """
    envelope = envelopes.parse(text, envelopes.STATEMENT, str(file))
    try:
        content = Statement.model_validate(envelope.content)
    except ValidationError as error:
        problems = validation.explain(error, f"{file}: not a statement of this ledger", Statement)
        raise Refused("\n".join(problems)) from error
    except ValueError as error:
        raise Refused(f"{file}: not valid JSON: {error}") from error
    if content.predicateType not in TYPES:
        raise Refused(f"{file}: unknown predicate type {content.predicateType!r}; accepted: {', '.join(TYPES)}")
    found = Entry(f"sha256:{hashlib.sha256(envelope.payload).hexdigest()}", envelope, content)
    if file.name != found.file_name:
        raise Refused(f"{file}: by its content its name must be {found.file_name}; it was edited or renamed")
    return found


def signed(
    ledger: Ledger, kind: str, subjects: dict[str, str], said: dict[str, Any], who: tuple[str, Signer], time: str
) -> Entry:
    """A statement as the next entry of a ledger, not written down yet.

    Args:
        kind: Type of the predicate.
        who: Person, by the name in people.yaml, and the key.

    Raises:
        Refused: The clock is behind the ledger's.
    """
    person, signer = who
    content = statement(kind, subjects, said, ledger.next_link(signer.public_key.keyid, person, time))
    envelope = envelopes.sign(content, envelopes.STATEMENT, signer)
    identity = f"sha256:{hashlib.sha256(envelope.payload).hexdigest()}"
    return Entry(identity, envelope, Statement.model_validate(envelope.content))


@contextmanager
def locked() -> Iterator[None]:
    """Within the context nobody else on this machine signs."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with (SCRATCH / "ledger.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def completed(ledger: Ledger, signer: Signer) -> Ledger:
    """The ledger with the checkpoint that a signer lacks: somebody was killed right after the first entry."""
    _write_checkpoint(ledger, signer)
    return read(ledger.root)


def append(ledger: Ledger, made: Entry, signer: Signer) -> Entry:
    """Put an entry at the end of a ledger, on disk. Killed at any moment, it leaves the entry or none."""
    _write(ledger.root / made.file_name, made.envelope)
    _write_checkpoint(Ledger([*ledger.entries, made], ledger.checkpoints, ledger.root), signer)
    return made


def _write_checkpoint(ledger: Ledger, signer: Signer) -> None:
    content = {"heads": ledger.heads, "entries": len(ledger)}
    keyid = signer.public_key.keyid
    _write(ledger.root / CHECKPOINTS / f"{keyid[:16]}.json", envelopes.sign(content, envelopes.CHECKPOINT, signer))


def _checkpoint(envelope: Envelope, place: str) -> dict[str, Any]:
    try:
        content = envelope.content
    except ValueError as error:
        raise Refused(f"{place}: not valid JSON: {error}") from error
    form = isinstance(content, dict) and set(content) == {"heads", "entries"} and isinstance(content["heads"], list)
    if not form or not isinstance(content["entries"], int):
        raise Refused(f"{place}: not a checkpoint")
    return dict(content)


def _files(directory: Path) -> list[Path]:
    if not directory.exists():
        return []
    if not directory.is_dir():
        raise Refused(f"{directory}: a directory is needed here, and something else stands in its place")
    found = sorted(path for path in directory.iterdir() if path.name != CHECKPOINTS)
    for path in found:
        if path.is_symlink() or not path.is_file() or path.suffix != ".json":
            raise Refused(f"{path}: a ledger holds its entries only, as plain .json files; take it away")
    return found


def _write(file: Path, envelope: Envelope) -> None:
    """In one step, and on the disk before anything else happens. A draft that was left behind is in nobody's way."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = SCRATCH / "building" / f"{file.name}.{os.getpid()}"
    draft.parent.mkdir(parents=True, exist_ok=True)
    with draft.open("w", encoding="utf-8") as stream:
        stream.write(envelope.text())
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
