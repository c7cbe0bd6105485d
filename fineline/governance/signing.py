"""Sign an entry of the ledger; attest how a candidate was made (SLSA provenance v1) and judged (in-toto test result)."""

from typing import TYPE_CHECKING, Any, NamedTuple

from fineline.artifacts import RECORD, Artifact, Input
from fineline.artifacts.artifact import SCHEMA_V1
from fineline.artifacts.provenance import Provenance
from fineline.errors import InputError, Refused
from fineline.governance import contents, evidence_bundle, files, ledger, ledger_files, state, statements
from fineline.governance.evidence_bundle import ROLES, SHIPPED, EvidenceBundle
from fineline.governance.ledger import Entry
from fineline.governance.state import State
from fineline.project import layout, lock
from fineline.project.candidate import provenance_of

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


Who = tuple[str, "Signer"]
"""A person, by the name in people.yaml, and the key."""

LONGEST_REASON = 2_000
"""Characters."""


def sign(kind: str, subjects: dict[str, str], predicate: dict[str, Any], who: Who, now: str | None) -> Entry:
    """Sign an entry and append it to the ledger, one at a time.

    The ledger is replayed with the entry first, so an entry that would be refused is never written.

    Args:
        kind: Type of the predicate.
        subjects: Name -> digest.

    Raises:
        Refused: The signer may not do this, the key is not valid, or the clock is behind the ledger's.
    """
    time = now or files.now()
    with ledger_files.locked():
        book = ledger_files.read()
        if book.lacks_checkpoint(who[1].public_key.keyid):
            book = ledger_files.completed(book, who[1])
        draft = ledger.signed(book, kind, subjects, predicate, who, time)
        State(ledger.Ledger([*book.entries, draft], book.checkpoints, book.root), time)
        return ledger_files.append(book, draft, who[1])


def checked_reason(text: str) -> str:
    """Return a reason as it is signed.

    Raises:
        InputError: It is empty, too long, or not one line of text.
    """
    if not text.strip():
        raise InputError("a reason is needed, it is all that a later reader of the record has; pass --reason TEXT")
    if len(text) > LONGEST_REASON:
        raise InputError(f"--reason: at most {LONGEST_REASON} characters can be signed, found {len(text)}")
    if not text.strip().isprintable():
        raise InputError("--reason: expected one line of text without control characters")
    return text.strip()


def refuse_contents(bundle: EvidenceBundle) -> None:
    """Raise `Refused` if an artifact of a candidate contains a program, a pickle, or weights with wrong offsets."""
    wrong = [problem for path, _ in (*bundle.artifacts.values(), *bundle.forms.values()) for problem in contents.problems(path)]
    if wrong:
        raise Refused("\n".join(wrong))


class Attested(NamedTuple):
    """The entries that were signed, and what they lack."""

    entries: list[Entry]
    incomplete: list[str]
    """A sentence for each artifact that was attested without a provenance file."""


def attest(adapter: str, who: Who, now: str | None = None) -> Attested:
    """Sign how each artifact of a candidate was made, and how the candidate was judged.

    Results that an upgrade accepted (`fineline upgrade --keep`) are named. What was attested already is attested again where an
    upgrade has accepted it since.

    Raises:
        InputError: An artifact or a report is missing (see `evidence_bundle.collect`).
        Refused: Artifacts or reports do not belong together, or the signer's roles do not allow it.
    """
    bundle = evidence_bundle.collect(adapter)
    others = bundle.reports["candidate"].get("others") or ()
    if here := [form for form in others if (layout.export(adapter, form) / RECORD).is_file()]:
        bundle = evidence_bundle.collect(adapter, further=here)
    refuse_contents(bundle)
    present = state.load(now)
    counting = [one for one in present.entries_of(statements.PROVENANCE, statements.TEST_RESULT) if present.void(one) is None]
    known = {
        digest: one.predicate["buildDefinition"].get("internalParameters", {}).get("accepted")
        for one in counting
        if one.kind == statements.PROVENANCE
        for digest in one.subjects.values()
    }
    kept = lock.read() if lock.FILE.is_file() else None
    made, incomplete = [], []
    parts = [one for role, one in bundle.artifacts.items() if role in (*ROLES.values(), SHIPPED)]
    for path, artifact in (*parts, *bundle.forms.values()):
        file, found = provenance_of(path, artifact)
        accepted = lock.accepted(kept, artifact.stage, found.stage_version) if kept and found else None
        if artifact.digest in known and known[artifact.digest] == accepted:
            continue
        if found is None and artifact.schema != SCHEMA_V1:
            incomplete.append(
                f"{path}: {file} is missing or about another version, so code, times and libraries are not attested; run the"
                " stage again, or restore the file from git"
            )
        statement = _provenance(artifact, found, accepted, who[0])
        made.append(sign(statements.PROVENANCE, {path.as_posix(): artifact.digest}, statement, who, now))
        known[artifact.digest] = accepted
    judged = [one for one in counting if one.kind == statements.TEST_RESULT and bundle.digest in one.subjects.values()]
    result = _test_result(bundle, lock.accepted_results(adapter))
    if not judged or any(judged[-1].predicate.get(key) != result.get(key) for key in ("evidence", "accepted")):
        subjects = {bundle.artifacts[SHIPPED][0].as_posix(): bundle.digest}
        made.append(sign(statements.TEST_RESULT, subjects, result, who, now))
    return Attested(made, incomplete)


def _provenance(artifact: Artifact, found: Provenance | None, accepted: str | None, person: str) -> dict[str, Any]:
    """Return SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance). It claims no more than level 1.

    Args:
        found: How the stage was run, where that is on record.
        accepted: Note about an older version of the stage whose result an upgrade accepted.
    """
    build: dict[str, Any] = {
        "buildType": f"{statements.STAGE}{artifact.kind}:v1",
        "externalParameters": artifact.parameters,
        "internalParameters": _internal(artifact, found) | ({"accepted": accepted} if accepted else {}),
        "resolvedDependencies": [_dependency(role, source) for role, source in artifact.inputs.items()],
    }
    run: dict[str, Any] = {"builder": {"id": f"urn:fineline:builder:{person}"}}
    if found is not None:
        run["builder"]["version"] = {"fineline": found.fineline, **found.libraries}
        run["metadata"] = {"startedOn": found.started, "finishedOn": found.finished}
        if found.commit is not None:
            commit: dict[str, Any] = {"name": "project", "digest": {"gitCommit": found.commit}}
            build["resolvedDependencies"].append(commit | {"annotations": {"dirty": found.dirty}})
    return {"buildDefinition": build, "runDetails": run}


def _internal(artifact: Artifact, found: Provenance | None) -> dict[str, Any]:
    if artifact.schema == SCHEMA_V1:
        return {"code": artifact.code}
    made = {} if found is None else {"stage_version": found.stage_version, "code": found.code}
    return {"stage": artifact.stage} | made


def _dependency(role: str, source: Input) -> dict[str, Any]:
    """Return an input as a resource descriptor; where only some of its files were used, the digest is that of these."""
    found = {"name": role, "uri": source.path, "digest": {"sha256": source.digest.removeprefix("sha256:")}}
    return found | ({"annotations": {"files": list(source.files)}} if source.files else {})


def _test_result(bundle: EvidenceBundle, accepted: list[str]) -> dict[str, Any]:
    """Return the final verdict as an in-toto test result v0.1.

    Args:
        accepted: A line for each result of an older stage version that an upgrade accepted, reports included.
    """
    candidate = bundle.reports["candidate"]
    named: dict[str, list[str]] = {"pass": [], "fail": [], "inconclusive": []}
    for form, decision in candidate["forms"].items():
        for entry in decision["rules"]:
            if entry["verdict"] in named:
                named[entry["verdict"]].append(f"{form} {entry['rule']} {entry['measure']}")
    results = {"pass": "PASSED", "fail": "FAILED", "inconclusive": "WARNED"}
    suites = candidate["suites"].items()
    return {
        "result": results[bundle.verdict],
        "configuration": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in suites],
        "passedTests": named["pass"],
        "warnedTests": named["inconclusive"],
        "failedTests": named["fail"],
        "evidence": bundle.evidence,
    } | ({"accepted": accepted} if accepted else {})
