"""What holds because of the ledger: people and policy in force, and every entry checked against those of its time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from fineline.artifacts import canonical
from fineline.errors import Refused
from fineline.governance import files, ledger, people, policy, statements
from fineline.governance.ledger import Entry, Ledger
from fineline.governance.people import People, Signer
from fineline.governance.policy import Act, Policy

TOLERANCE = timedelta(minutes=5)
"""By which a signer's clock may be ahead of the reader's."""

_ACT_OF = {
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
    """The one that made it complete."""

    @property
    def digest(self) -> str:
        """sha256 over both."""
        return canonical.digest({"people": self.people.content, "policy": self.policy.content})


@dataclass(frozen=True)
class Revocation:
    """Something that may not be used any more."""

    kind: Kind
    what: str
    """A digest, the name of a base or a source part, or the id of a key."""
    reason: str
    since: str
    """Of a key: from when on its signatures count for nothing."""
    entry: Entry


class State:
    """The ledger, replayed.

    Raises:
        Refused: An entry is signed by nobody known, with a key that was not valid then, by somebody who may not do that, or in
            the future; or people.yaml and policy.yaml are not what was adopted.
    """

    def __init__(self, ledger: Ledger, now: str) -> None:
        self.ledger = ledger
        self.now = now
        self._distrusted: list[Revocation] = []
        for _ in range(len(ledger) + 2):  # a revocation may stand behind what it is about, on another branch
            problem = self._replay()
            found = [one for one in self.revocations if one.kind == "key"]
            if found == self._distrusted:
                break
            self._distrusted = found
        else:
            raise Refused(f"{ledger.root}: revocations of keys contradict each other without an end")
        if problem is not None:
            raise problem
        self._check_checkpoints()

    def _replay(self) -> Refused | None:
        """Go through all entries, those left out that a revoked key signed unseen; the first that may not be there."""
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
        self._check_now(entry)
        if entry.kind == statements.ADOPT:
            self._adopt(entry)
            return
        signer = self._signed(entry, self.in_force(entry))
        act = _ACT_OF.get(entry.kind)
        if act is not None:
            self._allowed(entry, signer, self.in_force(entry).policy.acts[act], act)  # type: ignore[index]
        if entry.kind == statements.REVOKE:
            self._revoke(entry)

    def _builds_on_left_out(self, entry: Entry) -> bool:
        """Whether it is a good signature by the people of an adoption that does not count, and so counts for nothing itself.

        Anything else that may not be there is refused: whoever damages a signature must not make an entry disappear.
        """
        place = self.ledger.place(entry)
        for one in self.of(statements.ADOPT):
            if one.id not in self._left_out or not self.ledger.follows(entry, one):
                continue
            signer = files.checked(one.said.get("people"), People, place).signer(entry.keyid)
            if signer is not None and signer.id == entry.person:
                entry.envelope.verify(signer.key.verifier, place)
                return True
        return False

    def _unseen(self, entry: Entry) -> Revocation | None:
        """The revocation of its key by somebody who had not seen the entry.

        Whoever stole a key can sign beside the revocation, with any time: what the revocation does not follow does not count.
        """
        for one in self._distrusted:
            if one.what == entry.keyid and one.entry.id != entry.id and not self.ledger.follows(one.entry, entry):
                return one
        return None

    @property
    def present(self) -> Adoption:
        """What is in force now.

        Raises:
            Refused: Nothing was adopted yet, or two different adoptions stand beside each other.
        """
        return self._only(self.standing, str(self.ledger.root))

    @property
    def standing(self) -> list[Adoption]:
        """What is in force now; several where governors adopted different things on two branches, until they agree on one.

        Raises:
            Refused: Nothing was adopted yet.
        """
        if not self.adoptions:
            raise Refused(f"{self.ledger.root}: nothing was adopted yet; `fineline keygen NAME` or `fineline adopt` begins")
        return self._last_of(self.adoptions)

    def in_force(self, entry: Entry) -> Adoption:
        """What was in force for whoever signed an entry: the last adoption that it follows.

        Raises:
            Refused: It follows none, or two that differ.
        """
        return self._only(self._known_to(entry), self.ledger.place(entry))

    def _known_to(self, entry: Entry) -> list[Adoption]:
        """What was in force for whoever signed an entry."""
        found = self._last_of([one for one in self.adoptions if self.ledger.follows(entry, one.entry)])
        if not found:
            raise Refused(
                f"{self.ledger.place(entry)}: it follows no adoption of people and policy, so nobody may have signed it"
            )
        return found

    def _last_of(self, adoptions: list[Adoption]) -> list[Adoption]:
        """Those that no other one follows, one of each content, by digest."""
        last = {
            one.digest: one for one in adoptions if not any(self.ledger.follows(other.entry, one.entry) for other in adoptions)
        }
        return [last[digest] for digest in sorted(last)]

    def _only(self, standing: list[Adoption], place: str) -> Adoption:
        if len(standing) > 1:
            made = " and ".join(f"by {one.entry.person} at {one.entry.time}" for one in standing)
            raise Refused(
                f"{place}: two different adoptions stand beside each other ({made}); whoever is a governor in both writes"
                " people.yaml and policy.yaml as they are to be, and runs `fineline adopt`; where nobody is, undo the merge"
                " that brought one of them"
            )
        return standing[0]

    def check_may(self, act: Act, keyid: str) -> None:
        """Raise `Refused` if whoever has a key may not do this now: before work that takes minutes, not after."""
        signer = self.present.people.signer(keyid)
        roles = self.present.policy.acts[act]
        if signer is None or not set(roles) & set(signer.person.roles):
            raise Refused(
                f"{signer.id if signer else keyid[:16]} may not {act}: that takes one of the roles {', '.join(roles)}"
            )

    def of(self, *kinds: str) -> list[Entry]:
        """Entries of these types, in order."""
        return [entry for entry in self.ledger.entries if entry.kind in kinds]

    @property
    def moves(self) -> list[Entry]:
        """Promotions and rollbacks, in order, but for those whose key was revoked by somebody who had not seen them."""
        return [entry for entry in self.of(statements.PROMOTE, statements.ROLLBACK) if entry.id not in self._left_out]

    def void(self, entry: Entry, at: Entry | None = None) -> str | None:
        """Why a signature counts no longer, though it was good when it was made; None if it does.

        Args:
            at: An entry by whose signer's knowledge it is asked; now, if left out.
        """
        if (unseen := self._unseen(entry)) is not None:
            return f"its key was revoked by {unseen.entry.person}, who had not seen it: {unseen.reason}"
        if entry.id in self._left_out:
            return "its key counted only by a decision that was left out, for the key of that one was revoked"
        for one in self.revocations:
            known = at is None or self.ledger.follows(at, one.entry)
            if known and one.kind == "key" and one.what == entry.keyid and entry.time >= one.since:
                return f"its key was revoked from {one.since} on: {one.reason}"
        signer = (self.present if at is None else self.in_force(at)).people.signer(entry.keyid)
        if signer is None:
            return f"{entry.person} is not in people.yaml any more with that key"
        if signer.key.revoked is not None and entry.time >= signer.key.revoked.at:
            return f"its key was revoked from {signer.key.revoked.at} on: {signer.key.revoked.reason}"
        return None

    def revoked(self, kind: Kind, what: str) -> Revocation | None:
        """The first revocation of a thing."""
        return next((one for one in self.revocations if (one.kind, one.what) == (kind, what)), None)

    def _check_now(self, entry: Entry) -> None:
        latest = datetime.fromisoformat(self.now) + TOLERANCE
        if datetime.fromisoformat(entry.time) > latest:
            raise Refused(f"{self.ledger.place(entry)}: signed at {entry.time}, which is in the future (it is {self.now})")

    def _signed(self, entry: Entry, by: Adoption) -> Signer:
        """Check the signature against the people of its time."""
        place = self.ledger.place(entry)
        signer = by.people.signer(entry.keyid)
        if signer is None:
            raise Refused(f"{place}: signed with key {entry.keyid[:16]}, which is nobody's in the people.yaml of its time")
        if signer.id != entry.person:
            raise Refused(f"{place}: signed as {entry.person} with a key of {signer.id}")
        if (why := signer.key.invalid_at(entry.time)) is not None:
            raise Refused(f"{place}: signed at {entry.time} by {signer.id} with a key that is {why}")
        for revocation in self.revocations:
            if (revocation.kind, revocation.what) == ("key", entry.keyid) and self.ledger.follows(entry, revocation.entry):
                raise Refused(f"{place}: signed by {signer.id} with a key that was revoked before: {revocation.reason}")
        entry.envelope.verify(signer.key.verifier, place)
        return signer

    def _allowed(self, entry: Entry, signer: Signer, roles: list[str], act: str) -> None:
        if not set(roles) & set(signer.person.roles):
            raise Refused(
                f"{self.ledger.place(entry)}: {signer.id} may not {act}: that takes one of the roles {', '.join(roles)}"
            )

    def _adopt(self, entry: Entry) -> None:
        place = self.ledger.place(entry)
        said = entry.said
        proposed = Adoption(
            files.checked(said.get("people"), People, place), files.checked(said.get("policy"), Policy, place), entry
        )
        if not self.adoptions:
            if said.get("replaces") is not None or entry.statement.predicate.ledger.parents:
                raise Refused(f"{place}: the first entry of a ledger must adopt people and policy, and replace nothing")
            # nobody was there before to agree: whoever verifies trusts this first entry, or compares its id
            self._allowed(entry, self._signed(entry, proposed), proposed.policy.govern.roles, "govern")
            self.adoptions.append(proposed)
            return
        before = self._known_to(entry)
        for one in before:
            self._allowed(entry, self._signed(entry, one), one.policy.govern.roles, "govern")
        if said.get("replaces") != replaced(before):
            raise Refused(f"{place}: it replaces {said.get('replaces')}, but {replaced(before)} was in force")
        signed = self._proposed.setdefault(_proposal(before, proposed.digest), {})
        signed[entry.person] = entry
        if len(signed) >= _quorum(before):
            self.adoptions.append(proposed)

    def missing_governors(self, people: People, policy: Policy) -> int:
        """How many more must sign before this people and policy are in force."""
        before, proposed = self.standing, canonical.digest({"people": people.content, "policy": policy.content})
        if [one.digest for one in before] == [proposed]:
            return 0
        return max(0, _quorum(before) - len(self._proposed.get(_proposal(before, proposed), {})))

    def _revoke(self, entry: Entry) -> None:
        said = entry.said
        self.revocations.append(Revocation(said["kind"], said["what"], said["reason"], said.get("since") or entry.time, entry))

    def _check_checkpoints(self) -> None:
        for checkpoint in self.ledger.checkpoints:
            place = f"{self.ledger.root}/{ledger.CHECKPOINTS}/{checkpoint.keyid[:16]}.json"
            signers = [adoption.people.signer(checkpoint.keyid) for adoption in self.adoptions]
            known = next((signer for signer in signers if signer is not None), None)
            if known is None:
                raise Refused(f"{place}: signed with a key that was never in people.yaml")
            checkpoint.verify(known.key.verifier, place)


def replaced(before: list[Adoption]) -> str | list[str]:
    """What an adoption says that it replaces: the digest of what was in force, or of each of several."""
    digests = [one.digest for one in before]
    return digests[0] if len(digests) == 1 else digests


def _quorum(before: list[Adoption]) -> int:
    return max(one.policy.govern.people for one in before)


def _proposal(before: list[Adoption], digest: str) -> str:
    """What governors sign together: by the entries that it replaces, for people and policy may come back."""
    return " ".join((*(one.entry.id for one in before), digest))


def load(now: str | None = None, root: Path = Path()) -> State:
    """The state of the project at `root`, for whoever is about to sign.

    Raises:
        Refused: As `State`, and if people.yaml or policy.yaml was changed and not adopted.
        InputError: One of them is missing or wrong.
    """
    state = State(ledger.read(root / ledger.ROOT), now or files.now())
    if drafts := not_adopted(state, root):
        raise Refused("\n".join(drafts))
    return state


def not_adopted(state: State, root: Path = Path()) -> list[str]:
    """Which of people.yaml and policy.yaml is not what is in force, in words.

    Raises:
        InputError: One of them is missing or wrong.
    """
    in_use = {people.FILE: people.load(root / people.FILE).digest, policy.FILE: policy.load(root / policy.FILE).digest}
    adopted = {people.FILE: state.present.people.digest, policy.FILE: state.present.policy.digest}
    return [
        f"{file}: not what was adopted ({adopted[file]}); a governor puts it in force with `fineline adopt`"
        for file, digest in in_use.items()
        if digest != adopted[file]
    ]


def described(entry: Entry) -> dict[str, Any]:
    """An entry for reports and documents."""
    return {"entry": entry.id, "person": entry.person, "time": entry.time, **entry.said}
