"""Everything that the page of an adapter shows, read from the project. What does not exist is empty or None."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.artifacts import provenance, reports
from fineline.errors import or_reason
from fineline.evaluate import flips
from fineline.evaluate.flips import Flips
from fineline.governance import files, ledger_files
from fineline.governance.requirements import ApprovalStatus, status_of_candidate
from fineline.governance.state import Adoption, State
from fineline.project import layout, params

Report = dict[str, Any]
Points = list[tuple[float, float]]
"""(step, loss), in the order of the steps."""

NAMES = ("candidate", "gate", "curation", "training", "plan", "settings", "merge", "export")
STAGES = ("ingest", "curate", "train", "merge", "export")
"""Stages of an adapter that make artifacts."""


@dataclass(frozen=True)
class Content:
    """An adapter as the files in git describe it."""

    name: str
    base: str
    owner: str
    license: str
    reports: dict[str, Report]
    """Name without `.json` -> content; only those that exist."""
    train_loss: Points
    validation_loss: Points
    made: dict[str, str]
    """Path of an artifact -> digest, by the provenance of the last run of each stage."""
    adoption: Adoption | None
    """People and policy in force; None if nothing was adopted."""
    adoption_problem: str | None
    """Why the policy in force cannot be read."""

    def report(self, name: str) -> Report:
        """Return a report; empty if it does not exist."""
        return self.reports.get(name, {})


@dataclass(frozen=True)
class Local:
    """Facts of this machine and of the present: the answers to items, and the approval status."""

    arm: str | None
    """The model whose answers are compared with those of the base; None if they are not here."""
    lost: dict[str, Flips]
    """Measure -> items on which `arm` is worse than the base."""
    gained: dict[str, Flips]
    """Measure -> items on which `arm` is better, with the arms exchanged: the base is what got worse."""
    status: ApprovalStatus | None
    status_problem: str | None
    """Why there is no status."""


def read(name: str) -> Content:
    """Read what is known of adapter `name` in the project of the working directory.

    Raises:
        InputError: params.yaml has no such adapter, or a report is not valid.
    """
    adapter = params.load().adapter(name)
    directory = layout.reports(name)
    found = {report: directory / f"{report}.json" for report in NAMES}
    adoption, problem = _adoption()
    return Content(
        name=name,
        base=adapter.base,
        owner=adapter.owner,
        license=adapter.license,
        reports={report: reports.read(file) for report, file in found.items() if file.is_file()},
        train_loss=_points(directory / "loss.csv"),
        validation_loss=_points(directory / "validation_loss.csv"),
        made=_made(name, adapter.base),
        adoption=adoption,
        adoption_problem=problem,
    )


def read_local(name: str, adoption: Adoption | None) -> Local:
    """Read what only this machine has about adapter `name`."""
    directory = layout.reports(name)
    base = directory / "evaluation" / "samples" / "base.jsonl"
    arms = {
        "exported": directory / "assessment" / "samples" / "exported.jsonl",
        "adapter": directory / "evaluation" / "samples" / "candidate.jsonl",
    }
    arm = next((arm for arm, file in arms.items() if file.is_file() and base.is_file()), None)
    lost, gained = {}, {}
    if arm is not None:
        before, after = reports.read_lines(base), reports.read_lines(arms[arm])
        lost, gained = flips.find(before, after), flips.find(after, before)
    status, problem = None, None
    if adoption is not None:
        status, problem = or_reason(lambda: status_of_candidate(State(ledger_files.read(), files.now()), name, Path()))
    return Local(arm, lost, gained, status, problem)


def _adoption() -> tuple[Adoption | None, str | None]:
    """Return people and policy in force; without any signature, neither these nor a problem."""
    state, problem = or_reason(lambda: State(ledger_files.read(), files.now()))
    if state is None or not state.adoptions:
        return None, problem
    return or_reason(lambda: state.present)


def _points(file: Path) -> Points:
    """Return the points of a loss curve; rows that are not two numbers are left out."""
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return sorted(_pairs(rows))


def _pairs(rows: Iterable[dict[str, Any]]) -> Iterable[tuple[float, float]]:
    for row in rows:
        try:
            yield float(row["step"]), float(row["loss"])
        except (KeyError, TypeError, ValueError):
            continue


def _made(name: str, base: str) -> dict[str, str]:
    found = [layout.provenance("base", base), *(layout.provenance(stage, name) for stage in STAGES)]
    ran = [record for record in map(provenance.read, found) if record is not None]
    return {path: digest for record in ran for path, digest in record.artifacts.items()}
