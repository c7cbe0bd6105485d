"""Private keys: files outside of the project, or key services reached by a URI."""

import getpass
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.errors import InputError, Refused
from fineline.governance.people import Key, People

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


VARIABLE = "FINELINE_KEY"
"""Environment variable: path of a private key, or a URI such as awskms:... or hsm:..."""
RELEASE_VARIABLE = "FINELINE_RELEASE_KEY"
"""Environment variable: the same for the key that signs releases."""
PASSPHRASE = "FINELINE_PASSPHRASE"
"""Environment variable, for machines; in a terminal the passphrase is asked for."""
_QUESTION = b"fineline asks whether this is the key"


def default(person: str) -> Path:
    """Return the default file of a person's private key."""
    return Path.home() / ".config" / "fineline" / "keys" / f"{person}.pem"


def make(file: Path, passphrase: str | None = None) -> str:
    """Generate an Ed25519 key for a person and write the private half, readable by its owner only.

    Returns:
        The public half as 64 hexadecimal digits.

    Raises:
        InputError: The file exists.
        Refused: The file would be inside of the project, where it may be committed.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = Ed25519PrivateKey.generate()
    _write(private, file, passphrase)
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def make_release_key(file: Path, passphrase: str | None = None) -> str:
    """Generate an ECDSA P-256 key for releases, as `make` does for a person.

    Returns:
        The public half in PEM.

    Raises:
        InputError: The file exists.
        Refused: The file would be inside of the project, where it may be committed.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = ec.generate_private_key(ec.SECP256R1())
    _write(private, file, passphrase)
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _write(private: Any, file: Path, passphrase: str | None) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    if file.resolve().is_relative_to(Path.cwd().resolve()):
        raise Refused(f"{file}: is inside of the project, where a private key may be committed; choose another place with --to")
    locked = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{file}: exists, and a key is never overwritten; choose another place with --to") from error
    with os.fdopen(handle, "wb") as stream:
        stream.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))


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
    backend = _signer(place, [key for person in people.people.values() for key in person.keys])
    found = people.signer(backend.public_key.keyid)
    if found is None:
        raise Refused(f"{place}: this key is not in governance/people.yaml; a governor adds it and runs `fineline adopt`")
    return found.id, backend


def release_signer(place: str | None, people: People) -> "Signer":
    """Return the signer of a release key.

    Args:
        place: Path or URI; the environment variable FINELINE_RELEASE_KEY if None.

    Raises:
        InputError: As `signer`.
        Refused: Other users can read the file, or the key is not among the release keys of people.yaml.
    """
    place = place or os.environ.get(RELEASE_VARIABLE)
    if not place:
        raise InputError(
            "no release key: people.yaml lists `release_keys`, so a release needs the signature of one; pass --release-key FILE"
            f" or set {RELEASE_VARIABLE}"
        )
    known = people.release_keys or []
    backend = _signer(place, known)
    if backend.public_key.keyid not in {key.id for key in known}:
        raise Refused(
            f"{place}: this key is not under `release_keys` of governance/people.yaml; a governor adds it and runs `fineline"
            " adopt`"
        )
    return backend


def _signer(place: str, known: Sequence[Key]) -> "Signer":
    return _from_uri(place, known) if ":" in place and not Path(place).exists() else _from_file(Path(place))


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


def _from_uri(uri: str, known: Sequence[Key]) -> "Signer":
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
    for key in known:
        try:
            backend = Signer.from_priv_key_uri(uri, key.verifier, secret)
            key.verifier.verify_signature(backend.sign(_QUESTION), _QUESTION)
        except InputError:
            raise
        except Exception as error:  # each backend raises other errors
            reasons.append(f"{type(error).__name__}: {error}")
        else:
            return backend
    reason = reasons[0] if reasons else "there are none"
    raise InputError(f"{service}:...: this service has no key that is in people.yaml: {reason}")
