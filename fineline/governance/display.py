"""The output of the commands: a candidate compared with what channels have, and the history of an adapter."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fineline.errors import InputError
from fineline.governance import store
from fineline.governance.evidence_bundle import SHIPPED, EvidenceBundle
from fineline.governance.state import State
from fineline.project import lock

console = Console(soft_wrap=True, highlight=False)


def show_candidate(bundle: EvidenceBundle, present: State) -> None:
    """Print what is signed, and how it differs from what each channel has."""
    shipped = bundle.ownership[SHIPPED]
    console.print(f"[bold]{bundle.adapter}[/], owner {shipped.owner}, license {shipped.license}")
    for line in lock.accepted_results(bundle.adapter):
        console.print(line, highlight=False, markup=False)
    for role, (path, artifact) in bundle.artifacts.items():
        console.print(f"  {role:<10} {artifact.digest}  {path}")
    curation = bundle.reports["curation"]
    splits = curation["splits"]
    sizes = ", ".join(f"{name} {part['rows'] if isinstance(part, dict) else part}" for name, part in splits.items())
    flags = ", ".join(bundle.flags) or "none"
    console.print(f"data: {curation['rows_in']} rows in, {curation['kept']} kept ({sizes}); flags: {flags}")
    for reason in bundle.reports["candidate"]["reasons"]:
        console.print(f"  {reason}", markup=False)
    console.print(f"verdict: [bold]{bundle.verdict}[/]")
    for channel in present.present.policy.channels:
        console.print(f"{channel}: {_compared(bundle, present, channel)}")


def show_history(name: str, present: State) -> None:
    """Print every entry about the candidates of an adapter, in order, and what each channel has now.

    Raises:
        InputError: There is no entry about the adapter.
    """
    table = Table("time", "who", "what", "channel", "candidate", "reason", box=None, pad_edge=False)
    for entry in present.ledger.entries:
        if entry.predicate.get("adapter") != name:
            continue
        digest = next(iter(entry.subjects.values())).removeprefix("sha256:")[:12]
        void = present.void(entry)
        reason = str(entry.predicate.get("reason", "")) + (f" (no longer counts: {void})" if void else "")
        channel = str(entry.predicate.get("channel") or "")
        table.add_row(*(_plain(text) for text in (entry.time, entry.person, entry.action, channel, digest, reason)))
    if not table.row_count:
        known = {str(one.predicate["adapter"]) for one in present.ledger.entries if one.predicate.get("adapter")}
        raise InputError(f"no entry about an adapter {name!r}; there are entries about {', '.join(sorted(known)) or 'none'}")
    console.print(table)
    for each in present.present.policy.channels:
        last = present.current(name, each)
        if last is not None:
            console.print(f"{each}: {last.predicate['release']['candidate']} since {last.time}")


def _compared(bundle: EvidenceBundle, present: State, channel: str) -> str:
    before = present.current(bundle.adapter, channel)
    if before is None:
        return "empty"
    release = before.predicate["release"]
    if release["name"] == bundle.release:
        return f"has this candidate since {before.time}"
    place = store.directory(bundle.adapter, release["name"])
    if not place.exists():  # releases are not in git: it may have been promoted on another machine
        return f"{release['candidate']}, since {before.time}; not on this machine, so it cannot be compared"
    return f"{release['candidate']}, since {before.time}; compared with it, {_changes(store.verified(place), bundle)}"


def _changes(record: dict[str, Any], bundle: EvidenceBundle) -> str:
    """Return what differs from a release."""
    other = [
        role
        for role, (_, artifact) in bundle.artifacts.items()
        if record["artifacts"].get(role, {}).get("digest") != artifact.digest
    ]
    template = record["evidence"]["chat_template"] != bundle.evidence["chat_template"]
    words = [f"{', '.join(other)} changed" if other else "no artifact changed"]
    words.append("the chat template changed" if template else "the chat template is the same")
    return "; ".join(words)


def _plain(text: str) -> str:
    """Return text from a record for a terminal: it cannot move the cursor or become markup."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))
