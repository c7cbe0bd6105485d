"""The beginning of a ledger: the first key, people.yaml and policy.yaml; and keys in the form of people.yaml."""

from pathlib import Path

import yaml

from fineline.errors import InputError
from fineline.governance import actions, files, keys, people, policy
from fineline.governance.ledger import Entry
from fineline.project import params
from fineline.project.params.block import NAME

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
        Refused: people.yaml is missing, although there is a ledger.
    """
    check_key_name(name)
    if not email.strip():
        raise InputError("--email: an address is needed, so that the person can be reached")
    files.refuse_lost(people.FILE)
    if params.FILE.exists() or files.ROOT.exists():
        return
    for above in Path.cwd().parents:
        if (above / params.FILE).exists() or (above / files.ROOT).is_dir():
            raise InputError(
                f"{Path.cwd()}: is inside of the project {above}; run the command there, not to begin a second ledger"
            )


def check_key_name(name: str) -> None:
    """Raise `InputError` unless the text can be the name of a key: it becomes a file."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a valid name: expected lower-case letters, digits and single inner hyphens, beginning with a"
            " letter"
        )


def entry_of(name: str, email: str, roles: list[str], public: str) -> dict[str, object]:
    """Return a person in the form of people.yaml."""
    return {"name": name, "email": email, "roles": roles, "keys": [{"public": public, "valid_from": files.now()}]}


def release_entry(public: str) -> dict[str, object]:
    """Return a release key in the form of people.yaml."""
    return {"scheme": "ecdsa-sha2-nistp256", "public": public, "valid_from": files.now()}


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
    _, backend = keys.signer(place, people.load())
    return actions.adopt(signer=backend)
