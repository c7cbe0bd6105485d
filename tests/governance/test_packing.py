"""A release as an OCI image layout."""

import base64
import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from fineline.errors import InputError, Refused
from fineline.governance import actions, model_signature, packing, store, verification
from tests.governance.conftest import NAME, candidate, configure, day
from tests.governance.releases import promoted


@pytest.fixture
def release(world, tmp_path_factory):
    """A signed release in production."""
    return promoted(world, tmp_path_factory.mktemp("keys"))[0]


def packed(release, name="one", **options):
    return packing.pack(release, Path(name), now=day(5), **options)


def read(layout, descriptor):
    """Return a blob after checking it against its descriptor."""
    content = (Path(layout) / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
    assert len(content) == descriptor["size"]
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == descriptor["digest"]
    return content


def manifests(layout):
    """Return the manifests of a layout, the release first."""
    index = json.loads((Path(layout) / "index.json").read_text())
    return [json.loads(read(layout, descriptor)) for descriptor in index["manifests"]]


def unpacked(layout, into):
    """Unpack the layers of the release with tarfile alone."""
    for layer in manifests(layout)[0]["layers"]:
        with tarfile.open(Path(layout) / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")) as tar:
            tar.extractall(into, filter="data")
    return into


def test_the_same_release_has_the_same_bytes_every_time(world, release):
    first, second = packed(release, "one"), packed(release, "two")
    assert first == second
    listed = [
        {path.relative_to(name): path.read_bytes() for path in Path(name).rglob("*") if path.is_file()}
        for name in ("one", "two")
    ]
    assert listed[0] == listed[1]
    world.approve("ada", "staging", day(6))
    actions.promote(NAME, "staging", world.who("cho"), day(7))
    assert packing.pack(store.channel(NAME, "staging"), Path("three"), now=day(8)).digest == first.digest


def test_an_unpacked_copy_verifies(world, release, tmp_path, monkeypatch):
    packed(release)
    copy = unpacked("one", tmp_path / release.resolve().name)
    assert verification.verify(copy, day(5)).in_use == ["production"]
    away = tmp_path.parent / f"{tmp_path.name}-away" / copy.name
    shutil.copytree(copy, away)
    monkeypatch.chdir(away.parent)
    assert verification.verify(away, day(5)).release_key
    shutil.rmtree(away.parent)


def test_the_manifest_names_base_license_and_ledger_entry(world, release):
    packed(release)
    image = manifests("one")[0]
    notes = image["annotations"]
    entry = actions.state.load(day(5)).current(NAME, "production")
    assert image["artifactType"] == packing.TYPE
    assert notes["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert notes["vnd.fineline.base.digest"] == verification.verify(release, day(5)).artifacts["base"]
    assert notes["vnd.fineline.ledger.entry"] == entry.id
    config = json.loads(read("one", image["config"]))
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in image["layers"]]


def test_what_was_signed_refers_to_the_release(world, release):
    made = packed(release)
    others = manifests("one")[1:]
    assert len(others) == made.statements
    assert {other["subject"]["digest"] for other in others} == {made.digest}
    kinds = [other["annotations"]["in-toto.io/predicate-type"] for other in others]
    assert kinds.count("urn:fineline:governance:approve:v1") == 2
    assert kinds.count("urn:fineline:governance:promote:v1") == 1
    assert {"https://slsa.dev/provenance/v1", "https://in-toto.io/attestation/test-result/v0.1"} <= set(kinds)
    assert kinds[-1] == model_signature.PREDICATE
    envelope = json.loads(read("one", others[0]["layers"][0]))
    assert json.loads(base64.b64decode(envelope["payload"]))["predicateType"] == kinds[0]


def test_a_large_file_is_a_layer_of_its_own(world, release, monkeypatch):
    monkeypatch.setattr(packing, "_LARGE", 1)
    packed(release)
    paths = [path for path in release.resolve().rglob("*") if path.is_file()]
    assert len(manifests("one")[0]["layers"]) == len(paths) + 1  # no small file remains for the first layer


@pytest.mark.parametrize(
    ("license", "message"),
    [("other", "nothing is known about redistribution under the license 'other'"), ("cc-by-nd-4.0", "forbids distributing")],
)
def test_a_base_that_may_not_be_passed_on_is_packed_only_if_told_so(world, license, message):
    shutil.rmtree("models")
    Path("params.yaml").unlink()
    configure(base_license=license)
    candidate("1")
    for channel in world.rules["channels"].values():
        channel["fitting_licenses"] = False
    world.ready()
    world.promote()
    release = store.channel(NAME, "production")
    with pytest.raises(Refused, match=rf"base: .*{message}(.|\n)*--accept-license"):
        packed(release)
    assert not Path("one").exists()
    made = packed(release, accept_license=True)
    assert message in made.unclear[0]
    assert message in manifests("one")[0]["annotations"]["vnd.fineline.license.accepted"]


def test_a_damaged_release_is_not_packed(world, release):
    file = release / "model" / "version.json"
    file.chmod(0o644)
    file.write_text("2")
    with pytest.raises(Refused, match="changed"):
        packed(release)
    assert not Path("one").exists()


def test_an_existing_directory_is_not_replaced(world, release):
    Path("one").mkdir()
    with pytest.raises(InputError, match="one: exists"):
        packed(release)
