"""Who may sign: governance/people.yaml."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from fineline.evidence.schema import StrictModel, Text, Time
from fineline.governance import files

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

FILE = files.ROOT / "people.yaml"

Scheme = Literal["ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "rsassa-pss-sha256", "rsassa-pss-sha512"]


class Revoked(StrictModel):
    """The time from which signatures of a key do not count, and why."""

    at: Time
    """First time at which signatures do not count (UTC), such as `2026-03-01T12:00:00Z`."""
    reason: Text
    """Reason of the revocation."""


class Key(StrictModel):
    """A public key. Its id is computed from its value, never given."""

    scheme: Scheme = "ed25519"
    """Signature scheme. `fineline keygen` generates Ed25519 keys; key services have others."""
    public: str
    """64 hexadecimal digits of an Ed25519 key; PEM of others."""
    valid_from: Time
    """First time at which signatures count (UTC)."""
    valid_until: Time | None = None
    """Time from which signatures do not count (UTC). By default the key does not expire."""
    revoked: Revoked | None = None
    """Revocation of the key."""

    @model_validator(mode="after")
    def _is_a_key(self) -> Self:
        try:
            _ = self.verifier
        except Exception as error:  # the libraries raise many kinds of errors
            raise ValueError(f"`public` is not a valid public key of scheme {self.scheme}: {error}") from error
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError(f"valid_until ({self.valid_until}) is not after valid_from ({self.valid_from})")
        return self

    @cached_property
    def verifier(self) -> "SSlibKey":
        """The key as securesystemslib verifies with it. Two spellings of a key are the same key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import SSlibKey

        if self.scheme == "ed25519":
            return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public)))
        return SSlibKey.from_crypto(load_pem_public_key(self.public.encode()), scheme=self.scheme)

    @property
    def id(self) -> str:
        """sha256 over type, scheme and value of the key (the default key id of securesystemslib and of TUF)."""
        return str(self.verifier.keyid)

    def invalid_at(self, time: str) -> str | None:
        """Return why the key is not valid at a time; None if it is."""
        if time < self.valid_from:
            return f"not valid before {self.valid_from}"
        if self.valid_until is not None and time >= self.valid_until:
            return f"expired at {self.valid_until}"
        if self.revoked is not None and time >= self.revoked.at:
            return f"revoked at {self.revoked.at}: {self.revoked.reason}"
        return None


class ReleaseKey(Key):
    """The public half of a key that signs releases for other tools (model.sig). It is not a person's, and approves nothing."""

    scheme: Literal["ecdsa-sha2-nistp256"] = "ecdsa-sha2-nistp256"
    """Signature scheme: ECDSA over P-256, as Model Signing 1.0 asks."""

    @model_validator(mode="after")
    def _is_on_its_curve(self) -> Self:
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

        public = load_pem_public_key(self.public.encode())
        if not isinstance(public, EllipticCurvePublicKey) or public.curve.name != "secp256r1":
            raise ValueError("`public` is not a key on the curve P-256; `fineline keygen NAME --release` makes one")
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        if self.public.strip() != pem.strip():
            raise ValueError("`public` is not written as PEM with lines of 64 characters, by which other tools name the key")
        return self


class Person(StrictModel):
    """A person, or a machine that signs what it made."""

    name: Text
    """Full name, shown in cards and records."""
    email: Text
    """E-mail address. Each address belongs to one person."""
    roles: list[Text] = Field(min_length=1)
    """Roles, as policy.yaml names them: `governor`, `builder`, `approver`, `releaser`, or your own."""
    keys: list[Key] = Field(min_length=1)
    """Public keys. Each key belongs to one person."""


class Signer(NamedTuple):
    """The owner of a key."""

    id: str
    person: Person
    key: Key


class People(files.Adopted):
    """The whole file."""

    people: dict[str, Person] = Field(min_length=1)
    """Short name -> person. The short name is part of every signature."""
    release_keys: list[ReleaseKey] | None = None
    """Keys that sign releases for other tools. With one that is valid, every promotion writes model.sig. By default none."""

    @model_validator(mode="after")
    def _keys_are_personal(self) -> Self:
        owners: dict[str, str] = {}
        for release_key in self.release_keys or ():
            if release_key.id in owners:
                raise ValueError(f"the same key is listed twice under release_keys ({release_key.id[:16]})")
            owners[release_key.id] = "release_keys"
        for name, person in self.people.items():
            for key in person.keys:
                if key.id in owners:
                    raise ValueError(
                        f"the same key is listed twice, under {owners[key.id]} and {name} ({key.id[:16]}); each person needs a"
                        " separate key"
                    )
                owners[key.id] = name
        mails: dict[str, str] = {}
        for name, person in self.people.items():
            other = mails.setdefault(person.email.casefold(), name)
            if other != name:
                raise ValueError(
                    f"{other} and {name} have the same e-mail address {person.email}; list a person once, with all keys"
                )
        return self

    def signer(self, keyid: str) -> Signer | None:
        """Return the owner of the key with this id; None if it is unknown."""
        return self._by_key.get(keyid)

    @property
    def keys(self) -> list[Key]:
        """All keys: those of people, and those of releases."""
        return [*(key for person in self.people.values() for key in person.keys), *(self.release_keys or ())]

    def releasing(self, time: str) -> list[ReleaseKey]:
        """Return the release keys that are valid at a time."""
        return [key for key in self.release_keys or () if key.invalid_at(time) is None]

    @cached_property
    def _by_key(self) -> dict[str, Signer]:
        return {key.id: Signer(name, person, key) for name, person in self.people.items() for key in person.keys}


def load(file: Path = FILE) -> People:
    """Read and check the file. Raises `InputError` as `files.read` does."""
    return files.read(file, People)
