"""People and policy in force by the ledger, and which signatures count."""

from pathlib import Path

from fineline.artifacts import canonical
from fineline.errors import Refused
from fineline.governance import files, ledger, ledger_files, people, policy, statements
from fineline.governance.ledger import Entry
from fineline.governance.people import People
from fineline.governance.policy import Action, Policy
from fineline.governance.replay import Adoption, Kind, Replay, Revocation, not_allowed, proposal, quorum, replaced

__all__ = ["Adoption", "Kind", "Revocation", "State", "load", "not_adopted", "replaced"]


class State(Replay):
    """The replayed ledger, and questions about it."""

    @property
    def present(self) -> Adoption:
        """People and policy in force now.

        Raises:
            Refused: Nothing was adopted yet, or two different adoptions are in force on two branches.
        """
        return self._only(self.adoptions_in_force, str(self.ledger.root))

    @property
    def adoptions_in_force(self) -> list[Adoption]:
        """The adoptions in force now: several where governors adopted different files on two branches, until they agree.

        Raises:
            Refused: Nothing was adopted yet.
        """
        if not self.adoptions:
            raise Refused(f"{self.ledger.root}: nothing was adopted yet; start with `fineline keygen NAME` or `fineline adopt`")
        return self._last_of(self.adoptions)

    @property
    def moves(self) -> list[Entry]:
        """Promotions and rollbacks, in order, except those whose key was revoked by a person who had not seen them."""
        return [entry for entry in self.entries_of(statements.PROMOTE, statements.ROLLBACK) if entry.id not in self._left_out]

    def moves_in(self, adapter: str, channel: str) -> list[Entry]:
        """Return the promotions and rollbacks of an adapter in a channel, in order."""
        wanted = (adapter, channel)
        return [entry for entry in self.moves if (entry.predicate["adapter"], entry.predicate["channel"]) == wanted]

    def current(self, adapter: str, channel: str) -> Entry | None:
        """Return the entry that put the present release into a channel; None if the channel is empty."""
        return next(reversed(self.moves_in(adapter, channel)), None)

    def check_may(self, action: Action, keyid: str) -> None:
        """Raise `Refused` if the owner of a key may not do this now: before work that takes minutes."""
        signer = self.present.people.signer(keyid)
        roles = self.present.policy.acts[action]
        if signer is None or not set(roles) & set(signer.person.roles):
            raise Refused(not_allowed(signer.id if signer else keyid[:16], action, roles))

    def void(self, entry: Entry, at: Entry | None = None) -> str | None:
        """Return why a signature that was valid when it was made no longer counts; None if it does.

        Args:
            at: Answer by what the signer of this entry knew; by what is known now if not given.
        """
        if (unseen := self._unseen(entry)) is not None:
            return f"its key was revoked by {unseen.entry.person}, who had not seen it: {unseen.reason}"
        if entry.id in self._left_out:
            return "its key was valid only by an adoption that does not count, because the key of that adoption was revoked"
        for one in self.revocations:
            known = at is None or self.ledger.follows(at, one.entry)
            if known and one.kind == "key" and one.what == entry.keyid and entry.time >= one.since:
                return f"its key was revoked from {one.since} on: {one.reason}"
        signer = (self.present if at is None else self.in_force(at)).people.signer(entry.keyid)
        if signer is None:
            return f"{entry.person} no longer has that key in people.yaml"
        if signer.key.revoked is not None and entry.time >= signer.key.revoked.at:
            return f"its key was revoked from {signer.key.revoked.at} on: {signer.key.revoked.reason}"
        return None

    def revoked(self, kind: Kind, what: str) -> Revocation | None:
        """Return the first revocation of something."""
        return next((one for one in self.revocations if (one.kind, one.what) == (kind, what)), None)

    def missing_governors(self, people: People, policy: Policy) -> int:
        """Return how many more governors must sign before this people and policy are in force."""
        before, proposed = self.adoptions_in_force, canonical.digest({"people": people.content, "policy": policy.content})
        if [one.digest for one in before] == [proposed]:
            return 0
        return max(0, quorum(before) - len(self._proposed.get(proposal(before, proposed), {})))


def load(now: str | None = None, root: Path = Path()) -> State:
    """Return the state of the project at `root`, for signing.

    Raises:
        Refused: As `State`, and if people.yaml or policy.yaml was changed and not adopted.
        InputError: One of them is missing or wrong.
    """
    state = State(ledger_files.read(root / ledger.ROOT), now or files.now())
    if drafts := not_adopted(state, root):
        raise Refused("\n".join(drafts))
    return state


def not_adopted(state: State, root: Path = Path()) -> list[str]:
    """Return a sentence for each of people.yaml and policy.yaml that is not what is in force.

    Raises:
        InputError: One of them is missing or wrong.
    """
    in_use = {people.FILE: people.load(root / people.FILE).digest, policy.FILE: policy.load(root / policy.FILE).digest}
    adopted = {people.FILE: state.present.people.digest, policy.FILE: state.present.policy.digest}
    return [
        f"{file}: differs from what was adopted ({adopted[file]}); a governor puts it in force with `fineline adopt`"
        for file, digest in in_use.items()
        if digest != adopted[file]
    ]
