"""Two governors change different things on two branches: neither wins by its time, and both can continue."""

import shutil

import pytest

from fineline.errors import Refused
from fineline.governance import actions, ledger, ledger_files, people, policy, state, statements
from fineline.governance.state import State
from tests.governance.conftest import DAYS, NAME, World, candidate, day

ROLES = {"ada": ["governor", "approver"], "bob": ["governor", "approver"], "cho": ["governor", "releaser"], "dan": ["builder"]}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Three governors, any one of whom may change people and policy."""
    monkeypatch.chdir(tmp_path)
    candidate("1")
    found = World(ROLES)
    found.adopt()
    return found


def on_two_branches(tmp_path, one, other):
    """Do both on separate branches and merge them, as git would."""
    here = ledger.ROOT.resolve()
    shutil.copytree(here, tmp_path / "before")
    one()
    shutil.move(here, tmp_path / "mine")
    shutil.copytree(tmp_path / "before", here)
    other()
    shutil.copytree(tmp_path / "mine", here, dirs_exist_ok=True, ignore=lambda *_: _unchanged(tmp_path))


def _unchanged(tmp_path):
    both = ((file, tmp_path / "before" / file.relative_to(tmp_path / "mine")) for file in (tmp_path / "mine").rglob("*.json"))
    return [mine.name for mine, before in both if before.exists() and before.read_bytes() == mine.read_bytes()]


def needing(world, number, name, now):
    """Adopt a policy in which production needs this many approvals."""
    world.rules["channels"]["production"]["approve"]["people"] = number
    world.adopt(name, now)


def test_nothing_is_in_force_until_a_governor_of_both_decides(world, tmp_path):
    on_two_branches(tmp_path, lambda: needing(world, 1, "ada", day(2)), lambda: needing(world, 3, "bob", day(3)))
    with pytest.raises(Refused, match=r"two different adoptions .* by (ada|bob) at .* `fineline adopt`"):
        state.load(day(4))
    with pytest.raises(Refused, match="two different adoptions"):
        world.attest(now=day(4))
    assert len(State(ledger_files.read(), day(4)).adoptions_in_force) == 2

    needing(world, 2, "cho", day(4))
    present = state.load(day(5))
    assert present.present.policy.channels["production"].approve.people == 2
    assert present.missing_governors(people.load(), policy.load()) == 0
    world.attest(now=day(5))
    with pytest.raises(Refused, match="has 0 of 2 approvals"):
        actions.promote(NAME, "production", world.who("cho"), day(6))


def test_a_governor_of_one_branch_only_decides_nothing(world, tmp_path):
    def bob_goes():
        world.content["people"]["bob"]["roles"] = ["approver"]
        world.adopt("ada", day(2))

    def bob_stays():
        world.content["people"]["bob"]["roles"] = ["governor", "approver"]
        needing(world, 1, "bob", day(3))

    on_two_branches(tmp_path, bob_goes, bob_stays)
    with pytest.raises(Refused, match="bob cannot govern"):
        needing(world, 1, "bob", day(4))
    world.content["people"]["bob"]["roles"] = ["approver"]
    needing(world, 2, "cho", day(4))
    assert state.load(day(5)).present.people.people["bob"].roles == ["approver"]


def test_what_was_signed_on_each_branch_counts_by_the_policy_of_that_branch(world, tmp_path):
    def ada_s():
        needing(world, 1, "ada", day(2))
        world.attest(now=day(2))

    def bob_s():
        needing(world, 3, "bob", day(3))
        world.reject("bob", now=day(3))

    on_two_branches(tmp_path, ada_s, bob_s)
    needing(world, 2, "cho", day(4))
    present = state.load(day(5))
    asked = {
        entry.person: present.in_force(entry).policy.channels["production"].approve.people
        for entry in present.entries_of(statements.PROVENANCE, statements.REJECT)
    }
    assert asked == {"dan": 1, "bob": 3}


def test_the_same_decision_twice_is_one(world, tmp_path):
    on_two_branches(tmp_path, lambda: needing(world, 1, "ada", day(2)), lambda: needing(world, 1, "bob", day(3)))
    assert state.load(day(4)).present.policy.channels["production"].approve.people == 1
    world.attest(now=day(4))


def test_a_signature_of_another_time_does_not_help_to_a_quorum(world):
    world.rules["govern"]["people"] = 2
    world.adopt("ada", day(2))
    needing(world, 1, "ada", day(3))  # one of two: nothing is in force
    needing(world, 3, "bob", day(4))
    world.adopt("cho", day(5))
    needing(world, 2, "bob", day(6))
    world.adopt("cho", day(7))
    needing(world, 1, "bob", day(8))  # ada's signature was for another time
    with pytest.raises(Refused, match="differs from what was adopted"):
        state.load(DAYS[9])
