"""People, keys and who decides about them."""

import stat

import pytest
import yaml
from securesystemslib.signer import CryptoSigner

from fineline.errors import InputError, Refused
from fineline.governance import actions, keys, ledger_files, people, policy, state
from fineline.governance.state import State
from tests.governance.conftest import NAME, day


def broken(world, complaint):
    world.write()
    with pytest.raises(InputError, match=complaint):
        people.load()


def test_a_key_under_two_names_is_refused(world):
    world.content["people"]["bob"]["keys"] += world.content["people"]["cho"]["keys"]
    broken(world, "the same key is listed twice, under bob and cho")


def test_a_key_twice_under_one_name_is_refused(world):
    world.content["people"]["bob"]["keys"] *= 2
    broken(world, "the same key is listed twice, under bob and bob")


def test_one_person_under_two_names_is_refused(world):
    world.content["people"]["cho"]["email"] = "BOB@example.com"
    broken(world, "bob and cho have the same e-mail address")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"public": "xyz"}, "`public` is not a valid public key of scheme ed25519"),
        ({"public": "ab"}, "`public` is not a valid public key"),
        ({"scheme": "rsassa-pss-sha256"}, "`public` is not a valid public key of scheme rsassa"),
        ({"valid_from": "yesterday"}, "a UTC time such as"),
        ({"valid_until": day(1)}, "valid_until .* is not after valid_from"),
        ({"vald_until": day(3)}, "vald_until: unknown key; did you mean 'valid_until'?"),
    ],
)
def test_an_invalid_key_is_refused(world, change, complaint):
    world.content["people"]["bob"]["keys"][0] |= change
    broken(world, complaint)


def test_a_duplicate_name_in_the_file_is_refused(world):
    text = people.FILE.read_text()
    people.FILE.write_text(text + text.split("people:\n")[1])
    with pytest.raises(InputError, match="duplicate key 'ada'"):
        people.load()


def test_times_may_be_unquoted(world):
    people.FILE.write_text(people.FILE.read_text().replace("'", ""))
    assert people.load().people["bob"].keys[0].valid_from == day(1)


def test_other_kinds_of_keys_sign_too(world):
    world.signers["bob"] = CryptoSigner.generate_ecdsa()
    world.content["people"]["bob"]["keys"] = [
        {"scheme": "ecdsa-sha2-nistp256", "public": world.public("bob"), "valid_from": day(1)}
    ]
    world.ready()
    world.promote()


def test_a_policy_without_roles_for_an_action_is_refused(world):
    del world.rules["acts"]["revoke"]
    world.write()
    with pytest.raises(InputError, match="`acts` must name the roles that may revoke"):
        policy.load()


class TestValidity:
    """A signer must be in people.yaml, with a key that was valid at that time."""

    def test_an_unknown_key(self, world):
        world.ready()
        stranger = CryptoSigner.generate_ed25519()
        with pytest.raises(Refused, match=r"which was not in people.yaml at that time"):
            actions.decide(NAME, "production", ("bob", stranger), "Yes.", approve=True, now=day(4))

    def test_a_key_of_another_person(self, world):
        world.ready()
        with pytest.raises(Refused, match="signed as bob with a key of ada"):
            actions.decide(NAME, "production", ("bob", world.signers["ada"]), "Yes.", approve=True, now=day(4))

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"valid_until": day(3)}, "with a key that is expired at 2026-03-03"),
            ({"valid_from": day(5)}, "with a key that is not valid before 2026-03-05"),
            ({"revoked": {"at": day(2), "reason": "Lost."}}, "with a key that is revoked at 2026-03-02T12:00:00Z: Lost."),
        ],
    )
    def test_a_key_at_another_time(self, world, change, complaint):
        world.content["people"]["bob"]["keys"][0] |= change
        world.adopt()
        world.attest()
        before = len(ledger_files.read())
        with pytest.raises(Refused, match=complaint):
            world.approve("bob", now=day(4))
        assert len(ledger_files.read()) == before  # nothing was written that would break the ledger

    def test_a_signature_of_a_person_who_left_no_longer_counts(self, world):
        world.ready()
        del world.content["people"]["bob"]
        world.adopt(now=day(4))
        world.approve("ada", now=day(4))
        with pytest.raises(Refused, match=r"bob: .* no longer has that key in people.yaml|bob: approved it for the policy"):
            world.promote(now=day(4))


class TestAdoption:
    """people.yaml and policy.yaml count once governors have signed them."""

    def test_a_change_that_was_not_adopted(self, world):
        world.ready()
        world.rules["channels"]["production"]["approve"]["people"] = 1
        world.write()
        with pytest.raises(Refused, match=r"governance/policy.yaml: differs from what was adopted .* `fineline adopt`"):
            world.promote()

    def test_a_stranger_who_adds_a_key(self, world):
        world.ready()
        world.signers["eve"] = CryptoSigner.generate_ed25519()
        world.content["people"]["eve"] = world.person("eve", ["governor", "approver"])
        world.write()
        with pytest.raises(Refused, match=r"which was not in people.yaml at that time"):
            actions.adopt(world.who("eve"), now=day(4))

    def test_a_person_who_is_not_a_governor(self, world):
        world.ready()
        world.content["people"]["bob"]["roles"].append("governor")
        world.write()
        with pytest.raises(Refused, match="bob cannot govern"):
            actions.adopt(world.who("bob"), now=day(4))

    def test_two_governors_must_agree(self, world):
        world.rules["govern"]["people"] = 2
        world.content["people"]["bob"]["roles"].append("governor")
        world.adopt()
        world.rules["channels"]["production"]["approve"]["people"] = 1
        world.adopt(now=day(2))
        present = State(ledger_files.read(), day(3))
        assert present.missing_governors(people.load(), policy.load()) == 1
        with pytest.raises(Refused, match="differs from what was adopted"):
            state.load(day(3))
        world.adopt("ada", now=day(3))  # the same one again is one
        with pytest.raises(Refused, match="differs from what was adopted"):
            state.load(day(3))
        world.adopt("bob", now=day(3))
        assert state.load(day(3)).present.policy.channels["production"].approve.people == 1

    def test_nothing_new(self, world):
        world.adopt()
        with pytest.raises(InputError, match="are already in force as they are"):
            world.adopt(now=day(2))

    def test_a_ledger_begins_with_a_person_in_people_yaml(self, world):
        world.write()
        with pytest.raises(Refused, match="the first entry must be signed by a person in it"):
            actions.adopt(signer=CryptoSigner.generate_ed25519(), now=day(1))


class TestKeyFiles:
    """Private keys."""

    def test_is_made_for_its_owner_alone_and_signs(self, world, tmp_path_factory):
        file = tmp_path_factory.mktemp("home") / "deep" / "eve.pem"
        public = keys.make(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        world.content["people"]["eve"] = world.person("ada", ["approver"]) | {"email": "eve@example.com"}
        world.content["people"]["eve"]["keys"][0]["public"] = public
        world.write()
        assert keys.signer(str(file), people.load())[0] == "eve"
        with pytest.raises(InputError, match="exists, and a key is never overwritten"):
            keys.make(file)

    def test_with_a_passphrase(self, world, tmp_path_factory, monkeypatch):
        file = tmp_path_factory.mktemp("home") / "eve.pem"
        keys.make(file, "correct horse")
        monkeypatch.delenv(keys.PASSPHRASE, raising=False)
        with pytest.raises(InputError, match="a passphrase is needed; set FINELINE_PASSPHRASE"):
            keys.signer(str(file), people.load())
        monkeypatch.setenv(keys.PASSPHRASE, "wrong")
        with pytest.raises(InputError, match="wrong passphrase, or the file is damaged"):
            keys.signer(str(file), people.load())
        monkeypatch.setenv(keys.PASSPHRASE, "correct horse")
        with pytest.raises(Refused, match=r"this key is not in governance/people.yaml"):
            keys.signer(str(file), people.load())

    def test_never_in_the_project(self, world):
        with pytest.raises(Refused, match="is inside of the project, where a private key may be committed"):
            keys.make(world and people.FILE.parent / "ada.pem")

    def test_that_others_may_read(self, world, tmp_path_factory):
        file = tmp_path_factory.mktemp("home") / "eve.pem"
        keys.make(file)
        file.chmod(0o644)
        with pytest.raises(Refused, match="other users can read it"):
            keys.signer(str(file), people.load())

    def test_none(self, world, monkeypatch):
        monkeypatch.delenv(keys.VARIABLE, raising=False)
        with pytest.raises(InputError, match="no signing key: pass --key FILE or set FINELINE_KEY"):
            keys.signer(None, people.load())
        with pytest.raises(InputError, match="cannot be read"):
            keys.signer("/nowhere/at/all", people.load())

    def test_by_a_uri(self, world, tmp_path_factory):
        """As for a KMS or an HSM: the public key is in people.yaml."""
        file = tmp_path_factory.mktemp("home") / "bob.pem"
        file.write_bytes(world.signers["bob"].private_bytes)
        found, signer = keys.signer(f"file2:{file}", people.load())
        assert (found, signer.public_key.keyid) == ("bob", world.keyid("bob"))
        with pytest.raises(InputError, match=r"nothing:...: this service has no key that is in people.yaml"):
            keys.signer("nothing:at-all", people.load())


def test_the_file_as_it_is_written_can_be_read(world):
    assert yaml.safe_load(people.FILE.read_text())["people"].keys() == people.load().people.keys()
