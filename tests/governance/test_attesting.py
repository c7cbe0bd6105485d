"""Attestations: SLSA provenance of every artifact, from its record and the provenance file of its stage."""

from fineline import artifacts
from fineline.governance import evidence_bundle, ledger_files, signing, statements
from fineline.project import layout, lock
from tests.governance.conftest import NAME, candidate, day


def signed(path):
    """Return the predicate of the provenance that was signed for an artifact."""
    entries = [entry for entry in ledger_files.read().entries if entry.kind == statements.PROVENANCE]
    return next(entry.predicate for entry in entries if path.as_posix() in entry.subjects)


def test_every_artifact_is_attested_once(world):
    world.adopt()
    world.attest()
    entries = ledger_files.read().entries[1:]
    assert [entry.action for entry in entries] == ["made"] * 7 + ["judged"]
    assert world.attest(now=day(3)) == []


def test_it_states_inputs_parameters_stage_and_the_run(world):
    world.adopt()
    world.attest()
    adapter = artifacts.read(layout.adapter(NAME))
    found = signed(layout.adapter(NAME))
    build, run = found["buildDefinition"], found["runDetails"]
    assert build["buildType"] == "urn:fineline:stage:adapter:v1"
    assert build["externalParameters"] == {"method": "lora", "rank": 8, "keep": "last"}
    assert build["internalParameters"] == {"stage": "train", "stage_version": 1, "code": f"sha256:{'c' * 64}"}
    base, data, project = build["resolvedDependencies"]
    assert base == {
        "name": "base",
        "uri": "models/bases/tiny",
        "digest": {"sha256": artifacts.read(layout.base("tiny")).digest.removeprefix("sha256:")},
    }
    assert data["digest"] == {"sha256": adapter.inputs["data"].digest.removeprefix("sha256:")}
    assert data["annotations"] == {"files": list(layout.TRAINING_ROWS)}
    assert project == {"name": "project", "digest": {"gitCommit": "f" * 40}, "annotations": {"dirty": False}}
    assert run["builder"] == {"id": "urn:fineline:builder:dan", "version": {"fineline": "0.2.0", "torch": "2.9.0"}}
    assert run["metadata"] == {"startedOn": "2026-03-01T10:00:00Z", "finishedOn": "2026-03-01T11:00:00Z"}


def test_without_a_provenance_file_the_rest_is_attested_and_the_gap_is_reported(world):
    world.adopt()
    layout.provenance("train", NAME).unlink()
    made = signing.attest(NAME, world.who("dan"), day(2))
    assert len(made.entries) == 8
    (problem,) = made.incomplete
    assert problem.startswith(f"models/adapters/{NAME}: reports/{NAME}/provenance/train.json is missing")
    found = signed(layout.adapter(NAME))
    assert found["buildDefinition"]["internalParameters"] == {"stage": "train"}
    assert found["runDetails"] == {"builder": {"id": "urn:fineline:builder:dan"}}


def test_a_provenance_file_about_another_version_is_not_signed(world):
    world.adopt()
    before = layout.provenance("train", NAME).read_bytes()
    candidate("2")
    layout.provenance("train", NAME).write_bytes(before)
    assert len(signing.attest(NAME, world.who("dan"), day(2)).incomplete) == 1


def accept(stage):
    """Record that an upgrade raised a stage to version 2 and accepted its results."""
    stages = dict(lock.installed().stages) | {stage: 2}
    lock.write(lock.Lock("0.2.0", stages, {}, {stage: {"from": 1, "to": 2}}))


def test_a_result_that_an_upgrade_accepted_is_attested_as_such(world):
    world.adopt()
    accept("train")
    world.attest()
    note = "made by train version 1, accepted at the upgrade to 2"
    assert signed(layout.adapter(NAME))["buildDefinition"]["internalParameters"]["accepted"] == note
    assert "accepted" not in signed(layout.merged(NAME))["buildDefinition"]["internalParameters"]
    judged = ledger_files.read().entries[-1]
    assert judged.kind == statements.TEST_RESULT
    assert judged.predicate["accepted"] == [f"train@{NAME}: {note}"]
    assert world.attest(now=day(3)) == []


def test_what_an_upgrade_accepts_later_is_attested_again(world):
    world.adopt()
    world.attest()
    accept("train")
    again = world.attest(now=day(3))
    assert [entry.action for entry in again] == ["made", "judged"]
    assert layout.adapter(NAME).as_posix() in again[0].subjects
    assert world.attest(now=day(4)) == []


def test_the_evidence_has_owner_and_license_of_every_artifact(world):
    evidence = evidence_bundle.collect(NAME).evidence
    assert evidence["ownership"].keys() == evidence["artifacts"].keys()
    assert evidence["ownership"]["base"] == {"owner": "models@example.com", "license": "apache-2.0"}
