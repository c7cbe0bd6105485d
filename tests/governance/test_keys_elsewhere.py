"""A key that never leaves a key service: the same acts, with the service's own protocol between."""

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from moto import mock_aws
from moto.kms import utils

from pipelines.errors import InputError, Refused
from pipelines.governance import acts, keys, ledger, people, store
from pipelines.governance.verification import verify
from tests.governance.conftest import NAME, day

REGION = "eu-central-1"


def signed_digest(key, digest, algorithm):
    """What the service gives back for `MessageType=DIGEST`."""
    assert len(digest) == 32
    hashed = Prehashed(hashes.SHA256())
    if algorithm.startswith("ECDSA"):
        return key.private_key.sign(digest, ec.ECDSA(hashed))
    return key.private_key.sign(digest, padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH), hashed)


@pytest.fixture
def service(monkeypatch):
    """A stand-in of AWS KMS. It takes every digest for a message; the real one looks at `MessageType`, so that is mended."""
    for name, value in {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(utils.ECDSAPrivateKey, "sign", signed_digest)
    monkeypatch.setattr(utils.RSAPrivateKey, "sign", signed_digest)
    with mock_aws():
        yield boto3.client("kms", region_name=REGION)


def key(service, spec="ECC_NIST_P256", scheme="ecdsa-sha2-nistp256"):
    """A key in the service: its URI, and what people.yaml says of it."""
    made = service.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    public = load_der_public_key(service.get_public_key(KeyId=made)["PublicKey"])
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return f"awskms:{made}", {"scheme": scheme, "public": pem, "valid_from": day(1)}


@pytest.mark.parametrize(
    ("spec", "scheme"), [("ECC_NIST_P256", "ecdsa-sha2-nistp256"), ("RSA_2048", "rsassa-pss-sha256")], ids=["ecdsa", "rsa"]
)
def test_an_approval_with_a_key_in_a_service_counts(world, service, spec, scheme):
    uri, entry = key(service, spec, scheme)
    world.content["people"]["bob"]["keys"] = [entry]
    world.adopt()
    world.attest()
    world.approve("ada")
    person, signer = keys.signer(uri, people.load())
    assert person == "bob"
    acts.decide(NAME, "production", (person, signer), "Signed far away.", approve=True, now=day(3))
    world.promote()
    found = verify(store.channel(NAME, "production").resolve(), day(5))
    assert [one["person"] for one in found.approved] == ["ada", "bob"]


def test_a_key_of_the_service_that_is_nobodys(world, service):
    uri, _ = key(service)
    world.adopt()
    with pytest.raises((InputError, Refused), match=r"no key of people.yaml can be used there|is nobody's"):
        keys.signer(uri, people.load())


def test_a_key_that_the_service_does_not_have(world, service):
    _, entry = key(service)
    world.content["people"]["bob"]["keys"] = [entry]
    world.adopt()
    with pytest.raises(InputError, match=r"^awskms:...: no key of people.yaml can be used there"):
        keys.signer("awskms:11111111-2222-3333-4444-555555555555", people.load())


def test_a_service_that_signs_something_else_leaves_no_trace(world, service, monkeypatch):
    uri, entry = key(service)
    world.content["people"]["bob"]["keys"] = [entry]
    world.adopt()
    world.attest()
    _, signer = keys.signer(uri, people.load())
    monkeypatch.setattr(utils.ECDSAPrivateKey, "sign", lambda key, *_: key.private_key.sign(b"else", ec.ECDSA(hashes.SHA256())))
    before = sorted(ledger.ROOT.rglob("*"))
    with pytest.raises(Refused, match="the signature is not that of key"):
        acts.decide(NAME, "production", ("bob", signer), "x", approve=True, now=day(3))
    assert sorted(ledger.ROOT.rglob("*")) == before
