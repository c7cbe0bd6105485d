"""How a kind of stage is shown: its metadata, its checks, its icon and its pool."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from fineline.dagster.metadata import Metadata, Source, report
from fineline.dagster.stages import Stage

GPU = "gpu"
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass(frozen=True)
class Judgment:
    """The result of a check."""

    passed: bool
    reason: str
    severity: dg.AssetCheckSeverity = ERROR
    """How a failure is shown."""
    metadata: Metadata = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, Any]:
        """The keyword arguments of Dagster's check results and evaluations."""
        return {"passed": self.passed, "severity": self.severity, "description": self.reason, "metadata": self.metadata}


@dataclass(frozen=True)
class Check:
    """A question that the stage's reports answer. It is shown only; promotion is what refuses."""

    name: str
    description: str
    judge: Callable[[Stage], Judgment]


@dataclass(frozen=True)
class Display:
    """How a kind of stage is shown in the asset graph, and which pool its steps wait in."""

    sources: tuple[Source, ...]
    """Where its metadata come from, in the order shown."""
    kind: str | None = None
    """The tool shown next to DVC; Dagster has an icon for most."""
    checks: tuple[Check, ...] | Callable[[Stage], tuple[Check, ...]] = ()
    """The same for every stage of the kind, or derived from the stage's parameters."""
    pool: str | None = None
    fetches: bool = False
    """True if it reads from remote places, which may be unreachable for a while."""

    def metadata(self, stage: Stage) -> Metadata:
        """Return the metadata of the stage's present result; empty before the first run."""
        return {name: value for source in self.sources for name, value in source(stage).items()}

    def checks_of(self, stage: Stage) -> tuple[Check, ...]:
        """Return the checks of one stage."""
        return self.checks(stage) if callable(self.checks) else self.checks


Displays = Mapping[str, Display]


def judged_by(decide: Callable[[dict[str, Any]], Judgment], name: str, key: str = "") -> Callable[[Stage], Judgment]:
    """Return a judge that reads a report, or the block at `key` in it, and calls `decide` with it.

    Without the report or the block, the judgment is a warning that says which stage to materialize.
    """

    def judge(stage: Stage) -> Judgment:
        content = report(stage, name)
        content = content.get(key, {}) if key else content
        return decide(content) if content else not_made(stage, name)

    return judge


def not_made(stage: Stage, name: str) -> Judgment:
    """Return the warning that a report does not exist yet."""
    return Judgment(False, f"{name} does not exist yet; materialize {stage.name}", WARN)
