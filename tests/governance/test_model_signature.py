"""model.sig: the signature of a release for tools that do not know fineline."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fineline.errors import InputError, Refused
from fineline.governance import actions, keys, model_signature, people, revocations, store, verification
from tests.governance.conftest import NAME, candidate, day
from tests.governance.releases import listed, plain, promoted, release_key, signer


@pytest.fixture
def outside(tmp_path_factory):
    """A directory outside of the project."""
    return tmp_path_factory.mktemp("keys")


def payload(release):
    return json.loads(base64.b64decode(json.loads((release / "model.sig").read_text())["dsseEnvelope"]["payload"]))


def test_a_promotion_signs_every_file_of_the_release_with_the_release_key(world, outside):
    release, file = promoted(world, outside)
    bundle = json.loads((release / "model.sig").read_text())
    envelope = bundle["dsseEnvelope"]
    content = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    signed = f"DSSEv1 {len(kind)} {kind} {len(content)} ".encode() + content
    public = load_pem_public_key(file.with_suffix(".pub").read_bytes())
    public.verify(
        base64.b64decode(envelope["signatures"][0]["sig"]), signed, ec.ECDSA(hashes.SHA256())
    )  # by the standard alone
    names = [entry["name"] for entry in payload(release)["predicate"]["resources"]]
    place = release.resolve()
    found = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    assert sorted([*names, "model.sig"]) == found
    assert verification.verify(release, day(5)).release_key == keys.release_signer(str(file), people.load()).public_key.keyid


def test_without_release_keys_a_release_has_no_signature_and_verifies(world):
    world.ready()
    world.promote()
    release = store.channel(NAME, "production")
    assert not (release / "model.sig").exists()
    assert verification.verify(release, day(5)).release_key is None


def test_a_release_that_is_older_than_the_release_key_verifies_and_is_signed_when_it_is_promoted_again(world, outside):
    world.ready()
    world.promote()
    file, public = release_key(outside)
    world.content["release_keys"] = [listed(public, since=5)]
    world.adopt(now=day(5))
    release = store.channel(NAME, "production")
    assert verification.verify(release, day(6)).release_key is None
    world.approve("ada", "staging", day(6))
    actions.promote(NAME, "staging", world.who("cho"), day(7), str(file))
    assert verification.verify(store.channel(NAME, "staging"), day(8)).release_key


def test_a_promotion_without_the_release_key_is_refused_before_anything_is_placed(world, outside, monkeypatch):
    _, public = release_key(outside)
    world.content["release_keys"] = [listed(public)]
    world.ready()
    monkeypatch.delenv(keys.RELEASE_VARIABLE, raising=False)
    with pytest.raises(InputError, match=r"no release key: .*--release-key FILE"):
        world.promote()
    assert not list(store.ROOT.glob("*/*/release.json"))
    other, _ = release_key(outside, "other")
    with pytest.raises(Refused, match="not under `release_keys`"):
        actions.promote(NAME, "production", world.who("cho"), day(4), str(other))


def test_a_release_without_its_signature_is_refused(world, outside):
    release, _ = promoted(world, outside)
    (release / "model.sig").unlink()
    with pytest.raises(Refused, match=r"model.sig: missing"):
        verification.verify(release, day(5))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda bundle: bundle.update(mediaType="application/json"), "not a Sigstore bundle of version 0.3"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"].append({}), "not a Sigstore bundle with one signature"),
        (lambda bundle: bundle["dsseEnvelope"].update(payload="!"), "not a Sigstore bundle with one signature"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="AAAA"), "the signature is not one of key"),
        (lambda bundle: bundle["verificationMaterial"]["publicKey"].update(hint="0" * 64), "not in `release_keys`"),
        (lambda bundle: bundle.pop("verificationMaterial"), "not a Sigstore bundle"),
    ],
)
def test_a_damaged_signature_is_refused(world, outside, edit, message):
    release, _ = promoted(world, outside)
    file = plain(release / "model.sig")
    bundle = json.loads(file.read_text())
    edit(bundle)
    file.write_text(json.dumps(bundle))
    with pytest.raises(Refused, match=message):
        verification.verify(release, day(5))


def test_a_signature_over_other_files_is_refused(world, outside):
    release, file = promoted(world, outside)
    other = outside / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    model_signature.sign(other, NAME, signer(file))
    plain(release / "model.sig").write_bytes((other / "model.sig").read_bytes())
    with pytest.raises(Refused, match=r"config.json: missing, by model.sig|: not signed, by model.sig"):
        verification.verify(release, day(5))


def test_a_revoked_release_key_counts_for_nothing_until_another_signs(world, outside):
    release, file = promoted(world, outside)
    revocations.revoke("key", signer(file).public_key.keyid, world.who("ada"), "Leaked.", now=day(6))
    with pytest.raises(Refused, match=r"not in `release_keys` of people.yaml, or was revoked"):
        verification.verify(release, day(7))
    new, public = release_key(outside, "new")
    world.content["release_keys"].append(listed(public, since=7))
    world.adopt(now=day(7))
    world.attest(now=day(7))
    for person in ("ada", "bob"):
        world.approve(person, now=day(8))
    assert actions.promote(NAME, "production", world.who("cho"), day(9), str(new)) is None  # it was there, and is signed anew
    assert verification.verify(release, day(10)).release_key == signer(new).public_key.keyid


def test_a_release_key_must_be_on_p256_and_not_a_persons(world, outside):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    wide = ec.generate_private_key(ec.SECP384R1()).public_key()
    world.content["release_keys"] = [listed(wide.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())]
    world.write()
    with pytest.raises(InputError, match=r"curve P-256|nistp256"):
        people.load()
    _, public = release_key(outside)
    world.content["release_keys"] = [listed(public)]
    world.content["people"]["ada"]["keys"].append(listed(public))
    world.write()
    with pytest.raises(InputError, match="the same key is listed twice"):
        people.load()


def test_the_same_files_have_the_same_root_digest_under_any_name(tmp_path, outside):
    file, _ = release_key(outside)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("a")
        model_signature.sign(tmp_path / name, name, signer(file))
    assert payload(tmp_path / "one")["subject"][0]["digest"] == payload(tmp_path / "two")["subject"][0]["digest"]


def test_a_candidate_of_another_evaluation_gets_another_signature(world, outside):
    release, file = promoted(world, outside)
    before = payload(release)["subject"][0]["digest"]
    candidate("2")
    world.attest(now=day(6))
    for person in ("ada", "bob"):
        world.approve(person, now=day(7))
    actions.promote(NAME, "production", world.who("cho"), day(8), str(file))
    assert payload(release)["subject"][0]["digest"] != before
