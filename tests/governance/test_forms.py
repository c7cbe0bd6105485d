"""Releases with further forms of the model, each judged by itself."""

import json
from pathlib import Path

import pytest

from fineline import artifacts
from fineline.artifacts import reports
from fineline.errors import InputError, Refused
from fineline.governance import actions, forms, packing, revocations, store, verification
from fineline.project import layout
from tests.governance.conftest import NAME, candidate, change, day, made, tensors

FORM = "safetensors"


def with_form(verdict="pass", version="1", **facts):
    """Make the candidate again with a further form, and the reports that assess writes about it; return the form's digest."""
    candidate(version)
    directory = layout.export(NAME, FORM)
    digest = made(directory, "exported-model", lambda at: tensors(at, 7.0), {"merged": layout.merged(NAME)})
    change(
        layout.reports(NAME) / "candidate.json",
        lambda content: content.update(
            others={
                FORM: {
                    "format": "safetensors",
                    "verdict": verdict,
                    "reasons": ["It is worse."],
                    "candidate": {"digest": digest},
                }
                | facts
            }
        ),
    )
    return digest


@pytest.fixture
def ready(world):
    """A project whose candidate has a further form, and all approvals."""
    with_form()
    world.ready()
    return world


def promoted(world, further=(FORM,), on=4):
    actions.promote(NAME, "production", world.who("cho"), day(on), further=further)
    return store.channel(NAME, "production")


@pytest.mark.parametrize("name", ["safetensors", "gguf"])
def test_a_form_is_released_by_its_name_or_that_of_its_format(world, name):
    digest = with_form(format=name)
    world.ready()
    release = promoted(world, [name])
    assert artifacts.manifest(release / "forms" / FORM) == artifacts.read(layout.export(NAME, FORM)).files
    found = verification.verify(release, day(5))
    assert found.artifacts[FORM] == digest
    assert found.in_use == ["production"]


def test_without_a_wish_the_release_is_that_of_the_first_form_alone(ready):
    release = promoted(ready, [])
    assert not (release / "forms").exists()
    assert "forms" not in reports.read(release / "release.json")
    assert verification.verify(release, day(5))


def test_both_releases_may_be_there_and_each_verifies(ready):
    first = promoted(ready, []).resolve()
    second = promoted(ready, on=5).resolve()
    assert first != second
    for release in (first, second):
        assert verification.verify(release, day(6))
    entry = actions.rollback(NAME, "production", ready.who("cho"), "Too large.", now=day(7))
    assert entry.predicate["release"]["name"].endswith(first.name)


def test_a_form_that_did_not_pass_is_refused(world):
    with_form("inconclusive")
    world.ready()
    with pytest.raises(Refused, match=r"the verdict of the form safetensors is 'inconclusive'.*\(It is worse\.\)"):
        promoted(world)
    assert promoted(world, []).exists()


def test_an_unknown_form(ready):
    with pytest.raises(InputError, match=r"--formats: the candidate has no form 'safetensor'; did you mean 'safetensors'\?"):
        promoted(ready, ["safetensor"])


def test_a_form_that_is_not_the_one_that_was_judged(ready):
    made(layout.export(NAME, FORM), "exported-model", lambda at: tensors(at, 8.0), {"merged": layout.merged(NAME)})
    with pytest.raises(Refused, match="was judged; run `dvc repro assess@support`"):
        promoted(ready)


def test_a_form_without_attestation(world):
    with_form()
    world.adopt()
    (layout.export(NAME, FORM) / "artifact.json").rename("kept.json")
    world.attest()
    Path("kept.json").rename(layout.export(NAME, FORM) / "artifact.json")
    world.approve("ada")
    world.approve("bob")
    with pytest.raises(Refused, match="no attestation of how the form safetensors"):
        promoted(world)


def test_a_revoked_form(ready):
    digest = artifacts.read(layout.export(NAME, FORM)).digest
    release = promoted(ready)
    revocations.revoke("artifact", digest, ready.who("ada"), "Leaks.", now=day(6))
    with pytest.raises(Refused, match=r"the form safetensors .* was revoked by ada: Leaks"):
        verification.verify(release, day(7))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda at: (at / "forms" / FORM / "config.json").write_text("{}"), "config.json: changed"),
        (lambda at: (at / "forms" / FORM / "config.json").unlink(), "config.json: missing"),
        (lambda at: (at / "forms" / FORM / "more.json").write_text("{}"), "more.json: not recorded"),
    ],
)
def test_a_changed_form_is_refused(ready, edit, message):
    release = promoted(ready).resolve()
    (release / "forms" / FORM / "config.json").chmod(0o644)
    edit(release)
    with pytest.raises(Refused, match=message):
        verification.verify(release, day(5))


def test_a_form_of_another_candidate_with_consistent_records_is_refused(ready):
    """Someone who can write everything except signatures changes a form, and adapts every record."""
    release = promoted(ready).resolve()
    place, record = release / "forms" / FORM, release / "records" / "forms" / FORM / "artifact.json"
    (place / "config.json").chmod(0o644)
    (place / "config.json").write_text("{}")
    entries = artifacts.manifest(place)
    change(record, lambda content: content.update(files=entries, digest=artifacts.digest(entries)))

    def adapt(content):
        content["forms"][FORM]["digest"] = artifacts.digest(entries)
        content["files"] = [one for one in artifacts.manifest(release) if one["path"] != "release.json"]

    change(release / "release.json", adapt)
    with pytest.raises(Refused, match="so its name is wrong"):
        verification.verify(release, day(5))
    record = reports.read(release / "release.json")
    renamed = release.rename(release.with_name(forms.name(record["evidence"], forms.digests(record)).removeprefix("sha256:")))
    with pytest.raises(Refused, match=r"release.json and candidate.json are about other files"):
        verification.verify(renamed, day(5))


def test_a_packed_release_contains_the_forms(ready):
    made_layout = packing.pack(promoted(ready), Path("packed"), now=day(5))
    raw = (Path("packed") / "blobs" / "sha256" / made_layout.digest.removeprefix("sha256:")).read_text()
    assert len(json.loads(raw)["layers"]) == 2
    assert b"forms/safetensors/config.json" in b"".join(
        (Path("packed") / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")).read_bytes()
        for layer in json.loads(raw)["layers"]
    )
