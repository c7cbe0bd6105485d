"""A key that never leaves a key service: the same actions, with the service's own protocol between."""

import base64
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from moto import mock_aws
from moto.kms import utils

from fineline.errors import InputError, Refused
from fineline.governance import actions, keys, ledger, people, store
from fineline.governance.verification import verify
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
    actions.decide(NAME, "production", (person, signer), "Signed far away.", approve=True, now=day(3))
    world.promote()
    found = verify(store.channel(NAME, "production").resolve(), day(5))
    assert [one["person"] for one in found.approved] == ["ada", "bob"]


def test_a_key_of_the_service_that_is_not_in_people_yaml(world, service):
    uri, _ = key(service)
    world.adopt()
    with pytest.raises((InputError, Refused), match=r"no key that is in people.yaml|is not in governance/people.yaml"):
        keys.signer(uri, people.load())


def test_a_key_that_the_service_does_not_have(world, service):
    _, entry = key(service)
    world.content["people"]["bob"]["keys"] = [entry]
    world.adopt()
    with pytest.raises(InputError, match=r"^awskms:...: this service has no key that is in people.yaml"):
        keys.signer("awskms:11111111-2222-3333-4444-555555555555", people.load())


def test_a_service_that_signs_something_else_leaves_no_trace(world, service, monkeypatch):
    uri, entry = key(service)
    world.content["people"]["bob"]["keys"] = [entry]
    world.adopt()
    world.attest()
    _, signer = keys.signer(uri, people.load())
    monkeypatch.setattr(utils.ECDSAPrivateKey, "sign", lambda key, *_: key.private_key.sign(b"else", ec.ECDSA(hashes.SHA256())))
    before = sorted(ledger.ROOT.rglob("*"))
    with pytest.raises(Refused, match="the signature is not one of key"):
        actions.decide(NAME, "production", ("bob", signer), "x", approve=True, now=day(3))
    assert sorted(ledger.ROOT.rglob("*")) == before


@pytest.fixture
def vault(monkeypatch):
    """A stand-in of Vault's transit engine with one Ed25519 key, `release`: its public half.

    https://developer.hashicorp.com/vault/api-docs/secret/transit#sign-data
    """
    private = Ed25519PrivateKey.generate()

    class Transit(BaseHTTPRequestHandler):
        def do_PUT(self):
            self.do_POST()

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_known = self.path == "/v1/transit/sign/release" and self.headers["X-Vault-Token"] == "token"
            found = {"errors": ["permission denied"]}
            if is_known:
                signature = base64.b64encode(private.sign(base64.b64decode(body["input"]))).decode()
                found = {"data": {"signature": f"vault:v{body['key_version']}:{signature}"}}
            self.send_response(200 if is_known else 403)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Transit)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("VAULT_TOKEN", "token")
    yield private.public_key().public_bytes_raw().hex()
    server.shutdown()
    server.server_close()


def test_a_key_in_vault_is_distinguished_from_keys_in_files(world, vault):
    world.content["people"]["bob"]["keys"] = [{"public": vault, "valid_from": day(1)}]
    world.adopt()
    world.attest()
    world.approve("ada")
    person, signer = keys.signer("hv:release/1", people.load())
    assert person == "bob", "although ada's key is of the same kind and is listed first"
    actions.decide(NAME, "production", (person, signer), "Signed in the vault.", approve=True, now=day(3))
    world.promote()
    assert [one["person"] for one in verify(store.channel(NAME, "production").resolve(), day(5)).approved] == ["ada", "bob"]


def test_a_key_that_the_vault_does_not_hand_out(world, vault):
    world.adopt()
    with pytest.raises(InputError, match=r"^hv:...: this service has no key that is in people.yaml"):
        keys.signer("hv:other/1", people.load())


PLACES = (
    "/usr/lib/softhsm",
    "/usr/lib/x86_64-linux-gnu/softhsm",
    "/usr/lib64/softhsm",
    "/usr/lib64/pkcs11",
    "/opt/homebrew/lib/softhsm",
)
SOFTHSM = next((file for place in PLACES if (file := Path(place) / "libsofthsm2.so").is_file()), None)
PIN = "246810"


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A hardware token, in software, with a key that never leaves it: what people.yaml says of the key."""
    pkcs11 = pytest.importorskip("pkcs11")
    from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("PYKCS11LIB", str(SOFTHSM))
    tool = ["softhsm2-util", "--init-token", "--free", "--label", "release", "--pin", PIN, "--so-pin", "1357"]
    subprocess.run(tool, check=True, capture_output=True)
    library = pkcs11.lib(str(SOFTHSM))
    library.reinitialize()
    with library.get_token(token_label="release").open(rw=True, user_pin=PIN) as session:
        curve = encode_named_curve_parameters("secp256r1")
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True)
        public, _ = parameters.generate_keypair(mechanism_param=None, store=True, id=b"\x02", label="release")
        pem = load_der_public_key(encode_ec_public_key(public)).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"scheme": "ecdsa-sha2-nistp256", "public": pem.decode(), "valid_from": day(1)}


@pytest.mark.skipif(SOFTHSM is None, reason="SoftHSM is not installed (softhsm2)")
def test_a_key_in_a_hardware_token_asks_for_its_pin(world, token, monkeypatch):
    world.content["people"]["bob"]["keys"] = [token]
    world.adopt()
    world.attest()
    world.approve("ada")
    with pytest.raises(InputError, match=r"^hsm:...: a passphrase is needed; set FINELINE_PASSPHRASE"):
        keys.signer("hsm:2?label=release", people.load())
    monkeypatch.setenv(keys.PASSPHRASE, PIN)
    person, signer = keys.signer("hsm:2?label=release", people.load())
    assert person == "bob"
    actions.decide(NAME, "production", (person, signer), "Signed in the token.", approve=True, now=day(3))
    world.promote()
    assert [one["person"] for one in verify(store.channel(NAME, "production").resolve(), day(5)).approved] == ["ada", "bob"]
