"""Saying that something may not be used any more."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fineline.artifacts import canonical
from fineline.errors import InputError
from fineline.governance import downstream, state, statements
from fineline.governance.ledger import Entry
from fineline.governance.signing import Who, checked_reason, sign
from fineline.governance.state import Kind, State
from fineline.project import params

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FEWEST = 12
"""Digits that may stand for a whole digest."""
_ABOUT_ARTIFACTS = (statements.PROVENANCE, statements.TEST_RESULT, statements.APPROVE, statements.REJECT, statements.PROMOTE)


def revoke(kind: Kind, what: str, who: Who, reason: str, since: str | None = None, now: str | None = None) -> Entry:
    """Say that an artifact, a base, a source part or a key may not be used any more.

    Args:
        what: A digest, the name of a base or a source part, or the id of a key, or the beginning of one that the ledger knows.
        since: Of a key: from when on its signatures count for nothing; now, if left out.

    Raises:
        InputError: Nothing of that name or digest was ever signed for, or `since` is no time.
    """
    present = state.load(now)
    what = _known(kind, what, present)
    said: dict[str, Any] = {"kind": kind, "what": what, "reason": checked_reason(reason)}
    if since is not None:
        if kind != "key":
            raise InputError(f"--since: of a key only; a {kind} may not be used whenever it was made")
        if not _TIME.fullmatch(since):
            raise InputError(f"--since {since}: a time in UTC is needed, such as 2026-03-01T00:00:00Z")
        said["since"] = since
    digest = what if kind == "artifact" else f"sha256:{what}" if kind == "key" else None
    subjects = {f"{kind} {what}": digest or canonical.digest(what)}
    return sign(statements.REVOKE, subjects, said, who, now)


def governors_left(keyid: str, present: State) -> tuple[int, int]:
    """How many governors are left without a key, and how many it takes to put people and policy in force."""
    standing, keyid = present.present, keyid.removeprefix("sha256:")
    revoked = {one.what for one in present.revocations if one.kind == "key"}
    left = {
        name
        for name, person in standing.people.people.items()
        if set(person.roles) & set(standing.policy.govern.roles)
        for key in person.keys
        if key.id not in revoked and not key.id.startswith(keyid) and key.invalid_at(present.now) is None
    }
    return len(left), standing.policy.govern.people


def _known(kind: Kind, what: str, present: State) -> str:
    """The full name of what is to be revoked: a typo that looks like a revocation would be worse than none."""
    wanted = what.removeprefix("sha256:") if kind in ("artifact", "key") else what
    if kind == "key":
        known = {key.id for one in present.adoptions for person in one.people.people.values() for key in person.keys}
    elif kind == "artifact":
        known = {
            digest.removeprefix("sha256:") for entry in present.of(*_ABOUT_ARTIFACTS) for digest in entry.subjects.values()
        }
    else:
        return _named(kind, what, present)
    found = sorted(one for one in known if len(wanted) >= _FEWEST and one.startswith(wanted))
    if len(found) == 1:
        return f"sha256:{found[0]}" if kind == "artifact" else found[0]
    if kind == "artifact" and _DIGEST.fullmatch(wanted):
        return f"sha256:{wanted}"  # nobody has signed for it yet, and nobody is to
    where = "people.yaml" if kind == "key" else "the ledger"
    said = f"{len(found)} of them begin so" if found else f"{where} knows none that begins so"
    raise InputError(f"{kind} {what}: {said}; give its id, or at least {_FEWEST} digits of it (`fineline history`)")


def _named(kind: Kind, what: str, present: State) -> str:
    """A base or a part of a source that somebody signed for, was released, lies here, or stands in params.yaml."""
    known: set[str] = set()
    for artifact in _chains(present):
        known |= set(_names(kind, *artifact))
        if what in known:  # before anything else is read: what is broken here must keep nobody from revoking
            return what
    if params.FILE.exists():
        found = params.load()
        parts = (part for adapter in found.adapters.values() for part in adapter.source.all_parts())
        known |= set(found.bases if kind == "base" else parts)
    if what in known:
        return what
    there_are = ", ".join(sorted(known)) or "none"
    raise InputError(f"{kind} {what}: nothing here was made from one of that name; there are {there_are}")


def _chains(present: State) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Kind, name and parameters of every artifact that somebody signed for, was released, or lies here."""
    for entry in present.of(statements.PROVENANCE):
        build = entry.said["buildDefinition"]
        kind = str(build["buildType"]).removeprefix(statements.STAGE).partition(":")[0]
        for place in entry.subjects:
            yield kind, place.rsplit("/", 1)[-1], build["externalParameters"]
    for _, record in downstream.releases_here():
        for artifact in record["artifacts"].values():
            yield artifact["kind"], artifact["name"], artifact["parameters"]
    for _, artifact in downstream.artifacts_here():
        yield artifact.kind, artifact.name, artifact.parameters


def _names(kind: Kind, artifact: str, name: str, parameters: Mapping[str, Any]) -> Iterable[str]:
    """Which names for a revocation of that kind an artifact gives."""
    if kind == "base":
        return [name] if artifact == "base" else []
    return parameters.get("parts", {})
