"""Promotion: everything is verified, and each attack is refused with its reason."""

import json
import shutil
from pathlib import Path

import pytest

from fineline import artifacts
from fineline.artifacts import reports
from fineline.errors import InputError, Refused
from fineline.governance import actions, approvals, ledger, requirements, revocations, signing, state, statements, store
from fineline.governance.verification import verify
from fineline.project import layout
from tests.governance.conftest import DAYS, NAME, candidate, change, configure, day, made, network, tensors, write_reports


def refused(world, *words, now=DAYS[4], channel="production"):
    """Check that promotion is refused with all of these words; return the message."""
    before = sorted(path.name for path in ledger.ROOT.iterdir())
    with pytest.raises(Refused) as why:
        world.promote(now=now, channel=channel)
    for word in words:
        assert word in str(why.value)
    assert sorted(path.name for path in ledger.ROOT.iterdir()) == before
    assert store.current(NAME, channel) is None
    return str(why.value)


def test_when_every_requirement_is_met_the_channel_moves(world):
    world.ready()
    entry = world.promote()
    assert entry.predicate["approved_by"] == ["ada", "bob"]
    assert entry.predicate["second_pair_of_eyes"] is True
    assert store.current(NAME, "production") == world.release() == entry.predicate["release"]["name"]
    served = store.channel(NAME, "production") / "model"
    assert (served / "model.onnx").read_bytes() == (layout.export(NAME, "quantized") / "model.onnx").read_bytes()
    assert world.promote(now=day(5)) is None
    assert len(state.load(day(5)).entries_of(statements.PROMOTE)) == 1


def test_without_signatures_nothing_is_promoted(world):
    world.adopt()
    refused(
        world,
        "no attestation of how adapter",
        "no attestation of how sha256:",
        "has 0 of 2 approvals by different people in one of the roles approver",
    )


def test_one_approval_too_few(world):
    world.adopt()
    world.attest()
    world.approve("ada")
    refused(world, "has 1 of 2 approvals")


def test_the_author_cannot_approve(world):
    world.adopt()
    world.attest("ada")
    world.approve("ada")
    world.approve("bob")
    refused(world, "has 1 of 2 approvals", "ada: made the candidate and cannot approve it")


def test_two_approvals_of_one_person_are_one(world):
    world.adopt()
    world.attest()
    world.approve("bob")
    world.approve("bob")
    refused(world, "has 1 of 2 approvals")


def test_two_keys_of_one_person_are_one_person(world):
    from securesystemslib.signer import CryptoSigner

    second = CryptoSigner.generate_ed25519()
    keys = world.content["people"]["bob"]["keys"]
    keys.append({"public": second.public_key.keyval["public"], "valid_from": day(1)})
    world.adopt()
    world.attest()
    world.approve("bob")
    actions.decide(NAME, "production", ("bob", second), "Again.", approve=True, now=day(3))
    refused(world, "has 1 of 2 approvals")


def test_an_approval_without_the_role_does_not_count(world):
    world.adopt()
    world.attest()
    world.approve("ada")
    world.approve("dan")
    refused(world, "dan: has none of the roles approver")


def test_an_approval_for_another_channel_does_not_count(world):
    world.adopt()
    world.attest()
    world.approve("ada", "staging")
    world.approve("bob", "staging")
    refused(world, "approved it for the channel staging")
    world.promote(channel="staging")


def test_an_approval_of_another_stage_does_not_count(world):
    """Two people have looked at the merged model; what ships is the exported one."""
    world.adopt()
    world.attest()
    for name in ("ada", "bob"):
        actions.decide_upstream(layout.merged(NAME), world.who(name), "Looks good.", approve=True, now=day(3))
    refused(world, "has 0 of 2 approvals")


def test_an_approval_under_another_policy_does_not_count(world):
    world.ready()
    world.rules["channels"]["production"]["approve"]["max_age_days"] = 29
    world.adopt(now=day(4))
    refused(world, "ada: approved it for the policy sha256:")


def test_an_approval_that_is_too_old_does_not_count(world):
    world.ready()
    refused(world, "more than 30 days ago", now="2026-04-20T12:00:00Z")


def test_an_approval_of_another_candidate_does_not_count(world):
    world.ready()
    candidate("2")
    signing.attest(NAME, world.who("dan"), day(4))
    refused(world, "has 0 of 2 approvals", "approved another artifact, sha256:", now=day(5))


def test_a_report_that_was_replaced_by_a_better_one_is_noticed(world):
    candidate("1", verdict="fail")
    world.ready()
    refused(world, "the verdict is 'fail'; this channel accepts pass")
    candidate("1", verdict="pass")
    message = refused(world, "changed since dan attested it: reports.candidate, reports.gate, verdict")
    assert "approved it with other evidence: reports.candidate, reports.gate, verdict" in message


@pytest.mark.parametrize("report", ["gate", "curation", "training", "export", "merge"])
def test_any_report_that_was_touched_is_noticed(world, report):
    world.ready()
    change(layout.reports(NAME) / f"{report}.json", lambda content: content.update(more=1))
    refused(world, f"changed since dan attested it: reports.{report}")


@pytest.mark.parametrize("role", ["base", "raw", "data", "adapter", "merged", "exported"])
@pytest.mark.parametrize("attack", ["changed", "removed", "added", "renamed", "linked"])
def test_one_byte_anywhere_in_the_chain(world, role, attack):
    world.ready()
    directory = {
        "base": layout.base("tiny"),
        "raw": layout.raw(NAME),
        "data": layout.curated(NAME),
        "adapter": layout.adapter(NAME),
        "merged": layout.merged(NAME),
        "exported": layout.export(NAME, "quantized"),
    }[role]
    file = next(path for path in sorted(directory.iterdir()) if path.name != "artifact.json")
    match attack:
        case "changed":
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.write_bytes(bytes(content))
        case "removed":
            file.unlink()
        case "added":
            (directory / "more.txt").write_text("x")
        case "renamed":
            file.rename(directory / f"other{file.suffix}")
        case "linked":
            file.rename(directory.parent / "aside")
            file.symlink_to((directory.parent / "aside").resolve())
    words = {"changed": ": changed", "removed": ": missing|no files", "added": ": not recorded", "renamed": ": not recorded"}
    with pytest.raises((Refused, InputError), match=words.get(attack, "a link, whose target may change")):
        world.promote()
    assert store.current(NAME, "production") is None


def test_a_base_that_was_made_again_after_the_evaluation(world):
    world.ready()
    made(layout.base("tiny"), "base", lambda at: tensors(at, 7.0))
    with pytest.raises(Refused, match=r"inputs\.\w+ is sha256:.*, but .* is sha256:"):
        world.promote()


def test_data_that_were_made_again_after_the_evaluation(world):
    world.ready()

    def other(at):
        for file in layout.JUDGING_ROWS:
            (at / file).write_text("9")

    made(layout.curated(NAME), "training-data", other, {"raw": layout.raw(NAME), "tokenizer": layout.tokenizer("tiny")})
    with pytest.raises(Refused, match=r"inputs\.\w+ is sha256:.*, but .* is sha256:"):
        world.promote()


def test_another_chat_template_is_another_candidate(world):
    world.ready()
    candidate("1", template="{{ messages }} and more")
    signing.attest(NAME, world.who("dan"), day(4))
    refused(world, "has 0 of 2 approvals", now=day(5))


def test_merged_weights_that_are_not_base_plus_adapter(world):
    world.ready()
    change(layout.reports(NAME) / "merge.json", lambda content: content.update(passed=False))
    with pytest.raises(Refused, match="the merged weights are not base plus adapter"):
        world.promote()


def test_a_merged_model_that_was_put_in_the_place_of_the_checked_one(world):
    world.ready()
    base, adapter, merged = layout.base("tiny"), layout.adapter(NAME), layout.merged(NAME)
    other = made(merged, "merged-model", lambda at: tensors(at, 666.0), {"base": base, "adapter": adapter})

    def export(at):
        network(at)
        (at / "chat_template.jinja").write_text("{{ messages }}")

    shipped = made(layout.export(NAME, "quantized"), "exported-model", export, {"merged": merged})
    change(
        layout.reports(NAME) / "candidate.json",
        lambda c: (c["merged"].update(digest=other), c["candidate"].update(digest=shipped)),
    )
    with pytest.raises(Refused, match=r"merge.json: digest is sha256:.*, but models/merged/support is"):
        world.promote()


def test_another_license_in_params_yaml_invalidates_approvals(world):
    world.ready()
    configure(license="mit", base_license="mit")
    message = refused(world, "changed since dan attested it: ownership.adapter, ownership.base")
    assert "ada: approved it with other evidence: ownership.adapter" in message


def test_another_owner_in_params_yaml_invalidates_approvals(world):
    world.ready()
    configure(owner="new@example.com")
    refused(world, "changed since dan attested it: ownership.adapter, ownership.data", "has 0 of 2 approvals")


def test_an_adapter_that_is_not_in_params_yaml_has_no_license(world):
    world.ready()
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(f"  {NAME}:", "  other:"))
    with pytest.raises(InputError, match="there is no adapter 'support'"):
        world.promote()


def test_reports_with_the_digest_of_all_curated_data_are_accepted(world):
    digest = artifacts.read(layout.curated(NAME)).digest
    change(layout.reports(NAME) / "gate.json", lambda content: content.update(data=digest))
    change(layout.reports(NAME) / "plan.json", lambda content: content.update(data=digest))
    world.ready()
    world.promote()


def test_curation_with_the_tokenizer_of_another_base(world):
    made(layout.tokenizer("tiny"), "tokenizer", lambda at: (at / "config.json").write_text("{}"))
    raw, tokenizer = layout.raw(NAME), layout.tokenizer("tiny")
    other = {"raw": raw, "tokenizer": tokenizer}
    kept = {file: (layout.curated(NAME) / file).read_text() for file in (*layout.JUDGING_ROWS, "README.md", "croissant.json")}
    made(layout.curated(NAME), "training-data", lambda at: [(at / name).write_text(text) for name, text in kept.items()], other)
    world.adopt()
    with pytest.raises(Refused, match=r"models/tokenizers/tiny: config.json is not as in the base models/bases/tiny"):
        world.attest()


def test_an_export_whose_parity_failed(world):
    world.ready()
    change(layout.reports(NAME) / "export.json", lambda content: content["parity"].update(passed=False))
    with pytest.raises(Refused, match="does not compute what the merged model computes"):
        world.promote()


def test_a_rejection_outweighs_any_number_of_approvals(world):
    world.ready()
    world.reject("cho")
    world.approve("dan")
    refused(world, "rejected by cho at 2026-03-03T12:00:00Z: Talks nonsense.")


@pytest.mark.parametrize(
    ("kind", "what", "words"),
    [
        ("base", "tiny", "the base tiny was revoked by bob: Backdoor."),
        ("source", "faq", "was withdrawn by bob: Backdoor."),
        ("exported", None, "exported sha256:"),
        ("data", None, "data sha256:"),
    ],
)
def test_what_was_revoked_is_not_promoted(world, kind, what, words):
    world.ready()
    if what is None:
        directory = {"exported": layout.export(NAME, "quantized"), "data": layout.curated(NAME)}[kind]
        kind, what = "artifact", reports.read(directory / "artifact.json")["digest"]
    revocations.revoke(kind, what, world.who("bob"), "Backdoor.", now=day(4))
    refused(world, words, now=day(5))


def test_a_key_that_was_revoked_after_the_approval(world):
    world.ready()
    revocations.revoke("key", world.keyid("bob"), world.who("ada"), "Laptop stolen.", since=day(2), now=day(4))
    refused(world, "bob: its key was revoked from 2026-03-02T12:00:00Z on: Laptop stolen.", now=day(5))


def test_what_a_key_signed_before_it_was_lost_still_counts(world):
    world.ready()
    revocations.revoke("key", world.keyid("bob"), world.who("ada"), "New laptop.", now=day(4))
    world.promote(now=day(5))
    with pytest.raises(Refused, match="signed by bob with a key that was revoked before: New laptop"):
        world.reject("bob", now=day(5))


def test_a_promotion_takes_its_role(world):
    world.ready()
    with pytest.raises(Refused, match="bob cannot promote: this takes one of the roles releaser"):
        world.promote("bob")
    assert store.current(NAME, "production") is None


def test_a_missing_role_is_reported_before_anything_is_copied(world, monkeypatch):
    world.ready()
    monkeypatch.setattr(store, "place", lambda *_: pytest.fail("something was copied"))
    with pytest.raises(Refused, match="bob cannot promote"):
        world.promote("bob")


class TestLostRelease:
    """releases/ is not in git: the same candidate may be placed again, and is signed again."""

    def test_it_is_placed_and_signed_again(self, world):
        world.ready()
        first = world.promote()
        where = store.directory(NAME, world.release())
        shutil.rmtree(store.ROOT)
        again = world.promote(now=day(6))
        assert again.id != first.id
        assert again.predicate["release"]["name"] == first.predicate["release"]["name"]
        assert verify(where, day(7)).in_use == ["production"]
        assert world.promote(now=day(7)) is None

    def test_a_copy_that_was_not_promoted_is_refused(self, world):
        world.ready()
        first = world.promote()
        where = store.directory(NAME, world.release())
        aside = where.with_name("aside")
        where.rename(aside)
        world.promote(now=day(6))
        record = store.verified(where)["digest"]
        assert record != first.predicate["release"]["record"]
        (where / "documents").chmod(0o755)
        card = where / "documents" / "README.md"
        card.chmod(0o644)
        card.write_text("Does everything.")
        own = json.loads((where / "release.json").read_text())
        own["files"] = [one for one in artifacts.manifest(where) if one["path"] != "release.json"]
        (where / "release.json").chmod(0o644)
        (where / "release.json").write_text(json.dumps(own))
        with pytest.raises(Refused, match=r"release.json is not the one that .* promoted"):
            verify(where, day(7))
        with pytest.raises(Refused, match="not the one that was promoted; move that copy away"):
            world.promote(now=day(7))

    def test_a_channel_returns_to_one_that_was_placed_again(self, world):
        world.ready()
        world.promote()
        where = store.directory(NAME, world.release())
        shutil.rmtree(store.ROOT)
        world.promote(now=day(6))
        candidate("2")
        world.attest(now=day(7))
        world.approve("ada", now=day(7))
        world.approve("bob", now=day(7))
        world.promote(now=day(8))
        actions.rollback(NAME, "production", world.who("cho"), "Worse.", now=day(9))
        assert verify(where, day(9)).in_use == ["production"]


def test_what_a_killed_promotion_left_is_removed(world):
    world.ready()
    target = store.directory(NAME, world.release())
    left = target.with_name(f".{target.name}.building-{2**30}")
    left.mkdir(parents=True)
    left.joinpath("model.onnx").write_bytes(b"half")
    world.promote()
    assert not left.exists()


def test_an_unknown_channel(world):
    world.ready()
    with pytest.raises(Refused, match=r"there is no channel 'prod' in governance/policy.yaml; there are production, staging"):
        world.promote(channel="prod")
    with pytest.raises(InputError, match="there is no channel 'prod'"):
        world.approve("ada", "prod")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"bases": ["other"]}, "the base 'tiny' is not among those allowed: other"),
        ({"licenses": ["mit"]}, "the license 'apache-2.0' of exported is not among those allowed: mit"),
        ({"evidence": ["garak"]}, "the outside evidence 'garak' is missing"),
        ({"upstream": {"data": {"roles": ["approver"], "people": 1}}}, "has 0 of 1 approvals"),
    ],
)
def test_what_else_a_channel_may_ask_for(world, rule, words):
    world.rules["channels"]["production"] |= rule
    world.ready()
    refused(world, words)


def test_outside_evidence_that_says_pass_is_taken(world):
    world.rules["channels"]["production"]["evidence"] = ["garak"]
    candidate("1", evidence=[{"name": "garak", "verdict": "pass"}])
    world.ready()
    world.promote()


def test_data_with_a_forbidden_flag(world):
    digests = candidate("1")
    write_reports(digests)
    file = layout.reports(NAME) / "curation.json"
    change(file, lambda content: content["checks"].update(private_values_left=2))
    world.rules["channels"]["production"]["forbidden"] = ["private-values-left"]
    world.ready()
    refused(world, "the data have the flag 'private-values-left', which this channel forbids")


def test_licenses_that_do_not_fit_together(world):
    configure(base_license="cc-by-nc-4.0")
    world.ready()
    refused(world, "base 'tiny' (cc-by-nc-4.0)")
    world.rules["channels"]["production"]["fitting_licenses"] = False
    world.adopt(now=day(4))
    world.approve("ada", now=day(4))
    world.approve("bob", now=day(4))
    world.promote(now=day(5))


def test_a_part_of_the_data_may_have_a_license_that_does_not_fit(world):
    candidate("2", part={"license": "cc-by-nc-4.0"})
    world.ready()
    refused(world, "data 'faq' (cc-by-nc-4.0)")
    world.rules["channels"]["production"] |= {"fitting_licenses": False, "licenses": ["apache-2.0"]}
    world.adopt(now=day(4))
    world.approve("ada", now=day(4))
    world.approve("bob", now=day(4))
    refused(world, "the license 'cc-by-nc-4.0' of raw, part faq is not among those allowed: apache-2.0", now=day(5))


def test_data_with_an_approval(world):
    world.rules["channels"]["production"]["upstream"] = {"data": {"roles": ["approver"], "people": 1}}
    world.ready()
    actions.decide_upstream(layout.curated(NAME), world.who("bob"), "Read a hundred rows.", approve=True, now=day(3))
    world.promote()


def test_approvals_and_requirements_are_functions_of_state_and_evidence_bundle(world):
    from fineline.governance import evidence_bundle

    world.ready()
    present, found = state.load(day(4)), evidence_bundle.collect(NAME)
    assert requirements.missing(present, found, "production") == []
    assert [entry.person for entry in approvals.agreed(present, found, "production")] == ["ada", "bob"]
    assert approvals.producers(present, found.artifacts) == {"dan"}


def test_a_project_without_governance_gets_a_hint_how_to_begin(world):
    shutil.rmtree("governance")
    with pytest.raises(InputError, match=r"people.yaml: missing; start with one person by `fineline keygen NAME`"):
        state.load(day(1))
