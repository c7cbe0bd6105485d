"""How a ledger begins: with one person, and a policy that says so."""

from pathlib import Path

import yaml

from fineline.errors import InputError
from fineline.governance import acts, files, keys, people, policy
from fineline.governance.ledger import Entry
from fineline.project import params
from fineline.project.params.block import NAME

ROLES = ["governor", "builder", "approver", "releaser"]
"""Of somebody who is alone."""

POLICY = """\
# What must be signed by whom before a release is in a channel. docs/governance.md describes each key. A change counts once a
# governor has put it in force: `fineline adopt`.
govern: {roles: [governor], people: 1}
acts:
  attest: [builder]     # signs how things were made and judged
  promote: [releaser]
  rollback: [releaser]
  revoke: [governor, approver]
channels:
  staging: # one person is enough, also the one who made it; the record says that nobody else looked
    approve: {roles: [approver], people: 1, producer: true}
  production: # two people, neither of whom made it, and none of it older than three months
    approve: {roles: [approver], people: 2, producer: false, max_age_days: 90}
"""


def check(name: str, email: str) -> None:
    """Whether a key may be made here for somebody of that name.

    Raises:
        InputError: The name or address is none, or this is a directory within a project, where a second ledger would begin.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is no usable name: lower-case letters, digits and single inner hyphens, a letter first")
    if not email.strip():
        raise InputError("--email: an address is needed, or nobody knows whom to ask")
    if params.FILE.exists() or files.ROOT.exists():
        return
    for above in Path.cwd().parents:
        if (above / params.FILE).exists() or (above / files.ROOT).is_dir():
            raise InputError(f"{Path.cwd()}: lies within the project {above}; run it there, or a second ledger would begin")


def entry_of(name: str, email: str, roles: list[str], public: str) -> dict[str, object]:
    """A person as people.yaml has it."""
    return {"name": name, "email": email, "roles": roles, "keys": [{"public": public, "valid_from": files.now()}]}


def begin(person: str, entry: dict[str, object], place: str) -> Entry:
    """Write people.yaml and policy.yaml with one person, and put them in force with that person's key.

    Args:
        place: Of the private key.

    Raises:
        InputError: There is a people.yaml already.
    """
    if people.FILE.exists():
        raise InputError(f"{people.FILE}: there already; add the person there, and `fineline adopt`")
    people.FILE.parent.mkdir(parents=True, exist_ok=True)
    head = "# Who may sign, with which key. A change counts once a governor has put it in force: `fineline adopt`.\n"
    text = yaml.safe_dump({"people": {person: entry}}, sort_keys=False, allow_unicode=True, width=120)
    people.FILE.write_text(head + text, encoding="utf-8")
    if not policy.FILE.exists():
        policy.FILE.write_text(POLICY, encoding="utf-8")
    _, signer = keys.signer(place, people.load())
    return acts.adopt(signer=signer)
