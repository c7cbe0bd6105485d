"""`fineline keygen|adopt|attest|show|approve|reject|promote|rollback|revoke|history` (docs/governance.md)."""

from pathlib import Path
from typing import Annotated

import typer

from fineline.errors import InputError, Refused
from fineline.governance import (
    actions,
    display,
    evidence_bundle,
    files,
    keys,
    ledger_files,
    packing,
    people,
    policy,
    requirements,
    revocations,
    signing,
    state,
    statements,
    store,
)
from fineline.governance.display import console
from fineline.governance.state import Kind, State
from fineline.project import params
from fineline.project.argument import AdapterName, adapter_names

KeyPlace = Annotated[
    str | None, typer.Option("--key", metavar="FILE|URI", help=f"Your signing key; {keys.VARIABLE} if not given.")
]
Reason = Annotated[str, typer.Option(help="Signed with the rest, for later readers of the record.")]
Subject = Annotated[
    str,
    typer.Argument(
        metavar="ADAPTER|ARTIFACT",
        help="An adapter, for its candidate, or the directory of an artifact.",
        autocompletion=adapter_names,
    ),
]
ForChannel = Annotated[
    str | None, typer.Option("--for", metavar="CHANNEL", help="The channel, for the candidate of an adapter.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def adopt(key: KeyPlace = None) -> None:
    """Put people.yaml and policy.yaml in force as they are now, or agree to them as another governor."""
    time = files.now()
    book = ledger_files.read()
    if len(book) == 0:
        entry = actions.adopt(signer=keys.signer(key, people.load())[1], now=time)
    else:
        entry = actions.adopt(_governor(key, State(book, time)), now=time)
    missing = State(ledger_files.read(), time).missing_governors(people.load(), policy.load())
    console.print(f"signed by {entry.person}: {entry.id}")
    console.print("in force" if not missing else f"{missing} more governors must run `fineline adopt` before it is in force")


def attest(name: AdapterName, key: KeyPlace = None) -> None:
    """Sign how a candidate was made and how it was judged. Run it where the stages ran."""
    params.load().adapter(name)
    made = signing.attest(name, _who(key))
    for entry in made.entries:
        what = "judged" if entry.kind == statements.TEST_RESULT else "made"
        console.print(f"{what}: {next(iter(entry.subjects))}, signed by {entry.person}: {entry.id}")
    for problem in made.incomplete:
        console.print(f"warning: {problem}", markup=False)
    if not made.entries:
        console.print("everything is attested already")


def show(
    name: AdapterName,
    channel: Annotated[
        str | None,
        typer.Option("--for", metavar="CHANNEL", help="Show this channel only."),
    ] = None,
) -> None:
    """Show a candidate with its evidence, and what each channel still needs."""
    params.load().adapter(name)
    bundle = evidence_bundle.collect(name)
    present = state.load()
    display.show_candidate(bundle, present)
    for each in [channel] if channel else list(present.present.policy.channels):
        missing = requirements.missing(present, bundle, each)
        console.print(f"[bold]{each}[/]: {'may be promoted' if not missing else 'not yet'}")
        for reason in missing:
            console.print(f"  {reason}", markup=False)


def approve(what: Subject, reason: Reason, channel: ForChannel = None, key: KeyPlace = None, yes: Yes = False) -> None:
    """Approve a candidate or an artifact after it was shown. The signature binds every digest, every report and the policy."""
    _decide(what, channel, reason, key, yes, approve=True)


def reject(what: Subject, reason: Reason, channel: ForChannel = None, key: KeyPlace = None, yes: Yes = False) -> None:
    """Reject a candidate or an artifact. These bytes will not be promoted; other candidates are not affected."""
    _decide(what, channel, reason, key, yes, approve=False)


def promote(
    name: AdapterName,
    channel: Annotated[str, typer.Option("--to", metavar="CHANNEL", help="A channel of governance/policy.yaml.")],
    key: KeyPlace = None,
    release_key: Annotated[
        str | None,
        typer.Option(metavar="FILE|URI", help=f"Key that signs model.sig; {keys.RELEASE_VARIABLE} if not given."),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(metavar="NAME,NAME", help="Further formats or forms that the release contains, such as gguf,safetensors."),
    ] = "",
) -> None:
    """Verify everything, place an immutable release, and point the channel at it."""
    params.load().adapter(name)
    entry = actions.promote(
        name, channel, _who(key), release_key=release_key, further=[one.strip() for one in formats.split(",") if one.strip()]
    )
    if entry is None:
        console.print(f"{channel} has this candidate already")
        return
    fields = entry.predicate
    console.print(f"{store.channel(name, channel)} -> {store.directory(name, fields['release']['name'])}")
    for problem in packing.redistribution(store.verified(store.directory(name, fields["release"]["name"]))):
        console.print(f"note: {problem}; `fineline pack` asks for --accept-license", markup=False)
    agreed = ", ".join(fields.get("approved_by", ()))
    alone = "" if fields.get("second_pair_of_eyes") else "; reviewed only by its author, as the record says"
    console.print(f"approved by {agreed}, promoted by {entry.person}{alone}: {entry.id}")


def pack(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="A directory with a release.json.")],
    oci: Annotated[Path, typer.Option("--oci", metavar="DIR", help="New directory for an OCI image layout.")],
    accept_license: Annotated[
        bool,
        typer.Option("--accept-license", help="Pack although a license forbids redistribution, or is not known to allow it."),
    ] = False,
) -> None:
    """Write a verified release as an OCI image layout, with what was signed about it."""
    made = packing.pack(release, oci, accept_license=accept_license)
    for problem in made.unclear:
        console.print(f"accepted: {problem}", markup=False)
    console.print(f"{oci}:{made.reference}  {made.digest}", highlight=False, markup=False)
    console.print(f"{made.statements} signed statements refer to it")


def rollback(
    name: AdapterName,
    channel: Annotated[str, typer.Option("--in", metavar="CHANNEL", help="A channel of governance/policy.yaml.")],
    reason: Reason,
    to: Annotated[str | None, typer.Option(metavar="DIGEST", help="The release; the previous one if not given.")] = None,
    key: KeyPlace = None,
) -> None:
    """Return a channel to a release that it had before, if that still verifies."""
    entry = actions.rollback(name, channel, _who(key), reason, to)
    console.print(f"{store.channel(name, channel)} -> {store.directory(name, entry.predicate['release']['name'])}")
    console.print(f"rolled back by {entry.person} to {entry.predicate['release']['candidate']}: {entry.id}")


def revoke(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="artifact, base, source or key.")],
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A digest; the name of a base or a source part; the id of a key.")
    ],
    reason: Reason,
    since: Annotated[str | None, typer.Option(help="Of a key: the time from which its signatures do not count.")] = None,
    key: KeyPlace = None,
    yes: Yes = False,
) -> None:
    """Record that something may no longer be used, and list the releases that were made from it."""
    who = _who(key)
    if kind == "key":
        left, needed = revocations.governors_left(what, state.load())
        if left < needed:
            console.print(f"Without this key {left} of {needed} governors remain, so no new key can be adopted any more.")
            console.print(
                f"First add a key to {people.FILE} and run `fineline adopt`; then revoke this one, signed with the new."
            )
            _ask(f"{who[0]}, revoke it all the same?", yes)
    entry = revocations.revoke(kind, what, who, reason, since)
    console.print(f"revoked by {entry.person}: {entry.id}")
    present = state.load()
    tainted = [(place, problem) for place, record in store.releases() for problem in requirements.tainted(present, record)]
    for place, problem in tainted:
        in_use = ", ".join(store.channels_of(place))
        where = f", which is in {in_use} now: roll it back" if in_use else ""
        console.print(f"tainted: {place}{where}: {problem}", markup=False)
    if not tainted:
        console.print("no release was made from it")


def history(name: AdapterName) -> None:
    """List who did what with the candidates of an adapter, in order."""
    display.show_history(name, State(ledger_files.read(), files.now()))


def _decide(what: str, channel: str | None, reason: str, key: str | None, yes: bool, *, approve: bool) -> None:
    who = _who(key)
    word = "approve" if approve else "reject"
    if what in params.load().adapters:
        if channel is None:
            raise InputError(f"no channel: pass --for CHANNEL; there are {', '.join(policy.load().channels)}")
        display.show_candidate(evidence_bundle.collect(what), state.load())
        _ask(f"{who[0]}, {word} this for {channel}?", yes)
        entry = actions.decide(what, channel, who, reason, approve=approve)
    else:
        _ask(f"{who[0]}, {word} {what}?", yes)
        entry = actions.decide_upstream(Path(what), who, reason, approve=approve)
    console.print(f"{entry.action} by {entry.person}: {entry.id}")


def _ask(question: str, yes: bool) -> None:
    if not yes and not typer.confirm(question):
        raise Refused("nothing was signed")


def _governor(key: str | None, present: State) -> signing.Who:
    """Return the owner of the key by what is in force, also where two adoptions are."""
    *others, last = (one.people for one in present.adoptions_in_force)
    for known in others:
        try:
            return keys.signer(key, known)
        except Refused:  # not in these people: try the others
            continue
    return keys.signer(key, last)


def _who(key: str | None) -> signing.Who:
    return keys.signer(key, state.load().present.people)
