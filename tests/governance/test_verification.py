"""Verifying releases: with fineline, and with hashes and signatures alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fineline.errors import InputError, Refused
from fineline.governance import actions, ledger, ledger_files, revocations, signing, store
from fineline.governance.verification import verify
from tests.governance.conftest import NAME, candidate, change, day


@pytest.fixture
def release(world):
    """A release in production."""
    world.ready()
    world.promote()
    return store.channel(NAME, "production").resolve().relative_to(Path.cwd().resolve())


def test_a_release_that_verifies(world, release):
    found = verify(release, day(5))
    assert (found.candidate, found.adapter, found.verdict) == (world.digest(), NAME, "pass")
    assert [one["person"] for one in found.approved] == ["ada", "bob"]
    assert [(one["channel"], one["person"]) for one in found.promoted] == [("production", "cho")]
    assert found.in_use == ["production"]
    assert found.second_pair_of_eyes
    assert set(found.artifacts) == {"base", "raw", "data", "tokenizer", "adapter", "merged", "exported"}
    assert verify(release, day(5), found.head[0]).head == found.head


def test_a_release_verifies_alone(release, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("auditor") / release.name
    shutil.copytree(release, elsewhere)
    monkeypatch.chdir(elsewhere.parent)
    assert verify(Path(elsewhere.name), day(5)).approved


@pytest.mark.parametrize(
    "name", ["model/model.onnx", "records/reports/gate.json", "records/artifacts/raw/artifact.json", "release.json"]
)
def test_one_byte(release, name):
    file = release / name
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(Refused, match=r"changed|not the record|not the one that cho promoted|its digest does not belong"):
        verify(release, day(5))


def test_a_license_in_release_json_must_be_that_of_the_evidence(release):
    change(release / "release.json", lambda content: content["artifacts"]["base"].update(license="mit"))
    with pytest.raises(Refused, match="owners and licenses are not those of its evidence"):
        verify(release, day(5))


def test_a_file_more_or_less(release):
    (release / "model" / "more.txt").write_text("x")
    with pytest.raises(Refused, match=r"more.txt: not recorded"):
        verify(release, day(5))
    (release / "model" / "more.txt").unlink()
    (release / "model" / "version.json").unlink()
    with pytest.raises(Refused, match=r"version.json: missing"):
        verify(release, day(5))


def test_a_release_under_another_name(release):
    other = release.with_name("a" * 64)
    shutil.copytree(release, other)
    with pytest.raises(Refused, match="so its name is wrong"):
        verify(other, day(5))


def test_a_release_that_is_not_in_the_ledger(world):
    world.ready()
    from fineline.governance import evidence_bundle

    store.place(evidence_bundle.collect(NAME), {})
    with pytest.raises(Refused, match="the ledger has no promotion"):
        verify(store.directory(NAME, world.release()), day(5))


def test_an_entry_that_was_kept_elsewhere_and_is_gone(release):
    with pytest.raises(Refused, match="is gone; the ledger was cut or replaced"):
        verify(release, day(5), f"sha256:{'0' * 64}")


def test_what_was_revoked_since(world, release):
    revocations.revoke("source", "faq", world.who("ada"), "A customer withdrew.", now=day(5))
    with pytest.raises(Refused, match=r"the source faq was withdrawn by ada: A customer withdrew."):
        verify(release, day(6))


def test_an_approval_whose_key_turned_out_to_be_stolen(world, release):
    revocations.revoke("key", world.keyid("bob"), world.who("ada"), "Stolen.", since=day(2), now=day(5))
    with pytest.raises(Refused, match="the approval of bob no longer counts: its key was revoked"):
        verify(release, day(6))


def test_a_directory_that_is_not_a_release(world):
    with pytest.raises(InputError, match=r"release.json: missing"):
        verify(Path("models"), day(5))


def test_three_people_and_two_channels_through_a_year(world):
    """Promote, retrain, promote, revoke, roll back."""
    world.adopt()
    world.attest()
    first = world.release()
    world.approve("ada", "staging", now=day(3))
    world.promote("ada", "staging", now=day(3))
    world.approve("ada", now=day(4))
    world.approve("bob", now=day(4))
    world.promote("cho", now=day(5))

    candidate("2")
    second, model = world.release(), world.digest()
    world.attest(now=day(6))
    world.approve("bob", "staging", now=day(6))
    world.promote("cho", "staging", now=day(7))
    assert (store.current(NAME, "staging"), store.current(NAME, "production")) == (second, first)
    world.approve("ada", now=day(8))
    world.approve("bob", now=day(8))
    entry = world.promote("cho", now=day(9))
    assert entry.predicate["previous"] == first

    revocations.revoke("artifact", model, world.who("bob"), "Tells secrets.", now=day(10))
    with pytest.raises(Refused, match="Tells secrets"):
        world.promote("cho", "production", now=day(11))
    back = actions.rollback(NAME, "production", world.who("cho"), "It was revoked.", now=day(11))
    assert back.predicate["previous"] == second
    assert store.current(NAME, "production") == first
    assert verify(store.directory(NAME, first), day(12)).in_use == ["production"]
    with pytest.raises(Refused, match="Tells secrets"):
        actions.rollback(NAME, "production", world.who("cho"), "Forward again.", second, now=day(12))
    assert store.current(NAME, "production") == first


class TestRollback:
    """Back to what was there, if it still holds."""

    def test_there_is_nothing_to_go_back_to(self, world):
        world.ready()
        with pytest.raises(InputError, match="support was never in production"):
            actions.rollback(NAME, "production", world.who("cho"), "x", now=day(5))
        world.promote()
        with pytest.raises(InputError, match=r"had no another release in production before|had no"):
            actions.rollback(NAME, "production", world.who("cho"), "x", now=day(5))

    def test_the_release_was_damaged(self, world):
        world.ready()
        world.promote()
        first = store.directory(NAME, world.release())
        candidate("2")
        world.attest(now=day(5))
        world.approve("ada", now=day(5))
        world.approve("bob", now=day(5))
        world.promote(now=day(6))
        (first / "model" / "chat_template.jinja").chmod(0o644)
        (first / "model" / "chat_template.jinja").write_text("x")
        with pytest.raises(Refused, match=r"chat_template.jinja: changed"):
            actions.rollback(NAME, "production", world.who("cho"), "x", now=day(7))

    def test_it_takes_its_role_and_a_reason(self, world):
        world.ready()
        world.promote()
        candidate("2")
        world.attest(now=day(5))
        world.approve("ada", now=day(5))
        world.approve("bob", now=day(5))
        world.promote(now=day(6))
        with pytest.raises(InputError, match="a reason is needed"):
            actions.rollback(NAME, "production", world.who("cho"), " ", now=day(7))
        with pytest.raises(Refused, match="bob cannot rollback"):
            actions.rollback(NAME, "production", world.who("bob"), "x", now=day(7))


INDEPENDENT = '''
"""Verifies a release with hashes and signatures alone."""
import base64, hashlib, json, pathlib, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

root = pathlib.Path(sys.argv[1])
ledger = pathlib.Path(sys.argv[2])
record_bytes = (root / "release.json").read_bytes()
record = json.loads(record_bytes)

def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

found = {p.relative_to(root).as_posix(): sha256(p) for p in root.rglob("*") if p.is_file() and p.name != "release.json"}
assert found == {entry["path"]: entry["sha256"] for entry in record["files"]}, "files"
artifact = json.loads((root / "records/artifacts/exported/artifact.json").read_text())
digest = "sha256:" + hashlib.sha256(canonical(artifact["files"])).hexdigest()
assert digest == artifact["digest"] == record["artifacts"]["exported"]["digest"], "digest"
assert {entry["path"]: entry["sha256"] for entry in artifact["files"]} == {
    path.removeprefix("model/"): value for path, value in found.items() if path.startswith("model/")
}, "model"

entries = []
for path in sorted(ledger.glob("*.json")):
    envelope = json.loads(path.read_text())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    pae = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    (signature,) = envelope["signatures"]
    entries.append((json.loads(payload), signature, pae))
people = entries[0][0]["predicate"]["people"]["people"]
keys = {}
for name, person in people.items():
    for key in person["keys"]:
        described = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": key["public"]}}
        keyid = hashlib.sha256(canonical(described)).hexdigest()
        keys[keyid] = (name, Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public"])))
approved, promoted = set(), None
for statement, signature, pae in entries:
    name, key = keys[signature["keyid"]]
    key.verify(base64.b64decode(signature["sig"]), pae)
    assert name == statement["predicate"]["ledger"]["person"]
    subjects = {"sha256:" + subject["digest"]["sha256"] for subject in statement["subject"]}
    if digest in subjects and statement["predicateType"] == "urn:fineline:governance:approve:v1":
        assert statement["predicate"]["evidence"] == record["evidence"]
        approved.add(name)
    if digest in subjects and statement["predicateType"] == "urn:fineline:governance:promote:v1":
        promoted = statement["predicate"]
for name, value in record["evidence"]["reports"].items():
    assert value == "sha256:" + sha256(root / "records/reports" / f"{name}.json"), name
assert promoted["release"]["record"] == "sha256:" + hashlib.sha256(record_bytes).hexdigest()
assert promoted["approved_by"] == sorted(approved)
assert not [name for name in sys.modules if name.startswith(("fineline", "securesystemslib"))]
print(digest, ",".join(sorted(approved)))
'''


def independent(release):
    command = [sys.executable, "-I", "-c", INDEPENDENT, str(release), str(ledger.ROOT)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_release_can_be_verified_without_fineline(world, release):
    answer = independent(release)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == [world.digest(), "ada,bob"]
    change(release / "records" / "reports" / "gate.json", lambda content: content.update(data="x"))
    assert "AssertionError: files" in independent(release).stderr


def test_it_is_the_same_as_json(release):
    from dataclasses import asdict

    json.dumps(asdict(verify(release, day(5))) | {"release": str(release)})


def test_a_promotion_that_was_signed_without_the_approvals_it_takes(world):
    """A releaser's key can sign such an entry; verification shows that it was not right."""
    from fineline.governance import evidence_bundle, statements

    world.adopt()
    world.attest()
    world.approve("bob")
    found = evidence_bundle.collect(NAME)
    record = store.place(found, {})
    predicate = {
        "adapter": NAME,
        "channel": "production",
        "release": {"name": found.release, "candidate": found.digest, "record": record},
        "previous": None,
        "policy": "x",
        "approved_by": ["ada", "bob"],
        "second_pair_of_eyes": True,
    }
    where = store.directory(NAME, found.release)
    signing.sign(statements.PROMOTE, {where.as_posix(): found.digest}, predicate, world.who("cho"), day(4))
    store.point(NAME, "production", found.release)
    with pytest.raises(Refused, match=r"promoted to production by cho at .* with 1 of 2 approvals that counted then"):
        verify(where, day(5))


def test_the_same_model_judged_again_is_another_release(world, release):
    from fineline.project import layout

    change(layout.reports(NAME) / "training.json", lambda content: content.update(train_loss=0.4))
    world.attest(now=day(5))
    for name in ("ada", "bob"):
        world.approve(name, now=day(5))
    entry = world.promote(now=day(6))
    again = store.directory(NAME, world.release())
    assert again != release
    assert verify(again, day(7)).candidate == verify(release, day(7)).candidate == world.digest()
    assert (verify(again, day(7)).in_use, verify(release, day(7)).in_use) == (["production"], [])
    assert f"sha256:{release.name}" == entry.predicate["previous"]
    back = actions.rollback(NAME, "production", world.who("cho"), "The old reports will do.", release.name[:12], now=day(8))
    assert back.predicate["release"]["name"] == entry.predicate["previous"]
    assert verify(release, day(9)).in_use == ["production"]


def test_simultaneous_actions_of_one_person_are_one_line(world):
    """Two adapters may be promoted at the same time by the same key."""
    from concurrent.futures import ThreadPoolExecutor

    world.ready()
    with ThreadPoolExecutor() as pool:
        for made in [pool.submit(world.reject, "bob", now=day(4)) for _ in range(6)]:
            made.result()
    assert len([entry for entry in ledger_files.read().entries if entry.person == "bob"]) == 7


def test_an_empty_directory_is_not_part_of_a_release(world):
    world.ready()
    world.promote()
    where = store.directory(NAME, world.release())
    (where / "model").chmod(0o755)
    (where / "model" / "more").mkdir()
    with pytest.raises(Refused, match="model/more: not recorded"):
        verify(where, day(5))


def test_a_release_still_verifies_while_a_governor_edits(world):
    """What is in force is in the ledger; a file that differs is reported."""
    world.ready()
    world.promote()
    world.rules["channels"]["production"]["approve"]["people"] = 1
    world.write()
    found = verify(store.directory(NAME, world.release()), day(5))
    assert len(found.drafts) == 1
    assert found.drafts[0].startswith("governance/policy.yaml: differs from what was adopted")
