"""`fineline keygen|adopt|attest|show|approve|reject|promote|rollback|revoke|history`: what people sign (docs/governance.md)."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fineline.artifacts import reports
from fineline.errors import InputError, Refused
from fineline.governance import (
    acts,
    attesting,
    beginning,
    channels,
    dossier,
    files,
    keys,
    ledger,
    people,
    policy,
    requirements,
    revoking,
    signing,
    state,
    statements,
    store,
)
from fineline.governance.dossier import SHIPPED, Dossier
from fineline.governance.state import Kind, State
from fineline.project import params

AdapterName = Annotated[str, typer.Argument(metavar="ADAPTER", help="A name under `adapters:` in params.yaml.")]
KeyPlace = Annotated[str | None, typer.Option("--key", metavar="FILE|URI", help=f"Your key; or set {keys.VARIABLE}.")]
Reason = Annotated[str, typer.Option(help="It is signed with the rest: whoever reads it in a year has nothing else.")]
Subject = Annotated[
    str, typer.Argument(metavar="ADAPTER|ARTIFACT", help="An adapter's candidate, or the directory of an artifact.")
]
ForChannel = Annotated[str | None, typer.Option("--for", metavar="CHANNEL", help="For which channel, of an adapter.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

console = Console(soft_wrap=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Put the commands into the `fineline` command."""
    for command in (keygen, adopt, attest, show, approve, reject, promote, rollback, revoke, history):
        app.command()(command)


def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Short, such as ada; it stands in every signature.")],
    email: Annotated[str, typer.Option(help="How to reach that person.")],
    full_name: Annotated[str | None, typer.Option("--full-name", help="As people write it.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="May be repeated; all of them if nobody is there yet.")] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the private key goes: outside of the project.")] = None,
) -> None:
    """Make a key. The first one also begins the ledger, with one person and a policy to start from."""
    beginning.check(name, email)
    first = not people.FILE.exists()
    place = to or keys.default(name)
    public = keys.make(place, os.environ.get(keys.PASSPHRASE))
    roles = role or (beginning.ROLES if first else ["approver"])
    entry = beginning.entry_of(full_name or name, email, roles, public)
    console.print(f"{place}: the private key; keep it to yourself, and a copy in a safe place")
    if first:
        made = beginning.begin(name, entry, str(place))
        console.print(f"{people.FILE} and {policy.FILE} are in force, signed by {name}: {made.id}")
        console.print(f"from now on: export {keys.VARIABLE}={place}")
        console.print("There is no second pair of eyes yet: the production channel refuses until two others can approve.")
        return
    block = yaml.safe_dump({name: entry}, sort_keys=False, allow_unicode=True, width=120)
    console.print(f"for {people.FILE}, under `people:`; a governor then runs `fineline adopt`:\n\n{block}", markup=False)


def adopt(key: KeyPlace = None) -> None:
    """Put people.yaml and policy.yaml as they are now in force, or agree to them as another governor."""
    time = files.now()
    book = ledger.read()
    if len(book) == 0:
        entry = acts.adopt(signer=keys.signer(key, people.load())[1], now=time)
    else:
        entry = acts.adopt(_governor(key, State(book, time)), now=time)
    missing = State(ledger.read(), time).missing_governors(people.load(), policy.load())
    console.print(f"signed by {entry.person}: {entry.id}")
    console.print("in force" if not missing else f"{missing} more governors must run `fineline adopt` before it is in force")


def attest(name: AdapterName, key: KeyPlace = None) -> None:
    """Sign how everything behind a candidate was made, and how it was judged. Whoever ran the stages does this."""
    params.load().adapter(name)
    made = attesting.attest(name, _who(key))
    for entry in made:
        what = "judged" if entry.kind == statements.TEST_RESULT else "made"
        console.print(f"{what}: {next(iter(entry.subjects))}, signed by {entry.person}: {entry.id}")
    if not made:
        console.print("everything is attested already")


def show(
    name: AdapterName,
    channel: Annotated[str | None, typer.Option("--for", metavar="CHANNEL", help="Also what is missing for it.")] = None,
) -> None:
    """What there is to sign: the candidate with all that stands behind it, and what has been signed."""
    params.load().adapter(name)
    found = dossier.of(name)
    present = state.load()
    _show(found, present)
    for each in [channel] if channel else list(present.present.policy.channels):
        missing = requirements.missing(present, found, each)
        console.print(f"[bold]{each}[/]: {'may be promoted' if not missing else 'not yet'}")
        for reason in missing:
            console.print(f"  {reason}", markup=False)


def approve(what: Subject, reason: Reason, channel: ForChannel = None, key: KeyPlace = None, yes: Yes = False) -> None:
    """Say yes, after it was shown what to. The signature binds every digest, report and the policy of today."""
    _decide(what, channel, reason, key, yes, approve=True)


def reject(what: Subject, reason: Reason, channel: ForChannel = None, key: KeyPlace = None, yes: Yes = False) -> None:
    """Say no. These bytes will not be promoted; another candidate is another matter."""
    _decide(what, channel, reason, key, yes, approve=False)


def promote(
    name: AdapterName,
    channel: Annotated[str, typer.Option("--to", metavar="CHANNEL", help="A channel of governance/policy.yaml.")],
    key: KeyPlace = None,
) -> None:
    """Verify everything, place an immutable release, and let the channel point at it."""
    params.load().adapter(name)
    entry = acts.promote(name, channel, _who(key))
    if entry is None:
        console.print(f"{channel} has this candidate already")
        return
    said = entry.said
    console.print(f"{store.channel(name, channel)} -> {store.directory(name, said['release']['name'])}")
    agreed = ", ".join(said.get("approved_by", ()))
    alone = "" if said.get("second_pair_of_eyes") else "; nobody else looked at it, and the record says so"
    console.print(f"approved by {agreed}, promoted by {entry.person}{alone}: {entry.id}")


def rollback(
    name: AdapterName,
    channel: Annotated[str, typer.Option("--in", metavar="CHANNEL", help="A channel of governance/policy.yaml.")],
    reason: Reason,
    to: Annotated[str | None, typer.Option(metavar="DIGEST", help="Which release; the one before, if left out.")] = None,
    key: KeyPlace = None,
) -> None:
    """Let a channel go back to a release that it had, if that still holds today."""
    entry = acts.rollback(name, channel, _who(key), reason, to)
    console.print(f"{store.channel(name, channel)} -> {store.directory(name, entry.said['release']['name'])}")
    console.print(f"rolled back by {entry.person} to {entry.said['release']['candidate']}: {entry.id}")


def revoke(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="artifact, base, source or key.")],
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A digest; the name of a base or a source part; the id of a key.")
    ],
    reason: Reason,
    since: Annotated[str | None, typer.Option(help="Of a key: its signatures from this time on count for nothing.")] = None,
    key: KeyPlace = None,
    yes: Yes = False,
) -> None:
    """Say that something may not be used any more, and list what was made from it."""
    who = _who(key)
    if kind == "key":
        left, needed = revoking.governors_left(what, state.load())
        if left < needed:
            console.print(f"Without it {left} of {needed} governors are left, and nobody can adopt a new key any more.")
            console.print(f"Add one to {people.FILE} and `fineline adopt` first; then revoke this one, signed with that.")
            _ask(f"{who[0]}, revoke it all the same?", yes)
    entry = revoking.revoke(kind, what, who, reason, since)
    console.print(f"revoked by {entry.person}: {entry.id}")
    present = state.load()
    touched = False
    for release in sorted(store.ROOT.glob("*/*/" + store.RECORD)):
        record = reports.read(release)
        for problem in channels.tainted(present, record):
            touched = True
            links = (release.parent.parent / "channels").glob("*")
            in_use = ", ".join(sorted(one.name for one in links if one.resolve() == release.parent.resolve()))
            where = f", which is in {in_use} now: roll it back" if in_use else ""
            console.print(f"tainted: {release.parent}{where}: {problem}", markup=False)
    if not touched:
        console.print("no release was made from it")


def history(name: AdapterName) -> None:
    """Who did what with the candidates of an adapter, in order."""
    present = State(ledger.read(), files.now())
    told = False
    table = Table("time", "who", "what", "channel", "candidate", "reason", box=None, pad_edge=False)
    for entry in present.ledger.entries:
        if entry.said.get("adapter") != name:
            continue
        digest = next(iter(entry.subjects.values())).removeprefix("sha256:")[:12]
        void = present.void(entry)
        reason = str(entry.said.get("reason", "")) + (f" (counts no longer: {void})" if void else "")
        channel = str(entry.said.get("channel") or "")
        told = True
        table.add_row(*(_plain(text) for text in (entry.time, entry.person, entry.act, channel, digest, reason)))
    if not told:
        known = ", ".join(sorted({str(one.said["adapter"]) for one in present.ledger.entries if one.said.get("adapter")}))
        raise InputError(f"nobody signed anything about an adapter {name!r}; there is a history of {known or 'none'}")
    console.print(table)
    for each in present.present.policy.channels:
        last = channels.standing(present, name, each)
        if last is not None:
            console.print(f"{each}: {last.said['release']['candidate']} since {last.time}")


def _plain(text: str) -> str:
    """Text of somebody else for a terminal: it neither moves the cursor nor becomes markup."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))


def _decide(what: str, channel: str | None, reason: str, key: str | None, yes: bool, *, approve: bool) -> None:
    who = _who(key)
    word = "approve" if approve else "reject"
    if what in params.load().adapters:
        if channel is None:
            known = ", ".join(policy.load().channels)
            raise InputError(f"for which channel? Give --for; there are {known}")
        _show(dossier.of(what), state.load())
        _ask(f"{who[0]}, {word} this for {channel}?", yes)
        entry = acts.decide(what, channel, who, reason, approve=approve)
    else:
        _ask(f"{who[0]}, {word} {what}?", yes)
        entry = acts.decide_upstream(Path(what), who, reason, approve=approve)
    console.print(f"{word}d by {entry.person}: {entry.id}" if approve else f"rejected by {entry.person}: {entry.id}")


def _show(found: Dossier, present: State) -> None:
    """What is being signed, and how it differs from what is out there."""
    shipped = found.artifacts[SHIPPED][1]
    console.print(f"[bold]{found.adapter}[/], owner {shipped.owner}, license {shipped.license}")
    for role, (path, artifact) in found.artifacts.items():
        console.print(f"  {role:<10} {artifact.digest}  {path}")
    curation = found.reports["curation"]
    splits = curation["splits"]
    sizes = ", ".join(f"{name} {part['rows'] if isinstance(part, dict) else part}" for name, part in splits.items())
    console.print(
        f"data: {curation['rows_in']} rows in, {curation['kept']} kept ({sizes}); flags: {', '.join(found.flags) or 'none'}"
    )
    candidate = found.reports["candidate"]
    for reason in candidate["reasons"]:
        console.print(f"  {reason}", markup=False)
    console.print(f"verdict: [bold]{found.verdict}[/]")
    for channel in present.present.policy.channels:
        before = channels.standing(present, found.adapter, channel)
        if before is None:
            console.print(f"{channel}: nothing yet")
            continue
        release = before.said["release"]
        if release["name"] == found.release:
            console.print(f"{channel}: this very candidate, since {before.time}")
            continue
        place = store.directory(found.adapter, release["name"])
        if not place.exists():  # releases are not in git: this machine may never have had it
            console.print(
                f"{channel}: {release['candidate']}, since {before.time}; it does not lie here, so nothing is compared"
            )
            continue
        record = store.verified(place)
        console.print(f"{channel}: {release['candidate']}, since {before.time}; against it, {_changes(record, found)}")


def _changes(record: dict[str, Any], found: Dossier) -> str:
    """What is other than in a release that is out."""
    other = [
        role
        for role, (_, artifact) in found.artifacts.items()
        if record["artifacts"].get(role, {}).get("digest") != artifact.digest
    ]
    template = record["evidence"]["chat_template"] != found.evidence["chat_template"]
    words = [f"{', '.join(other)} changed" if other else "no artifact changed"]
    words.append("the chat template changed" if template else "the chat template is the same")
    return "; ".join(words)


def _ask(question: str, yes: bool) -> None:
    if not yes and not typer.confirm(question):
        raise Refused("nothing was signed")


def _governor(key: str | None, present: State) -> signing.Who:
    """Whose key it is, by what is in force, also where that is two things."""
    *others, last = (one.people for one in present.standing)
    for known in others:
        try:
            return keys.signer(key, known)
        except Refused:  # nobody's there: perhaps somebody's in the other
            continue
    return keys.signer(key, last)


def _who(key: str | None) -> signing.Who:
    return keys.signer(key, state.load().present.people)
