"""Private keys: files outside of the project, or key services reached by a URI. The first key begins a ledger."""

import getpass
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from fineline.errors import InputError, Refused
from fineline.governance import actions, files, people, policy
from fineline.governance.ledger import Entry
from fineline.governance.people import People
from fineline.project import params
from fineline.project.params.block import NAME

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


VARIABLE = "FINELINE_KEY"
"""Environment variable: path of a private key, or a URI such as awskms:... or hsm:..."""
PASSPHRASE = "FINELINE_PASSPHRASE"
"""Environment variable, for machines; in a terminal the passphrase is asked for."""
_QUESTION = b"fineline asks whether this is the key"


def default(person: str) -> Path:
    """Return the default file of a person's private key."""
    return Path.home() / ".config" / "fineline" / "keys" / f"{person}.pem"


def make(file: Path, passphrase: str | None = None) -> str:
    """Generate an Ed25519 key and write the private half, readable by its owner only.

    Returns:
        The public half as 64 hexadecimal digits.

    Raises:
        InputError: The file exists.
        Refused: The file would be inside of the project, where it may be committed.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    if file.resolve().is_relative_to(Path.cwd().resolve()):
        raise Refused(f"{file}: is inside of the project, where a private key may be committed; choose another place with --to")
    private = Ed25519PrivateKey.generate()
    locked = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{file}: exists, and a key is never overwritten; choose another place with --to") from error
    with os.fdopen(handle, "wb") as stream:
        stream.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def signer(place: str | None, people: People) -> "tuple[str, Signer]":
    """Return the owner of a key by the name in people.yaml, and the signer.

    Args:
        place: Path or URI; the environment variable FINELINE_KEY if None.

    Raises:
        InputError: No key is given, the file is missing or not a private key, or the passphrase is wrong.
        Refused: Other users can read the file, or the key is not in people.yaml.
    """
    place = place or os.environ.get(VARIABLE)
    if not place:
        raise InputError(f"no signing key: pass --key FILE or set {VARIABLE}; `fineline keygen NAME` generates one")
    backend = _from_uri(place, people) if ":" in place and not Path(place).exists() else _from_file(Path(place))
    found = people.signer(backend.public_key.keyid)
    if found is None:
        raise Refused(f"{place}: this key is not in governance/people.yaml; a governor adds it and runs `fineline adopt`")
    return found.id, backend


def _from_file(file: Path) -> "Signer":
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        mode = file.stat().st_mode
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise Refused(
            f"{file}: other users can read it (mode {stat.S_IMODE(mode):o}); run `chmod 600 {file}`, and revoke the key if it"
            " may have been read"
        )
    locked = b"ENCRYPTED" in content.partition(b"\n")[0]
    try:
        return CryptoSigner(load_pem_private_key(content, _passphrase(str(file)).encode() if locked else None))
    except (ValueError, TypeError) as error:
        reason = "wrong passphrase, or the file is damaged" if locked else "not a private key in PEM"
        raise InputError(f"{file}: {reason}") from error


def _passphrase(place: str) -> str:
    """Return the passphrase of a file, or the PIN of a token."""
    given = os.environ.get(PASSPHRASE)
    if given is None and sys.stdin.isatty():
        given = getpass.getpass(f"passphrase of {place}: ")
    if not given:
        raise InputError(f"{place}: a passphrase is needed; set {PASSPHRASE}, or run the command in a terminal")
    return given


def _from_uri(uri: str, people: People) -> "Signer":
    """Return a signer of securesystemslib, which must be given the public key beforehand.

    A key service signs with its key, regardless of the public key it is given. So each known key is tried: a test signature is
    requested and verified.
    """
    from securesystemslib.signer import Signer

    service = uri.partition(":")[0]
    asked: list[str] = []

    def secret(_: str) -> str:
        if not asked:  # once for all keys that are tried
            asked.append(_passphrase(f"{service}:..."))
        return asked[0]

    reasons = []
    for person in people.people.values():
        for key in person.keys:
            try:
                backend = Signer.from_priv_key_uri(uri, key.verifier, secret)
                key.verifier.verify_signature(backend.sign(_QUESTION), _QUESTION)
            except InputError:
                raise
            except Exception as error:  # each backend raises other errors
                reasons.append(f"{type(error).__name__}: {error}")
            else:
                return backend
    raise InputError(f"{service}:...: this service has no key that is in people.yaml: {reasons[0]}")


ROLES = ["governor", "builder", "approver", "releaser"]
"""Of the first person."""

POLICY = """\
# What must be signed by whom before a release is in a channel; `fineline docs governance` describes each key.
# A change is in force once a governor has run `fineline adopt`.
govern: {roles: [governor], people: 1}
acts:
  attest: [builder]     # signs how artifacts were made and judged
  promote: [releaser]
  rollback: [releaser]
  revoke: [governor, approver]
channels:
  staging: # one approver is enough, even the one who made the candidate; the record says so
    approve: {roles: [approver], people: 1, producer: true}
  production: # two approvers who did not make the candidate, within the last 90 days
    approve: {roles: [approver], people: 2, producer: false, max_age_days: 90}
"""


def check_person(name: str, email: str) -> None:
    """Check that a key may be generated here for a person.

    Raises:
        InputError: The name or the address is not valid, or this is a subdirectory of a project, where a second ledger would
            begin.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a valid name: expected lower-case letters, digits and single inner hyphens, beginning with a"
            " letter"
        )
    if not email.strip():
        raise InputError("--email: an address is needed, so that the person can be reached")
    if params.FILE.exists() or files.ROOT.exists():
        return
    for above in Path.cwd().parents:
        if (above / params.FILE).exists() or (above / files.ROOT).is_dir():
            raise InputError(
                f"{Path.cwd()}: is inside of the project {above}; run the command there, not to begin a second ledger"
            )


def entry_of(name: str, email: str, roles: list[str], public: str) -> dict[str, object]:
    """Return a person in the form of people.yaml."""
    return {"name": name, "email": email, "roles": roles, "keys": [{"public": public, "valid_from": files.now()}]}


def begin(person: str, entry: dict[str, object], place: str) -> Entry:
    """Write people.yaml and policy.yaml with one person, and put them in force with that person's key.

    Args:
        place: Of the private key.

    Raises:
        InputError: people.yaml exists.
    """
    if people.FILE.exists():
        raise InputError(f"{people.FILE}: exists; add the person there, and run `fineline adopt`")
    people.FILE.parent.mkdir(parents=True, exist_ok=True)
    head = "# Who may sign, with which key. A change is in force once a governor has run `fineline adopt`.\n"
    text = yaml.safe_dump({"people": {person: entry}}, sort_keys=False, allow_unicode=True, width=120)
    people.FILE.write_text(head + text, encoding="utf-8")
    if not policy.FILE.exists():
        policy.FILE.write_text(POLICY, encoding="utf-8")
    _, backend = signer(place, people.load())
    return actions.adopt(signer=backend)
