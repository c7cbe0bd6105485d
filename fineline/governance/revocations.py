"""Revocations: those in the ledger that apply to a chain of artifacts, signing one, and everything made from withdrawn data."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Artifact, canonical, reports
from fineline.errors import InputError
from fineline.governance import state, statements, store
from fineline.governance.evidence_bundle import SHIPPED
from fineline.governance.forms import Forms
from fineline.governance.ledger import Entry
from fineline.governance.signing import Who, checked_reason, sign
from fineline.governance.state import Kind, Revocation, State
from fineline.project import params
from fineline.project.candidate import Chain

Links = Mapping[str, tuple[str, str, Mapping[str, Any]]]
"""Role -> digest, name and parameters: what a revocation may name of a chain of artifacts."""


def links(chain: Chain) -> Links:
    """Return what a revocation may name of artifacts in this project."""
    return {role: (artifact.digest, artifact.name, artifact.parameters) for role, (_, artifact) in chain.items()}


def links_of_release(release: Mapping[str, Any]) -> Links:
    """Return what a revocation may name of the artifacts of a release.

    Args:
        release: The content of release.json.
    """
    found = {role: (one["digest"], one["name"], one["parameters"]) for role, one in release["artifacts"].items()}
    more = (release.get("forms") or {}).items()
    return found | {f"the form {form}": (one["digest"], one["name"], one["parameters"]) for form, one in more}


def links_of_forms(forms: Forms) -> Links:
    """Return what a revocation may name of further forms of a candidate."""
    return {f"the form {form}": (one.digest, one.name, one.parameters) for form, (_, one) in forms.items()}


def revoked(state: State, chain: Links) -> list[str]:
    """Return a sentence for each revocation that applies to a chain of artifacts."""
    return [reason for reason, _ in applying(state, chain)]


def applying(state: State, chain: Links) -> Iterator[tuple[str, Revocation]]:
    """Yield the revocations that apply to a chain of artifacts, each with a sentence."""
    for role, (digest, name, parameters) in chain.items():
        if (one := state.revoked("artifact", digest)) is not None:
            yield f"{role} {digest} was revoked by {one.entry.person}: {one.reason}", one
        if role == "base" and (one := state.revoked("base", name)) is not None:
            yield f"the base {name} was revoked by {one.entry.person}: {one.reason}", one
        for part in parameters.get("parts", {}) if role == "raw" else ():
            if (one := state.revoked("source", part)) is not None:
                yield f"the source {part} was withdrawn by {one.entry.person}: {one.reason}", one


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FEWEST = 12
"""Digits that may stand for a whole digest."""
_ABOUT_ARTIFACTS = (statements.PROVENANCE, statements.TEST_RESULT, statements.APPROVE, statements.REJECT, statements.PROMOTE)


def revoke(kind: Kind, what: str, who: Who, reason: str, since: str | None = None, now: str | None = None) -> Entry:
    """Sign that an artifact, a base, a source part or a key may no longer be used.

    Args:
        what: A digest, the name of a base or a source part, the id of a key, or the beginning of a digest or id in the ledger.
        since: Of a key: the time from which its signatures do not count; now if not given.

    Raises:
        InputError: The ledger and the project have nothing of that name or digest, or `since` is not a time.
    """
    present = state.load(now)
    what = _known(kind, what, present)
    predicate: dict[str, Any] = {"kind": kind, "what": what, "reason": checked_reason(reason)}
    if since is not None:
        if kind != "key":
            raise InputError(f"--since: applies to keys only; a revoked {kind} may not be used at all")
        if not _TIME.fullmatch(since):
            raise InputError(f"--since {since}: expected a time in UTC, such as 2026-03-01T00:00:00Z")
        predicate["since"] = since
    digest = what if kind == "artifact" else f"sha256:{what}" if kind == "key" else None
    subjects = {f"{kind} {what}": digest or canonical.digest(what)}
    return sign(statements.REVOKE, subjects, predicate, who, now)


def governors_left(keyid: str, present: State) -> tuple[int, int]:
    """Return how many governors remain without a key, and how many it takes to put people and policy in force."""
    in_force, keyid = present.present, keyid.removeprefix("sha256:")
    revoked = {one.what for one in present.revocations if one.kind == "key"}
    left = {
        name
        for name, person in in_force.people.people.items()
        if set(person.roles) & set(in_force.policy.govern.roles)
        for key in person.keys
        if key.id not in revoked and not key.id.startswith(keyid) and key.invalid_at(present.now) is None
    }
    return len(left), in_force.policy.govern.people


def _known(kind: Kind, what: str, present: State) -> str:
    """Return the full name of what is to be revoked. A typo must not be signed: it would look like a revocation."""
    wanted = what.removeprefix("sha256:") if kind in ("artifact", "key") else what
    if kind == "key":
        known = {key.id for one in present.adoptions for key in one.people.keys}
    elif kind == "artifact":
        known = {
            digest.removeprefix("sha256:")
            for entry in present.entries_of(*_ABOUT_ARTIFACTS)
            for digest in entry.subjects.values()
        }
    else:
        return _named(kind, what, present)
    found = sorted(one for one in known if len(wanted) >= _FEWEST and one.startswith(wanted))
    if len(found) == 1:
        return f"sha256:{found[0]}" if kind == "artifact" else found[0]
    if kind == "artifact" and _DIGEST.fullmatch(wanted):
        return f"sha256:{wanted}"  # not signed for yet; the revocation prevents it
    where = "people.yaml" if kind == "key" else "the ledger"
    problem = f"{len(found)} of them begin like this" if found else f"none in {where} begins like this"
    raise InputError(f"{kind} {what}: {problem}; give the id, or at least {_FEWEST} digits of it (`fineline history`)")


def _named(kind: Kind, what: str, present: State) -> str:
    """Return the name of a base or a source part that is in the ledger, a release, this project or params.yaml."""
    known: set[str] = set()
    for artifact in _chains(present):
        known |= set(_names(kind, *artifact))
        if what in known:  # before anything else is read: a broken artifact must not prevent a revocation
            return what
    if params.FILE.exists():
        found = params.load()
        parts = (part for adapter in found.adapters.values() for part in adapter.source.all_parts())
        known |= set(found.bases if kind == "base" else parts)
    if what in known:
        return what
    there_are = ", ".join(sorted(known)) or "none"
    raise InputError(f"{kind} {what}: nothing here was made from a {kind} of that name; there are {there_are}")


def _chains(present: State) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield kind, name and parameters of every artifact that is in the ledger, in a release or in this project."""
    for entry in present.entries_of(statements.PROVENANCE):
        build = entry.predicate["buildDefinition"]
        kind = str(build["buildType"]).removeprefix(statements.STAGE).partition(":")[0]
        for place in entry.subjects:
            yield kind, place.rsplit("/", 1)[-1], build["externalParameters"]
    for _, record in store.releases():
        for artifact in record["artifacts"].values():
            yield artifact["kind"], artifact["name"], artifact["parameters"]
    for _, artifact in artifacts_here():
        yield artifact.kind, artifact.name, artifact.parameters


def _names(kind: Kind, artifact: str, name: str, parameters: Mapping[str, Any]) -> Iterable[str]:
    """Return the names that an artifact gives for a revocation of that kind."""
    if kind == "base":
        return [name] if artifact == "base" else []
    return parameters.get("parts", {})


_ROOTS = (Path("data"), Path("models"))
_SPLITS = ("train", "validation", "test", "left_out")


@dataclass(frozen=True)
class Made:
    """An artifact or a release that was made from the withdrawn data."""

    path: Path
    kind: str
    digest: str
    channels: tuple[str, ...] = ()
    """For a release: the channels that point at it."""


def from_source(part: str) -> list[Made]:
    """Return everything in this project that was made from a source part, releases last.

    Raises:
        InputError: No raw data have such a part.
    """
    found = dict(artifacts_here())
    raw = {path for path, artifact in found.items() if part in artifact.parameters.get("parts", {})}
    released = [one for one in store.releases() if part in one[1]["artifacts"]["raw"]["parameters"].get("parts", {})]
    if not raw and not released:
        known = sorted({name for artifact in found.values() for name in artifact.parameters.get("parts", {})})
        raise InputError(f"no raw data have a source part {part!r}; there are {', '.join(known) or 'none'}")
    return [*_downstream(found, raw), *(_made(*one) for one in released)]


def from_row(identity: str) -> list[Made]:
    """Return everything in this project that was made from curated data with this row, releases last.

    Raises:
        InputError: No curated data have such a row, in any split or among the rows left out.
    """
    found = dict(artifacts_here())
    data = {path for path, artifact in found.items() if artifact.kind == "training-data" and _has(path, identity)}
    if not data:
        raise InputError(
            f"no curated data in this project have a row {identity!r}; restore older versions with `git checkout` and"
            " `dvc checkout`"
        )
    digests = {found[path].digest for path in data}
    released = [one for one in store.releases() if one[1]["artifacts"].get("data", {}).get("digest") in digests]
    return [*_downstream(found, data), *(_made(*one) for one in released)]


def artifacts_here() -> Iterator[tuple[Path, Artifact]]:
    """Yield every artifact in this project."""
    for root in _ROOTS:
        for record in sorted(root.rglob(artifacts.RECORD)):
            yield record.parent, artifacts.read(record.parent)


def _downstream(found: dict[Path, Artifact], sources: set[Path]) -> list[Made]:
    """Return the sources, artifacts with the same content, and everything made from them."""
    reached = {path for path, artifact in found.items() if artifact.digest in {found[one].digest for one in sources}}
    grown = True
    while grown:
        more = {
            path
            for path, artifact in found.items()
            if any(_is_from(source, found[one]) for source in artifact.inputs.values() for one in reached)
        }
        grown = not more <= reached
        reached |= more
    return [Made(path, one.kind, one.digest) for path, one in found.items() if path in reached]


def _is_from(source: artifacts.Input, artifact: Artifact) -> bool:
    try:
        return source.is_from(artifact)
    except InputError:  # other files, so another artifact
        return False


def _has(data: Path, identity: str) -> bool:
    files = (data / f"{split}.jsonl" for split in _SPLITS)
    return any(str(row.get("id")) == identity for file in files if file.is_file() for row in reports.read_lines(file))


def _made(path: Path, record: dict[str, Any]) -> Made:
    return Made(path, "release", record["artifacts"][SHIPPED]["digest"], tuple(store.channels_of(path)))
