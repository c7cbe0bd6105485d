"""Signing how everything behind a candidate was made, and how it was judged: SLSA provenance and an in-toto test result."""

from collections.abc import Iterable
from typing import Any

from fineline.artifacts import Artifact
from fineline.governance import dossier, state, statements
from fineline.governance.dossier import ROLES, SHIPPED, Dossier
from fineline.governance.ledger import Entry
from fineline.governance.signing import Who, refuse_contents, sign


def attest(adapter: str, who: Who, now: str | None = None) -> list[Entry]:
    """Sign how everything behind a candidate was made, and how it was judged.

    Raises:
        Refused: Something does not fit together (see `dossier.of`), or the signer's role does not allow it.
    """
    found = dossier.of(adapter)
    refuse_contents(found)
    present = state.load(now)
    counting = [one for one in present.of(statements.PROVENANCE, statements.TEST_RESULT) if present.void(one) is None]
    known = {digest for one in counting if one.kind == statements.PROVENANCE for digest in one.subjects.values()}
    made = []
    for role, (path, artifact) in found.artifacts.items():
        if role in (*ROLES.values(), SHIPPED) and artifact.digest not in known:
            made.append(
                sign(statements.PROVENANCE, {path.as_posix(): artifact.digest}, _provenance(artifact, who[0]), who, now)
            )
            known.add(artifact.digest)
    judged = [one for one in counting if one.kind == statements.TEST_RESULT and found.digest in one.subjects.values()]
    if not judged or judged[-1].said.get("evidence") != found.evidence:
        subjects = {found.artifacts[SHIPPED][0].as_posix(): found.digest}
        made.append(sign(statements.TEST_RESULT, subjects, _test_result(found), who, now))
    return made


def _provenance(artifact: Artifact, person: str) -> dict[str, Any]:
    """SLSA provenance v1: what went in, by which code. It claims no more than level 1."""
    inputs: Iterable[dict[str, Any]] = (
        {"name": role, "uri": source.path, "digest": {"sha256": source.digest.removeprefix("sha256:")}}
        for role, source in artifact.inputs.items()
    )
    return {
        "buildDefinition": {
            "buildType": f"{statements.STAGE}{artifact.kind}:v1",
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
