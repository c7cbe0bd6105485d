"""A project with a release key, and a release signed with it."""

import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from fineline.governance import bootstrap, keys, people, store
from tests.governance.conftest import NAME, day


def release_key(directory, name="releases"):
    """Generate a release key, and return its file and its public half."""
    file = directory / f"{name}.pem"
    public = keys.make_release_key(file)
    file.with_suffix(".pub").write_text(public)
    return file, public


def listed(public, since=1, **key):
    """A release key in the form of people.yaml."""
    return bootstrap.release_entry(public) | {"valid_from": day(since)} | key


def signer(file):
    """The signer of a release key."""
    return CryptoSigner(load_pem_private_key(file.read_bytes(), None))


def promoted(world, directory, channel="production"):
    """Promote the candidate in a project with a release key, and return the release and the file of the key."""
    file, public = release_key(directory)
    world.content["release_keys"] = [listed(public)]
    world.ready()
    from fineline.governance import actions

    actions.promote(NAME, channel, world.who("cho"), day(4), str(file))
    return store.channel(NAME, channel), file


def plain(file):
    """Make a file of a release writable, and return it."""
    file.chmod(0o644)
    return file


def in_force():
    """The content of people.yaml."""
    return yaml.safe_load(people.FILE.read_text())
