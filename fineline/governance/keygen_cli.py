"""`fineline keygen` (docs/governance.md)."""

import os
from pathlib import Path
from typing import Annotated

import typer
import yaml

from fineline.governance import bootstrap, keys, people, policy
from fineline.governance.display import console


def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Short, such as ada; part of every signature.")],
    email: Annotated[str, typer.Option(help="The person's address.")] = "",
    full_name: Annotated[str | None, typer.Option("--full-name", help="The person's full name.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="May be repeated; all roles for the first person.")] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the private key: outside of the project.")
    ] = None,
    release: Annotated[
        bool, typer.Option("--release", help="A key that signs releases for other tools (model.sig) instead of a person's.")
    ] = False,
) -> None:
    """Generate a key. The first key also begins the ledger, with one person and a policy to start from."""
    if release:
        _release_keygen(name, to)
        return
    bootstrap.check_person(name, email)
    first = not people.FILE.exists()
    place = to or keys.default(name)
    public = keys.make(place, os.environ.get(keys.PASSPHRASE))
    roles = role or (bootstrap.ROLES if first else ["approver"])
    entry = bootstrap.entry_of(full_name or name, email, roles, public)
    console.print(f"{place}: the private key; keep it secret, and keep a copy in a safe place")
    if first:
        made = bootstrap.begin(name, entry, str(place))
        console.print(f"{people.FILE} and {policy.FILE} are in force, signed by {name}: {made.id}")
        console.print(f"to sign with this key: export {keys.VARIABLE}={place}")
        console.print("production promotion needs two more approvers")
        return
    block = yaml.safe_dump({name: entry}, sort_keys=False, allow_unicode=True, width=120)
    console.print(f"add to {people.FILE}, under `people:`; then a governor runs `fineline adopt`:\n\n{block}", markup=False)


def _release_keygen(name: str, to: Path | None) -> None:
    bootstrap.check_key_name(name)
    place = to or keys.default(name)
    public = keys.make_release_key(place, os.environ.get(keys.PASSPHRASE))
    published = place.with_suffix(".pub")
    published.write_text(public, encoding="utf-8")
    console.print(f"{place}: the private key; keep it secret, and keep a copy in a safe place")
    console.print(f"{published}: the public key, for `model_signing verify key`; publish it where consumers trust it")
    block = yaml.dump({"release_keys": [bootstrap.release_entry(public)]}, Dumper=_Readable, sort_keys=False)
    console.print(f"add to {people.FILE}, next to `people:`; then a governor runs `fineline adopt`:\n\n{block}", markup=False)
    console.print(f"to sign releases with this key: export {keys.RELEASE_VARIABLE}={place}")


class _Readable(yaml.SafeDumper):
    """Writes text of several lines as such."""


_Readable.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)
