"""What holds because of the ledger: people and policy in force, and every entry checked against those of its time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pipelines import canonical
from pipelines.errors import Refused
from pipelines.governance import files, ledger, people, policy, statements
from pipelines.governance.ledger import Entry, Ledger
from pipelines.governance.people import People, Signer
from pipelines.governance.policy import Policy

TOLERANCE = timedelta(minutes=5)
"""By which a signer's clock may be ahead of the reader's."""

_ACT_OF = {
    statements.PROVENANCE: "attest",
    statements.TEST_RESULT: "attest",
    statements.PROMOTE: "promote",
    statements.ROLLBACK: "rollback",
    statements.REVOKE: "revoke",
}

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
        self.adoptions: list[Adoption] = []
        self.revocations: list[Revocation] = []
        self._proposed: dict[str, tuple[Adoption, dict[str, Entry]]] = {}
        for entry in ledger.entries:
            self._check_now(entry)
            if entry.kind == statements.ADOPT:
                self._adopt(entry)
                continue
            signer = self._signed(entry, self.in_force(entry))
            act = _ACT_OF.get(entry.kind)
            if act is not None:
                self._allowed(entry, signer, self.in_force(entry).policy.acts[act], act)  # type: ignore[index]
            if entry.kind == statements.REVOKE:
                self._revoke(entry)
        self._check_checkpoints()

    @property
    def present(self) -> Adoption:
        """What is in force now.

        Raises:
            Refused: Nothing was adopted yet.
        """
        if not self.adoptions:
            raise Refused(f"{self.ledger.root}: nothing was adopted yet; `fineline keygen NAME` or `fineline adopt` begins")
        return self.adoptions[-1]

    def in_force(self, entry: Entry) -> Adoption:
        """What was in force for whoever signed an entry: the last adoption that it follows."""
        for adoption in reversed(self.adoptions):
            if self.ledger.follows(entry, adoption.entry):
                return adoption
        raise Refused(f"{self.ledger.place(entry)}: it follows no adoption of people and policy, so nobody may have signed it")

    def of(self, *kinds: str) -> list[Entry]:
        """Entries of these types, in order."""
        return [entry for entry in self.ledger.entries if entry.kind in kinds]

    def void(self, entry: Entry) -> str | None:
        """Why a signature counts no longer, though it was good when it was made; None if it does."""
        for revocation in self.revocations:
            if revocation.kind == "key" and revocation.what == entry.keyid and entry.time >= revocation.since:
                return f"its key was revoked from {revocation.since} on: {revocation.reason}"
        signer = self.present.people.signer(entry.keyid)
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
        before = self.in_force(entry)
        self._allowed(entry, self._signed(entry, before), before.policy.govern.roles, "govern")
        if said.get("replaces") != before.digest:
            raise Refused(f"{place}: it replaces {said.get('replaces')}, but {before.digest} was in force")
        _, signed = self._proposed.setdefault(f"{before.digest} {proposed.digest}", (proposed, {}))
        signed[entry.person] = entry
        if len(signed) < before.policy.govern.people or self.present.digest == proposed.digest:
            return
        if self.present is not before:
            raise Refused(f"{place}: two different adoptions replace {before.digest}; governors must agree on one")
        self.adoptions.append(Adoption(proposed.people, proposed.policy, entry))

    def missing_governors(self, people: People, policy: Policy) -> int:
        """How many more must sign before this people and policy are in force."""
        proposed = canonical.digest({"people": people.content, "policy": policy.content})
        if self.present.digest == proposed:
            return 0
        _, signed = self._proposed.get(f"{self.present.digest} {proposed}", (None, {}))
        return max(0, self.present.policy.govern.people - len(signed))

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


def load(now: str | None = None, root: Path = Path()) -> State:
    """The state of the project at `root`.

    Raises:
        Refused: As `State`, and if people.yaml or policy.yaml was changed and not adopted.
        InputError: One of them is missing or wrong.
    """
    state = State(ledger.read(root / ledger.ROOT), now or files.now())
    in_use = {people.FILE: people.load(root / people.FILE).digest, policy.FILE: policy.load(root / policy.FILE).digest}
    adopted = {people.FILE: state.present.people.digest, policy.FILE: state.present.policy.digest}
    for file, digest in in_use.items():
        if digest != adopted[file]:
            raise Refused(f"{file}: not what was adopted ({adopted[file]}); a governor puts it in force with `fineline adopt`")
    return state


def described(entry: Entry) -> dict[str, Any]:
    """An entry for reports and documents."""
    return {"entry": entry.id, "person": entry.person, "time": entry.time, **entry.said}
