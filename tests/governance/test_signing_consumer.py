"""model-signing 1.1.1 and skopeo, in environments of their own, on releases that fineline made."""

import json
import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from fineline.errors import Refused
from fineline.governance import packing, verification
from tests.governance.conftest import day
from tests.governance.releases import promoted, release_key

VARIABLE = "FINELINE_SIGNING_PYTHON"
"""Environment variable: the Python of an environment with model-signing (tests/consumers/signing.txt)."""


def python():
    """Return the Python of the environment of model-signing, which `tests.consumers` makes where it is there."""
    given = os.environ.get(VARIABLE)
    if given:
        return given
    try:
        environments = import_module("tests.consumers.environments")
        return str(environments.python("signing"))
    except Exception as error:  # no such package, or no index to install from
        pytest.skip(f"model-signing: {error}; set {VARIABLE}")


@pytest.fixture
def signed(world, tmp_path_factory):
    """A signed release, with its public key."""
    release, key = promoted(world, tmp_path_factory.mktemp("keys"))
    return release, key.with_suffix(".pub")


def accepts(release, public):
    """True if model-signing verifies a release with a public key; it has no network."""
    command = [python(), "-m", "model_signing", "verify", "key", str(release), "--signature", str(release / "model.sig")]
    offline = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "PATH": os.environ["PATH"]}
    run = subprocess.run([*command, "--public_key", str(public)], capture_output=True, text=True, env=offline, check=False)
    said = run.stdout + run.stderr
    assert ("Verification succeeded" if run.returncode == 0 else "Verification failed") in said, said
    return run.returncode == 0


def changed(release):
    file = release / "model" / "version.json"
    file.chmod(0o644)
    file.write_text("2")


def replaced_by_a_link(release):
    file = release / "model" / "version.json"
    copy = Path("copy.json").absolute()
    shutil.copyfile(file, copy)
    file.unlink()
    file.symlink_to(copy)


TAMPERED = {
    "changed": changed,
    "missing": lambda release: (release / "documents" / "README.md").unlink(),
    "added": lambda release: (release / "model" / "more.json").write_text("{}"),
    "linked": replaced_by_a_link,
}


def test_model_signing_and_fineline_accept_a_release(signed):
    release, public = signed
    assert accepts(release.resolve(), public)
    assert verification.verify(release, day(5)).release_key


@pytest.mark.parametrize("how", TAMPERED)
def test_model_signing_and_fineline_refuse_a_tampered_release(signed, how):
    release, public = signed
    TAMPERED[how](release.resolve())
    assert not accepts(release.resolve(), public)
    with pytest.raises(Refused):
        verification.verify(release, day(5))


def test_model_signing_refuses_another_key(signed, tmp_path_factory):
    other, _ = release_key(tmp_path_factory.mktemp("other"))
    assert not accepts(signed[0].resolve(), other.with_suffix(".pub"))


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_inspects_and_copies_a_packed_release(signed, tmp_path):
    release, _ = signed
    made = packing.pack(release, Path("packed"), now=day(5))
    source = f"oci:packed:{made.reference}"
    seen = subprocess.run(["skopeo", "inspect", source], capture_output=True, text=True, check=True).stdout
    assert made.digest in seen
    copy = f"oci:copy:{made.reference}"
    copying = ["skopeo", "--insecure-policy", "copy", "--preserve-digests", "--quiet", source]
    subprocess.run([*copying, copy], check=True)
    raw = subprocess.run(["skopeo", "inspect", "--raw", copy], capture_output=True, check=True).stdout
    assert raw == (Path("packed") / "blobs" / "sha256" / made.digest.removeprefix("sha256:")).read_bytes()
    subprocess.run([*copying, "dir:blobs"], check=True)
    unpacked = tmp_path / release.resolve().name
    unpacked.mkdir()
    for layer in json.loads(raw)["layers"]:
        blob = Path("blobs") / layer["digest"].removeprefix("sha256:")
        subprocess.run(["tar", "-xf", blob, "-C", unpacked], check=True)
    assert verification.verify(unpacked, day(5)).candidate == verification.verify(release, day(5)).candidate
