"""What people do: each act looks at everything anew, then signs one entry of the ledger."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer

from pipelines import artifacts, canonical, documents
from pipelines.artifacts import Artifact
from pipelines.errors import InputError, Refused
from pipelines.governance import contents, dossier, files, ledger, people, policy, requirements, state, statements, store
from pipelines.governance.dossier import SHIPPED, Dossier
from pipelines.governance.ledger import Entry
from pipelines.governance.state import Kind, State

Who = tuple[str, Signer]
"""A person, by the name in people.yaml, and the key."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FEWEST = 12
"""Digits that may stand for a whole digest."""
_ABOUT_ARTIFACTS = (statements.PROVENANCE, statements.TEST_RESULT, statements.APPROVE, statements.REJECT, statements.PROMOTE)

ROLES = {"base": "base", "raw-data": "raw", "training-data": "data", "adapter": "adapter", "merged-model": "merged"}
"""Kind of artifact -> role in the making of a release."""


def adopt(who: Who | None = None, signer: Signer | None = None, now: str | None = None) -> Entry:
    """Put people.yaml and policy.yaml as they are now in force, or agree to it as another governor.

    Args:
        signer: Of the very first entry, when nobody is in force yet.

    Raises:
        Refused: Whoever signs is no governor.
        InputError: Nothing has changed.
    """
    time = now or files.now()
    book = ledger.read()
    new_people, new_policy = people.load(), policy.load()
    if len(book) == 0:
        backend = signer or (who[1] if who else None)
        found = new_people.signer(backend.public_key.keyid) if backend else None
        if backend is None or found is None:
            raise Refused(f"{people.FILE}: whoever begins the ledger must be in it with the key that signs")
        before, person = None, found.id
    else:
        assert who is not None
        present = State(book, time)
        before, (person, backend) = present.present.digest, who
        if present.present.people.digest == new_people.digest and present.present.policy.digest == new_policy.digest:
            raise InputError("governance/people.yaml and governance/policy.yaml are in force as they are")
    said = {"people": new_people.content, "policy": new_policy.content, "replaces": before}
    subjects = {str(people.FILE): new_people.digest, str(policy.FILE): new_policy.digest}
    return _sign(statements.ADOPT, subjects, said, (person, backend), time)


def attest(adapter: str, who: Who, now: str | None = None) -> list[Entry]:
    """Sign how everything behind a candidate was made, and how it was judged.

    Raises:
        Refused: Something does not fit together (see `dossier.of`), or the signer's role does not allow it.
    """
    found = dossier.of(adapter)
    _refuse_contents(found)
    present = state.load(now)
    counting = [one for one in present.of(statements.PROVENANCE, statements.TEST_RESULT) if present.void(one) is None]
    known = {digest for one in counting if one.kind == statements.PROVENANCE for digest in one.subjects.values()}
    made = []
    for role, (path, artifact) in found.artifacts.items():
        if role in (*ROLES.values(), SHIPPED) and artifact.digest not in known:
            made.append(
                _sign(statements.PROVENANCE, {path.as_posix(): artifact.digest}, _provenance(artifact, who[0]), who, now)
            )
            known.add(artifact.digest)
    judged = [one for one in counting if one.kind == statements.TEST_RESULT and found.digest in one.subjects.values()]
    if not judged or judged[-1].said.get("evidence") != found.evidence:
        subjects = {found.artifacts[SHIPPED][0].as_posix(): found.digest}
        made.append(_sign(statements.TEST_RESULT, subjects, _test_result(found), who, now))
    return made


def decide(adapter: str, channel: str, who: Who, reason: str, *, approve: bool, now: str | None = None) -> Entry:
    """Say yes or no to the candidate of an adapter in a channel; the signature binds all that stands behind it.

    Raises:
        InputError: There is no such channel, or no reason is given.
        Refused: Something does not fit together.
    """
    found = dossier.of(adapter)
    _refuse_contents(found)
    present = state.load(now).present
    if channel not in present.policy.channels:
        raise InputError(
            f"there is no channel {channel!r} in governance/policy.yaml; there are {', '.join(present.policy.channels)}"
        )
    said = {
        "role": SHIPPED,
        "adapter": adapter,
        "channel": channel,
        "policy": present.policy.digest,
        "evidence": found.evidence,
        "reason": _reason(reason),
    }
    kind = statements.APPROVE if approve else statements.REJECT
    return _sign(kind, {found.artifacts[SHIPPED][0].as_posix(): found.digest}, said, who, now)


def decide_upstream(path: Path, who: Who, reason: str, *, approve: bool, now: str | None = None) -> Entry:
    """Say yes or no to an artifact that releases are made from: a base, data, an adapter.

    Raises:
        Refused: It is not as recorded, or holds what no artifact may hold.
        InputError: It is no artifact of these kinds, or no reason is given.
    """
    artifact = artifacts.verified(path)
    role = ROLES.get(artifact.kind)
    if role is None:
        raise InputError(f"{path}: a {artifact.kind} is approved for a channel: `fineline approve ADAPTER --for CHANNEL`")
    if wrong := contents.problems(path):
        raise Refused("\n".join(wrong))
    said = {"role": role, "adapter": None, "policy": state.load(now).present.policy.digest, "reason": _reason(reason)}
    kind = statements.APPROVE if approve else statements.REJECT
    return _sign(kind, {path.as_posix(): artifact.digest}, said, who, now)


def promote(adapter: str, channel: str, who: Who, now: str | None = None) -> Entry | None:
    """Put the candidate of an adapter into a channel.

    Everything is verified, in the copy that ships; then it is placed, signed, and the channel moved. Killed at any moment,
    repeating it completes it.

    Returns:
        The entry; None if the channel had the candidate already.

    Raises:
        Refused: Something that the policy asks for is missing; the message says all of it.
    """
    with store.locked(adapter):
        found = dossier.of(adapter)
        _refuse_contents(found)
        present = state.load(now)
        if missing := requirements.missing(present, found, channel):
            raise Refused("\n".join(missing))
        if present.present.policy.channels[channel].refolded:
            _refuse_other_weights(found)
        agreed = requirements.agreed(present, found, channel)
        record = store.place(found, documents.contents(documents.gather(adapter), _decisions(present, agreed)))
        place = store.directory(adapter, found.release)
        before = standing(present, adapter, channel)
        entry = None
        if before is not None and before.said["release"]["name"] == found.release:
            if before.said["release"]["record"] != record:
                raise Refused(f"{place}: release.json is not the one that was promoted")
        else:
            people = sorted({one.person for one in agreed})
            said = {
                "adapter": adapter,
                "channel": channel,
                "release": {"name": found.release, "candidate": found.digest, "record": record},
                "previous": before.said["release"]["name"] if before else None,
                "policy": present.present.policy.digest,
                "approved_by": people,
                "second_pair_of_eyes": len({*people, *requirements.producers(present, found.artifacts)}) > 1,
            }
            entry = _sign(statements.PROMOTE, {place.as_posix(): found.digest}, said, who, now)
        moved = store.current(adapter, channel) != found.release
        store.point(adapter, channel, found.release)
        if entry is None and not moved:
            return None
        return entry or before


def rollback(adapter: str, channel: str, who: Who, reason: str, to: str | None = None, now: str | None = None) -> Entry:
    """Let a channel go back to a release that it had before.

    Args:
        to: Its name or the digest of its model, or the beginning of one; the one before the present one if left out.

    Raises:
        InputError: There is no such release.
        Refused: It is damaged, or something of it was revoked since.
    """
    store.check_name(adapter)
    with store.locked(adapter):
        present = state.load(now)
        had = _had(present, adapter, channel)
        if not had:
            raise InputError(f"{adapter} was never in {channel}, so there is nothing to go back to")
        target = _chosen(had, to, adapter, channel)
        place = store.directory(adapter, target.said["release"]["name"])
        release = store.verified(place)
        if release["digest"] != target.said["release"]["record"]:
            raise Refused(f"{place}: not the release that was promoted")
        if wrong := [*requirements.unfounded(present, target, release), *tainted(present, release)]:
            raise Refused("\n".join(wrong))
        said = {
            "adapter": adapter,
            "channel": channel,
            "release": target.said["release"],
            "previous": had[-1].said["release"]["name"],
            "reason": _reason(reason),
        }
        subjects = {place.as_posix(): target.said["release"]["candidate"]}
        entry = _sign(statements.ROLLBACK, subjects, said, who, now)
        store.point(adapter, channel, target.said["release"]["name"])
        return entry


def revoke(kind: Kind, what: str, who: Who, reason: str, since: str | None = None, now: str | None = None) -> Entry:
    """Say that an artifact, a base, a source part or a key may not be used any more.

    Args:
        what: A digest, the name of a base or a source part, or the id of a key, or the beginning of one that the ledger knows.
        since: Of a key: from when on its signatures count for nothing; now, if left out.

    Raises:
        InputError: Nothing of that name or digest was ever signed for, or `since` is no time.
    """
    what = _known(kind, what, state.load(now))
    said: dict[str, Any] = {"kind": kind, "what": what, "reason": _reason(reason)}
    if since is not None:
        if kind != "key":
            raise InputError(f"--since: of a key only; a {kind} may not be used whenever it was made")
        if not _TIME.fullmatch(since):
            raise InputError(f"--since {since}: a time in UTC is needed, such as 2026-03-01T00:00:00Z")
        said["since"] = since
    digest = what if kind == "artifact" else f"sha256:{what}" if kind == "key" else None
    subjects = {f"{kind} {what}": digest or canonical.digest(what)}
    return _sign(statements.REVOKE, subjects, said, who, now)


def standing(present: State, adapter: str, channel: str) -> Entry | None:
    """The entry that put into a channel what is there now."""
    had = _had(present, adapter, channel)
    return had[-1] if had else None


def tainted(present: State, release: dict[str, Any]) -> list[str]:
    """What of a release was revoked since it was made, and which of its approvals count no longer."""
    chain = {role: (one["digest"], one["name"], one["parameters"]) for role, one in release["artifacts"].items()}
    found = list(requirements.revoked(present, chain))
    name = canonical.digest(release["evidence"])
    promotions = [one for one in present.moves if one.kind == statements.PROMOTE and one.said["release"]["name"] == name]
    people = {person for entry in promotions for person in entry.said["approved_by"]}
    for entry in present.of(statements.APPROVE):
        counted = entry.person in people and entry.said.get("evidence") == release["evidence"]
        if counted and (void := present.void(entry)) is not None and void.startswith("its key"):
            found.append(f"the approval of {entry.person} counts no longer: {void}")
    return found


def _had(present: State, adapter: str, channel: str) -> list[Entry]:
    return [entry for entry in present.moves if (entry.said["adapter"], entry.said["channel"]) == (adapter, channel)]


def _chosen(had: list[Entry], to: str | None, adapter: str, channel: str) -> Entry:
    now = had[-1].said["release"]["name"]
    earlier = [entry for entry in had if entry.said["release"]["name"] != now]
    if to is not None:
        wanted = f"sha256:{to.removeprefix('sha256:')}"
        earlier = [one for one in earlier if any(one.said["release"][key].startswith(wanted) for key in ("name", "candidate"))]
    if not earlier:
        what = f"release {to}" if to else "other release"
        raise InputError(f"{adapter} had no {what} in {channel} before; `fineline history {adapter}` lists what it had")
    return earlier[-1]


def _sign(kind: str, subjects: dict[str, str], said: dict[str, Any], who: Who, now: str | None) -> Entry:
    """Sign, after a look whether the ledger would still hold with it. One at a time: a signer's entries are one line."""
    time = now or files.now()
    with ledger.locked():
        book = ledger.read()
        if book.lacks_checkpoint(who[1].public_key.keyid):
            book = ledger.completed(book, who[1])
        draft = ledger.signed(book, kind, subjects, said, who, time)
        State(ledger.Ledger([*book.entries, draft], book.checkpoints, book.root), time)
        return ledger.append(book, draft, who[1])


def _decisions(present: State, agreed: Iterable[Entry]) -> list[Mapping[str, str]]:
    """Approvals as the documents have them."""
    return [
        {
            "person": entry.person,
            "role": ", ".join(signer.person.roles) if (signer := present.present.people.signer(entry.keyid)) else "",
            "time": entry.time,
            "decision": f"approved for {entry.said['channel']}",
            "reason": entry.said["reason"],
            "entry": entry.id,
        }
        for entry in agreed
    ]


def _refuse_other_weights(found: Dossier) -> None:
    """Fold the adapter into its base once more: whoever signed the merged weights may have made them otherwise."""
    from pipelines.merge import refolding  # PyTorch, which no other act needs

    roles = ("base", "adapter", "merged")
    if wrong := refolding.differences(*(found.artifacts[role][0] for role in roles)):
        raise Refused("\n".join(wrong))


def _refuse_contents(found: Dossier) -> None:
    wrong = [problem for path, _ in found.artifacts.values() for problem in contents.problems(path)]
    if wrong:
        raise Refused("\n".join(wrong))


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
        return wanted
    found = sorted(one for one in known if len(wanted) >= _FEWEST and one.startswith(wanted))
    if len(found) == 1:
        return f"sha256:{found[0]}" if kind == "artifact" else found[0]
    if kind == "artifact" and _DIGEST.fullmatch(wanted):
        return f"sha256:{wanted}"  # nobody has signed for it yet, and nobody is to
    where = "people.yaml" if kind == "key" else "the ledger"
    said = f"{len(found)} of them begin so" if found else f"{where} knows none that begins so"
    raise InputError(f"{kind} {what}: {said}; give its id, or at least {_FEWEST} digits of it (`fineline history`)")


def _reason(text: str) -> str:
    if not text.strip():
        raise InputError("a reason is needed: whoever reads the record in a year has nothing else; give it with --reason")
    if not text.strip().isprintable():
        raise InputError("--reason: one line of text is needed, without control characters")
    return text.strip()


def _provenance(artifact: Artifact, person: str) -> dict[str, Any]:
    """SLSA provenance v1: what went in, by which code. It claims no more than level 1."""
    inputs: Iterable[dict[str, Any]] = (
        {"name": role, "uri": source.path, "digest": {"sha256": source.digest.removeprefix("sha256:")}}
        for role, source in artifact.inputs.items()
    )
    return {
        "buildDefinition": {
            "buildType": f"urn:fineline:stage:{artifact.kind}:v1",
            "externalParameters": artifact.parameters,
            "internalParameters": {"code": artifact.code},
            "resolvedDependencies": list(inputs),
        },
        "runDetails": {"builder": {"id": f"urn:fineline:builder:{person}"}},
    }


def _test_result(found: Dossier) -> dict[str, Any]:
    """in-toto test result v0.1, of the final verdict."""
    candidate = found.reports["candidate"]
    rules = {form: decision["rules"] for form, decision in candidate["forms"].items()}
    named: dict[str, list[str]] = {"pass": [], "fail": [], "inconclusive": []}
    for form, entries in rules.items():
        for entry in entries:
            if entry["verdict"] in named:
                named[entry["verdict"]].append(f"{form} {entry['rule']} {entry['measure']}")
    results = {"pass": "PASSED", "fail": "FAILED", "inconclusive": "WARNED"}
    suites = candidate["suites"].items()
    return {
        "result": results[found.verdict],
        "configuration": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in suites],
        "passedTests": named["pass"],
        "warnedTests": named["inconclusive"],
        "failedTests": named["fail"],
        "evidence": found.evidence,
    }
