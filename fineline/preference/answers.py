"""The answers of two arms, as the last evaluation of an adapter wrote them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.artifacts import reports
from fineline.errors import InputError
from fineline.project import layout

Record = Mapping[str, Any]

CANDIDATE = "candidate"  # the adapter's arm in an evaluation


@dataclass(frozen=True)
class Answers:
    """Everything that a session reads, and the places it writes to."""

    against: str
    """`base` or `champion`."""
    candidate: Sequence[Record]
    reference: Sequence[Record]
    digests: Mapping[str, str]
    """Digests of `candidate` and `reference`."""
    evidence: Path
    """evidence/<adapter>."""
    journals: Path
    """Directory of the choices that judges have made so far."""


def read(name: str, against: str) -> Answers:
    """Read the answers of adapter `name` and of its base or champion from the last `evaluate@<name>`.

    Raises:
        InputError: `against` is unknown, or there is no evaluation or no champion.
    """
    if against not in ("base", "champion"):
        raise InputError(f"--against: found {against!r}; accepted: base, champion")
    report = layout.reports(name)
    arms = reports.read(report / "gate.json").get("arms", {})
    if against not in arms or CANDIDATE not in arms:
        remedy = (
            f"set `adapters.{name}.evaluate.champion`, or pass --against base"
            if "base" in arms
            else f"run `dvc repro evaluate@{name}`"
        )
        raise InputError(f"{report}/gate.json: no {against} was evaluated; {remedy}")
    samples = report / "evaluation" / "samples"
    candidate, reference = (reports.read_lines(samples / f"{arm}.jsonl") for arm in (CANDIDATE, against))
    digests = {"candidate": arms[CANDIDATE]["digest"], "reference": arms[against]["digest"]}
    return Answers(against, candidate, reference, digests, layout.evidence(name), layout.SCRATCH / "preference")
