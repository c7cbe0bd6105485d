"""The ledger: what was signed, by whom, and after what. One envelope per file, append only.

Every entry names its parents: the entries before it that had no successor yet. Histories that two people wrote at the same
time merge like branches in git, without a conflict, and the next entry joins them. An entry also names its signer's previous
entry, so that a signer cannot show different histories to different people. A checkpoint for each key, signed with every entry,
names all ends of the ledger at that time, so entries cannot be cut off the end.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.errors import Refused
from fineline.governance import files, statements
from fineline.governance.statements import ACTIONS, Envelope, Link, Statement, statement

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

ROOT = files.ROOT / files.LEDGER
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
    def action(self) -> str:
        """The action of its signer, in a word."""
        return ACTIONS[self.kind]

    @property
    def link(self) -> Link:
        """Its place in the ledger."""
        return self.statement.predicate.ledger

    @property
    def time(self) -> str:
        """When it was signed, by its signer's clock."""
        return self.link.time

    @property
    def person(self) -> str:
        """Who signed it."""
        return self.link.person

    @property
    def keyid(self) -> str:
        """The key that signed it."""
        return self.envelope.keyid

    @property
    def predicate(self) -> dict[str, Any]:
        """The predicate's fields, without its place in the ledger."""
        return self.statement.predicate.fields

    @property
    def subjects(self) -> dict[str, str]:
        """Name -> digest of what it is about."""
        return {subject.name: f"sha256:{subject.digest.sha256}" for subject in self.statement.subject}

    @property
    def file_name(self) -> str:
        """Its only valid file name: the time, so that listings are in order, and the identity."""
        return f"{self.time.replace('-', '').replace(':', '')}-{self.id.removeprefix('sha256:')[:16]}.json"


class Ledger:
    """All entries, each after its parents.

    Raises:
        Refused: Entries were edited, renamed, deleted, cut off or reordered, or one signer signed two histories. Signatures and
            permissions are not checked here (see `state`).
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
        """The last checkpoint of each key."""
        return list(self._checkpoints.values())

    @cached_property
    def heads(self) -> list[str]:
        """Entries without a successor, sorted."""
        followed = {parent for entry in self.entries for parent in entry.link.parents}
        return sorted(entry.id for entry in self.entries if entry.id not in followed)

    def follows(self, later: Entry, earlier: Entry) -> bool:
        """True if the signer of `later` had `earlier` in the ledger."""
        return later.id != earlier.id and bool(self._behind[later.id] >> self._places[earlier.id] & 1)

    def since(self, heads: Iterable[str]) -> list[Entry]:
        """Return the entries that a reader who knows these ends has not seen, in order."""
        known = [entry for head in heads if (entry := self._by_id.get(head)) is not None]
        return [entry for entry in self.entries if not any(entry is one or self.follows(one, entry) for one in known)]

    def place(self, entry: Entry) -> str:
        """Return the file of an entry, for messages."""
        return str(self.root / entry.file_name)

    def lacks_checkpoint(self, keyid: str) -> bool:
        """True if a key has signed entries and no checkpoint."""
        return keyid in self._last and keyid not in self._checkpoints

    def next_link(self, keyid: str, person: str, time: str) -> dict[str, Any]:
        """Return the place of a signer's next entry.

        Raises:
            Refused: The clock is behind the ledger's.
        """
        for head in self.heads:
            if time < self._by_id[head].time:
                raise Refused(
                    f"this machine's clock shows {time}, but the ledger has an entry of {self._by_id[head].time}; set the clock"
                )
        before = self._last.get(keyid)
        return {
            "parents": self.heads,
            "number": before.link.number + 1 if before else 1,
            "previous": before.id if before else None,
            "time": time,
            "person": person,
        }

    def _in_order(self) -> Iterator[Entry]:
        """Yield entries parents first, parallel ones by time. Also fills in what is behind each."""
        self._places: dict[str, int] = {}
        self._behind: dict[str, int] = {}
        waiting = sorted(self._by_id.values(), key=lambda entry: (entry.time, entry.id))
        while waiting:
            left = []
            for entry in waiting:
                if any(parent not in self._behind for parent in entry.link.parents):
                    left.append(entry)
                    continue
                self._check_time(entry)
                place = self._places[entry.id] = len(self._places)
                behind = 1 << place
                for parent in entry.link.parents:
                    behind |= self._behind[parent]
                self._behind[entry.id] = behind
                yield entry
            if len(left) == len(waiting):
                lost = [one for one in left[0].link.parents if one not in self._by_id]
                raise Refused(f"{self.place(left[0])}: the entry before it is missing: {', '.join(lost)}; restore it from git")
            waiting = left

    def _check_time(self, entry: Entry) -> None:
        for parent in entry.link.parents:
            before = self._by_id[parent]
            if entry.time < before.time:
                raise Refused(
                    f"{self.place(entry)}: signed at {entry.time}, but after an entry of {before.time}: a clock was set back"
                )

    def _check_signers(self) -> None:
        """Raise `Refused` unless each signer's entries are one line."""
        last: dict[str, Entry] = {}
        for entry in self.entries:
            before = last.get(entry.keyid)
            expected = (before.link.number + 1, before.id) if before else (1, None)
            if (entry.link.number, entry.link.previous) != expected or (before and not self.follows(entry, before)):
                raise Refused(
                    f"{self.place(entry)}: this is entry {entry.link.number} of {entry.person} after {entry.link.previous}, but"
                    f" number {expected[0]} after {expected[1]} was expected: an entry is missing, or two histories were signed"
                )
            last[entry.keyid] = entry
        self._last = last

    def _check_ends(self) -> None:
        """Raise `Refused` unless everything that a checkpoint names is there."""
        for keyid, last in self._last.items():
            if keyid not in self._checkpoints and last.link.number > 1:
                raise Refused(
                    f"{self.root}/{CHECKPOINTS}/{keyid[:16]}.json: missing, although {last.person} has signed entries;"
                    " restore it from git"
                )
        for keyid, checkpoint in self._checkpoints.items():
            place = f"{self.root}/{CHECKPOINTS}/{keyid[:16]}.json"
            seen = _checkpoint(checkpoint, place)
            lost = [head for head in seen["heads"] if head not in self._by_id]
            if lost:
                raise Refused(f"{place}: names {', '.join(lost)}, which is missing: the ledger was cut; restore it from git")
            behind = 0
            for head in seen["heads"]:
                behind |= self._behind[head]
            if behind.bit_count() != seen["entries"]:
                raise Refused(f"{place}: counts {seen['entries']} entries, but {behind.bit_count()} of them are there")


def signed(
    ledger: Ledger, kind: str, subjects: dict[str, str], predicate: dict[str, Any], who: "tuple[str, Signer]", time: str
) -> Entry:
    """Return a statement as the next entry of a ledger, not written yet.

    Args:
        kind: Type of the predicate.
        who: Person, by the name in people.yaml, and the key.

    Raises:
        Refused: The clock is behind the ledger's.
    """
    person, signer = who
    content = statement(kind, subjects, predicate, ledger.next_link(signer.public_key.keyid, person, time))
    envelope = statements.sign(content, statements.STATEMENT, signer)
    identity = f"sha256:{hashlib.sha256(envelope.payload).hexdigest()}"
    return Entry(identity, envelope, Statement.model_validate(envelope.content))


def _checkpoint(envelope: Envelope, place: str) -> dict[str, Any]:
    try:
        content = envelope.content
    except ValueError as error:
        raise Refused(f"{place}: not valid JSON: {error}") from error
    form = isinstance(content, dict) and set(content) == {"heads", "entries"} and isinstance(content["heads"], list)
    if not form or not isinstance(content["entries"], int):
        raise Refused(f"{place}: not a checkpoint")
    return dict(content)
