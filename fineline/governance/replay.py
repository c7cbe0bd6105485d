"""Replaying the ledger: every entry is checked against the people and the policy of its time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from fineline.artifacts import canonical
from fineline.errors import Refused
from fineline.governance import files, ledger, statements
from fineline.governance.ledger import Entry, Ledger
from fineline.governance.people import People, Signer
from fineline.governance.policy import Policy

TOLERANCE = timedelta(minutes=5)
"""By which a signer's clock may be ahead of the reader's."""

_ACTION_OF = {
    statements.PROVENANCE: "attest",
    statements.TEST_RESULT: "attest",
    statements.PROMOTE: "promote",
    statements.ROLLBACK: "rollback",
    statements.REVOKE: "revoke",
}
_DECISIONS = (statements.ADOPT, statements.PROMOTE, statements.ROLLBACK)

Kind = Literal["artifact", "base", "source", "key"]


@dataclass(frozen=True)
class Adoption:
    """People and policy that governors have put in force."""

    people: People
    policy: Policy
    entry: Entry
    """The entry that completed it."""

    @property
    def digest(self) -> str:
        """sha256 over both."""
        return canonical.digest({"people": self.people.content, "policy": self.policy.content})


@dataclass(frozen=True)
class Revocation:
    """Something that may no longer be used."""

    kind: Kind
    what: str
    """A digest, the name of a base or a source part, or the id of a key."""
    reason: str
    since: str
    """Of a key: the time from which its signatures do not count."""
    entry: Entry


class Replay:
    """The ledger, replayed.

    A revocation may come after what it is about, on another branch, so the ledger is replayed until the revocations of keys no
    longer change.

    Raises:
        Refused: An entry is signed with an unknown key, with a key that was not valid then, by a person without the role it
            takes, or in the future.
    """

    def __init__(self, ledger: Ledger, now: str) -> None:
        self.ledger = ledger
        self.now = now
        self._distrusted: list[Revocation] = []
        for _ in range(len(ledger) + 2):
            problem = self._replay()
            found = [one for one in self.revocations if one.kind == "key"]
            if found == self._distrusted:
                break
            self._distrusted = found
        else:
            raise Refused(f"{ledger.root}: the revocations of keys contradict each other")
        if problem is not None:
            raise problem
        self._check_checkpoints()

    def in_force(self, entry: Entry) -> Adoption:
        """Return people and policy that were in force for the signer of an entry: the last adoption that it follows.

        Raises:
            Refused: It follows none, or two that differ.
        """
        return self._only(self._known_to(entry), self.ledger.place(entry))

    def entries_of(self, *kinds: str) -> list[Entry]:
        """Return the entries of these types, in order."""
        return [entry for entry in self.ledger.entries if entry.kind in kinds]

    def _replay(self) -> Refused | None:
        """Take all entries, except those that a revoked key signed unseen. Return the first problem."""
        self.adoptions: list[Adoption] = []
        self.revocations: list[Revocation] = []
        self._proposed: dict[str, dict[str, Entry]] = {}
        self._left_out: set[str] = set()
        problem: Refused | None = None
        for entry in self.ledger.entries:
            if entry.kind in _DECISIONS and self._unseen(entry) is not None:
                self._left_out.add(entry.id)
                continue
            try:
                self._take(entry)
            except Refused as error:
                if self._builds_on_left_out(entry):
                    self._left_out.add(entry.id)
                else:
                    problem = problem or error
        return problem

    def _take(self, entry: Entry) -> None:
        latest = datetime.fromisoformat(self.now) + TOLERANCE
        if datetime.fromisoformat(entry.time) > latest:
            raise Refused(f"{self.ledger.place(entry)}: signed at {entry.time}, which is in the future (it is {self.now})")
        if entry.kind == statements.ADOPT:
            self._adopt(entry)
            return
        signer = self._signed(entry, self.in_force(entry))
        action = _ACTION_OF.get(entry.kind)
        if action is not None:
            self._allowed(entry, signer, self.in_force(entry).policy.acts[action], action)  # type: ignore[index]
        if entry.kind == statements.REVOKE:
            fields = entry.predicate
            since = fields.get("since") or entry.time
            self.revocations.append(Revocation(fields["kind"], fields["what"], fields["reason"], since, entry))

    def _builds_on_left_out(self, entry: Entry) -> bool:
        """True if the entry is signed validly by the people of an adoption that does not count, and so does not count itself.

        Every other invalid entry is refused: damaging a signature must not make an entry disappear.
        """
        place = self.ledger.place(entry)
        for one in self.entries_of(statements.ADOPT):
            if one.id not in self._left_out or not self.ledger.follows(entry, one):
                continue
            signer = files.checked(one.predicate.get("people"), People, place).signer(entry.keyid)
            if signer is not None and signer.id == entry.person:
                entry.envelope.verify(signer.key.verifier, place)
                return True
        return False

    def _unseen(self, entry: Entry) -> Revocation | None:
        """Return the revocation of the entry's key by a person who had not seen the entry.

        A stolen key can sign next to the revocation, with any time: what the revocation does not follow does not count.
        """
        for one in self._distrusted:
            if one.what == entry.keyid and one.entry.id != entry.id and not self.ledger.follows(one.entry, entry):
                return one
        return None

    def _known_to(self, entry: Entry) -> list[Adoption]:
        found = self._last_of([one for one in self.adoptions if self.ledger.follows(entry, one.entry)])
        if not found:
            raise Refused(
                f"{self.ledger.place(entry)}: it follows no adoption of people and policy, so no signature on it can count"
            )
        return found

    def _last_of(self, adoptions: list[Adoption]) -> list[Adoption]:
        """Return the adoptions without a later one, one of each content, by digest."""
        last = {
            one.digest: one for one in adoptions if not any(self.ledger.follows(other.entry, one.entry) for other in adoptions)
        }
        return [last[digest] for digest in sorted(last)]

    def _only(self, adoptions: list[Adoption], place: str) -> Adoption:
        if len(adoptions) > 1:
            made = " and ".join(f"by {one.entry.person} at {one.entry.time}" for one in adoptions)
            raise Refused(
                f"{place}: two different adoptions are in force on two branches ({made}); a person who is a governor in both"
                " writes people.yaml and policy.yaml as they are to be and runs `fineline adopt`; without such a person, undo"
                " the merge that brought one of them"
            )
        return adoptions[0]

    def _signed(self, entry: Entry, by: Adoption) -> Signer:
        """Check the signature against the people of its time, and return the signer."""
        place = self.ledger.place(entry)
        signer = by.people.signer(entry.keyid)
        if signer is None:
            raise Refused(f"{place}: signed with key {entry.keyid[:16]}, which was not in people.yaml at that time")
        if signer.id != entry.person:
            raise Refused(f"{place}: signed as {entry.person} with a key of {signer.id}")
        if (why := signer.key.invalid_at(entry.time)) is not None:
            raise Refused(f"{place}: signed at {entry.time} by {signer.id} with a key that is {why}")
        for revocation in self.revocations:
            if (revocation.kind, revocation.what) == ("key", entry.keyid) and self.ledger.follows(entry, revocation.entry):
                raise Refused(f"{place}: signed by {signer.id} with a key that was revoked before: {revocation.reason}")
        entry.envelope.verify(signer.key.verifier, place)
        return signer

    def _allowed(self, entry: Entry, signer: Signer, roles: list[str], action: str) -> None:
        if not set(roles) & set(signer.person.roles):
            raise Refused(f"{self.ledger.place(entry)}: {not_allowed(signer.id, action, roles)}")

    def _adopt(self, entry: Entry) -> None:
        place = self.ledger.place(entry)
        fields = entry.predicate
        proposed = Adoption(
            files.checked(fields.get("people"), People, place), files.checked(fields.get("policy"), Policy, place), entry
        )
        if not self.adoptions:
            if fields.get("replaces") is not None or entry.link.parents:
                raise Refused(f"{place}: the first entry of a ledger must adopt people and policy, and replace nothing")
            # No governor was there before to agree: a reader trusts this first entry, or compares its id.
            self._allowed(entry, self._signed(entry, proposed), proposed.policy.govern.roles, "govern")
            self.adoptions.append(proposed)
            return
        before = self._known_to(entry)
        for one in before:
            self._allowed(entry, self._signed(entry, one), one.policy.govern.roles, "govern")
        if fields.get("replaces") != replaced(before):
            raise Refused(f"{place}: it replaces {fields.get('replaces')}, but {replaced(before)} was in force")
        agreed = self._proposed.setdefault(proposal(before, proposed.digest), {})
        agreed[entry.person] = entry
        if len(agreed) >= quorum(before):
            self.adoptions.append(proposed)

    def _check_checkpoints(self) -> None:
        for checkpoint in self.ledger.checkpoints:
            place = f"{self.ledger.root}/{ledger.CHECKPOINTS}/{checkpoint.keyid[:16]}.json"
            signers = [adoption.people.signer(checkpoint.keyid) for adoption in self.adoptions]
            known = next((signer for signer in signers if signer is not None), None)
            if known is None:
                raise Refused(f"{place}: signed with a key that was never in people.yaml")
            checkpoint.verify(known.key.verifier, place)


def not_allowed(person: str, action: str, roles: list[str]) -> str:
    """Return the sentence for a person who has none of the roles that an action takes."""
    return f"{person} cannot {action}: this takes one of the roles {', '.join(roles)}"


def replaced(before: list[Adoption]) -> str | list[str]:
    """Return what an adoption replaces: the digest of what was in force, or of each of several."""
    digests = [one.digest for one in before]
    return digests[0] if len(digests) == 1 else digests


def quorum(before: list[Adoption]) -> int:
    """Return how many governors must agree to replace these adoptions."""
    return max(one.policy.govern.people for one in before)


def proposal(before: list[Adoption], digest: str) -> str:
    """Return the key of a proposal. It includes the entries to be replaced: the same people and policy may return later."""
    return " ".join((*(one.entry.id for one in before), digest))
