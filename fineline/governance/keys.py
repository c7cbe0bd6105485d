"""Keys that people hold: made here, kept outside of the project, or anywhere that securesystemslib can reach by a URI."""

import getpass
import os
import stat
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner
from securesystemslib.signer import Signer as Backend

from fineline.errors import InputError, Refused
from fineline.governance.people import People

VARIABLE = "FINELINE_KEY"
"""Environment variable: path of a private key, or a URI such as awskms:... or hsm:..."""
PASSPHRASE = "FINELINE_PASSPHRASE"
"""Environment variable, for machines; people are asked."""
_QUESTION = b"fineline asks whether this is the key"


def default(person: str) -> Path:
    """Where a person's private key lies unless told otherwise."""
    return Path.home() / ".config" / "fineline" / "keys" / f"{person}.pem"


def make(file: Path, passphrase: str | None = None) -> str:
    """Make an Ed25519 key and write the private half, readable by its owner alone.

    Returns:
        The public half, 64 hexadecimal digits.

    Raises:
        InputError: There is a file already.
        Refused: The file would lie in the project, from where it may be committed.
    """
    if file.resolve().is_relative_to(Path.cwd().resolve()):
        raise Refused(f"{file}: lies in the project; a private key must not, or it will be committed one day")
    private = Ed25519PrivateKey.generate()
    locked = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{file}: there already; a key is never overwritten. Take another place with --to") from error
    with os.fdopen(handle, "wb") as stream:
        stream.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def signer(place: str | None, people: People) -> tuple[str, Backend]:
    """The signer at a place, and whose it is.

    Args:
        place: Path or URI; None takes the environment's FINELINE_KEY.

    Raises:
        InputError: None is given, the file is missing or no private key, or the passphrase is wrong.
        Refused: Others may read the file, or the key is nobody's in people.yaml.
    """
    place = place or os.environ.get(VARIABLE)
    if not place:
        raise InputError(f"whose signature? Give --key FILE, or set {VARIABLE}; `fineline keygen NAME` makes one")
    backend = _from_uri(place, people) if ":" in place and not Path(place).exists() else _from_file(Path(place))
    found = people.signer(backend.public_key.keyid)
    if found is None:
        raise Refused(f"{place}: this key is nobody's in governance/people.yaml; a governor adds it, then `fineline adopt`")
    return found.id, backend


def _from_file(file: Path) -> Backend:
    try:
        mode = file.stat().st_mode
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise Refused(
            f"{file}: others may read it (mode {stat.S_IMODE(mode):o}); `chmod 600 {file}`, and ask whether somebody did"
        )
    locked = b"ENCRYPTED" in content.partition(b"\n")[0]
    try:
        return CryptoSigner(load_pem_private_key(content, _passphrase(str(file)).encode() if locked else None))
    except (ValueError, TypeError) as error:
        reason = "the passphrase is wrong, or it is damaged" if locked else "it is no private key in PEM"
        raise InputError(f"{file}: {reason}") from error


def _passphrase(place: str) -> str:
    """Of a file, or the PIN of a token."""
    given = os.environ.get(PASSPHRASE)
    if given is None and sys.stdin.isatty():
        given = getpass.getpass(f"passphrase of {place}: ")
    if not given:
        raise InputError(f"{place}: it has a passphrase; set {PASSPHRASE}, or run it in a terminal")
    return given


def _from_uri(uri: str, people: People) -> Backend:
    """A signer of securesystemslib: which of the known public keys it has, it must be told beforehand.

    A service signs with its key whatever public key it is told, so a signature is asked for, and checked.
    """
    service = uri.partition(":")[0]
    asked: list[str] = []

    def secret(_: str) -> str:
        if not asked:  # once, however many keys are tried
            asked.append(_passphrase(f"{service}:..."))
        return asked[0]

    reasons = []
    for person in people.people.values():
        for key in person.keys:
            try:
                backend = Backend.from_priv_key_uri(uri, key.verifier, secret)
                key.verifier.verify_signature(backend.sign(_QUESTION), _QUESTION)
            except InputError:
                raise
            except Exception as error:  # each backend has errors of its own
                reasons.append(f"{type(error).__name__}: {error}")
            else:
                return backend
    raise InputError(f"{service}:...: no key of people.yaml can be used there: {reasons[0]}")
