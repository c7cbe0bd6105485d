"""Attacks with a stolen key that signs next to its revocation, and with a link that was moved."""

import hashlib
import json
import shutil

import pytest

from fineline.errors import InputError, Refused
from fineline.governance import (
    actions,
    bootstrap,
    evidence_bundle,
    ledger,
    ledger_files,
    people,
    policy,
    requirements,
    revocations,
    signing,
    state,
    statements,
    store,
)
from fineline.governance.ledger import Entry
from fineline.governance.statements import Statement, statement
from fineline.governance.verification import verify
from tests.governance.conftest import NAME, candidate, day


def next_to(world, name, entry, kind, subjects, predicate, time):
    """Write an entry with a stolen key that does not follow `entry`."""
    book = ledger_files.read()
    mine = [one for one in book.entries if one.keyid == world.keyid(name)]
    link = {
        "parents": entry.statement.predicate.ledger.parents,
        "number": len(mine) + 1,
        "previous": mine[-1].id if mine else None,
        "time": time,
        "person": name,
    }
    envelope = statements.sign(statement(kind, subjects, predicate, link), statements.STATEMENT, world.signers[name])
    identity = f"sha256:{hashlib.sha256(envelope.payload).hexdigest()}"
    forged = Entry(identity, envelope, Statement.model_validate(envelope.content))
    ledger_files.write(ledger.ROOT / forged.file_name, envelope)
    return forged


def promotion(world, release):
    """Return subjects and predicate of a promotion to production."""
    record = store.verified(store.directory(NAME, release))
    predicate = {
        "adapter": NAME,
        "channel": "production",
        "release": {"name": release, "candidate": world.digest(), "record": record["digest"]},
        "previous": None,
        "policy": state.load(day(9)).present.policy.digest,
        "approved_by": ["ada", "bob"],
        "second_pair_of_eyes": True,
    }
    return {store.directory(NAME, release).as_posix(): world.digest()}, predicate


@pytest.mark.parametrize("time", [day(6), day(4)], ids=["afterwards", "with the clock set back"])
def test_a_stolen_governor_s_key_puts_no_people_in_force(world, time):
    world.rules["acts"]["revoke"] = ["approver"]
    world.adopt()
    before = state.load(day(3)).present.digest
    revoked = revocations.revoke("key", world.keyid("ada"), world.who("bob"), "Stolen.", now=day(5))
    world.content["people"]["dan"]["roles"] = ["governor", "approver", "releaser"]
    world.write()
    taken, rules = people.load(), policy.load()
    predicate = {"people": taken.content, "policy": rules.content, "replaces": before}
    subjects = {str(people.FILE): taken.digest, str(policy.FILE): rules.digest}
    next_to(world, "ada", revoked, statements.ADOPT, subjects, predicate, time)
    with pytest.raises(Refused, match="differs from what was adopted"):
        state.load(day(7))
    world.content["people"]["dan"]["roles"] = ["builder"]
    world.write()
    assert state.load(day(7)).present.digest == before


@pytest.mark.parametrize("time", [day(6), day(4)], ids=["afterwards", "with the clock set back"])
def test_a_stolen_releaser_s_key_promotes_nothing(world, time):
    world.ready()
    world.promote("ada", channel="production", now=day(4))
    release = world.release()
    revoked = revocations.revoke("key", world.keyid("cho"), world.who("ada"), "Stolen.", now=day(5))
    candidate("2")
    forged = next_to(world, "cho", revoked, statements.PROMOTE, *promotion_of(world, release), time)
    present = state.load(day(7))
    assert forged.id not in {entry.id for entry in present.moves}
    assert "who had not seen it" in present.void(forged)
    assert present.current(NAME, "production").person == "ada"


def test_a_damaged_signature_makes_no_entry_disappear(world):
    world.rules["acts"]["revoke"] = ["approver"]
    world.adopt()
    before = state.load(day(3)).present.digest
    revoked = revocations.revoke("key", world.keyid("ada"), world.who("bob"), "Stolen.", now=day(5))
    taken, rules = people.load(), policy.load()
    predicate = {"people": taken.content, "policy": rules.content, "replaces": before}
    next_to(world, "ada", revoked, statements.ADOPT, {str(people.FILE): taken.digest}, predicate, day(6))
    withdrawn = revocations.revoke("source", "faq", world.who("bob"), "Consent withdrawn.", now=day(7))
    assert state.load(day(8)).revoked("source", "faq") is not None
    file = ledger.ROOT / withdrawn.file_name
    content = json.loads(file.read_text())
    signature = content["signatures"][0]["sig"]
    content["signatures"][0]["sig"] = ("B" if signature[0] == "A" else "A") + signature[1:]
    file.write_text(json.dumps(content))
    with pytest.raises(Refused):
        state.load(day(8))


def promotion_of(world, release):
    subjects, predicate = promotion(world, release)
    return subjects, predicate | {"previous": release}


def test_a_promotion_in_spite_of_a_rejection_does_not_verify(world):
    world.ready()
    world.promote("ada", now=day(4))
    release = world.release()
    found = store.directory(NAME, release)
    rejected = world.reject("cho", now=day(5))
    assert rejected.action == "rejected"
    subjects, predicate = promotion(world, release)
    signing.sign(statements.PROMOTE, subjects, predicate, world.who("cho"), day(6))
    with pytest.raises(Refused, match="although cho had rejected it"):
        verify(found, day(7))


def test_the_project_s_ledger_counts_in_any_working_directory(world, monkeypatch):
    world.ready()
    world.promote()
    release = store.directory(NAME, world.release()).resolve()
    revocations.revoke("source", "faq", world.who("ada"), "Consent withdrawn.", now=day(5))
    (release.parents[2] / "docs").mkdir()
    monkeypatch.chdir(release.parents[2] / "docs")
    with pytest.raises(Refused, match="the source faq was withdrawn"):
        verify(release, day(6))
    monkeypatch.chdir(release.parents[2])
    shutil.move("governance/ledger", "elsewhere")
    with pytest.raises(Refused, match="governance/ledger: missing"):
        verify(release, day(6))


def test_a_link_that_was_moved_does_not_verify(world):
    world.ready()
    world.approve("ada", channel="staging")
    world.promote(channel="staging")
    link = store.channel(NAME, "production")
    link.symlink_to(store.channel(NAME, "staging").readlink())
    with pytest.raises(Refused, match="but nothing was signed into production"):
        verify(link, day(6))
    assert verify(store.channel(NAME, "staging"), day(6)).in_use == ["staging"]


def test_approvals_for_another_channel_are_not_shown_as_those_of_this_one(world):
    world.ready()
    world.approve("cho", channel="staging")
    world.promote()
    assert [one["person"] for one in verify(store.channel(NAME, "production"), day(6)).approved] == ["ada", "bob"]


@pytest.mark.parametrize(
    ("kind", "what", "options", "complaint"),
    [
        ("key", "abc", {}, "at least 12 digits"),
        ("key", "a" * 64, {}, "none in people.yaml begins like this"),
        ("artifact", "f69471324fa3", {}, "none in the ledger begins like this"),
        ("key", "KEY", {"since": "yesterday"}, "--since yesterday: expected a time in UTC"),
        ("base", "tiny", {"since": day(1)}, "--since: applies to keys only"),
    ],
)
def test_a_revocation_that_would_revoke_nothing_is_not_signed(world, kind, what, options, complaint):
    world.adopt()
    what = world.keyid("bob") if what == "KEY" else what
    before = sorted(ledger.ROOT.rglob("*"))
    with pytest.raises(InputError, match=complaint):
        revocations.revoke(kind, what, world.who("ada"), "x", now=day(3), **options)
    assert sorted(ledger.ROOT.rglob("*")) == before


def test_the_beginning_of_an_id_is_accepted(world):
    world.adopt()
    entry = revocations.revoke("key", world.keyid("bob")[:16], world.who("ada"), "Lost.", now=day(3))
    assert entry.predicate["what"] == world.keyid("bob")


def test_what_a_revoked_builder_signed_can_be_signed_again(world):
    world.content["people"]["cho"]["roles"] = ["builder", "releaser"]
    world.adopt()
    world.attest("dan")
    revocations.revoke("key", world.keyid("dan"), world.who("ada"), "Stolen.", since=day(1), now=day(3))
    assert len(world.attest("cho", now=day(4))) > 1
    assert not list(_unattested(day(5)))


def _unattested(time):

    return requirements.not_attested(state.load(time), evidence_bundle.collect(NAME))


@pytest.mark.parametrize("name", ["../../elsewhere", "", "A b", "/etc"])
def test_names_that_lead_elsewhere_are_refused(world, name, tmp_path):
    world.adopt()
    with pytest.raises(InputError, match="is not a valid adapter name"):
        actions.rollback(name, "staging", world.who("ada"), "x", now=day(3))
    with pytest.raises(InputError, match="is not a valid name"):
        bootstrap.check_person(name, "a@example.com")


def test_no_second_ledger_begins_below_the_first(world, monkeypatch, tmp_path):
    world.adopt()
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    with pytest.raises(InputError, match="is inside of the project"):
        bootstrap.check_person("sub", "s@example.com")
