"""What the browser shows of one kind of stage. Each family of stages declares its own beside the code that reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from fineline.dagster.stages import Stage

Metadata = dict[str, Any]


@dataclass(frozen=True)
class Judgement:
    """The answer of a check: whether it holds, why, and how loudly a "no" is shown."""

    passed: bool
    reason: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    metadata: Metadata = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, Any]:
        """As Dagster's results and evaluations of checks take it."""
        return {
            "passed": self.passed,
            "severity": self.severity,
            "description": self.reason,
            "metadata": self.metadata,
        }


@dataclass(frozen=True)
class Check:
    """A question that the stage's reports answer. It shows; what refuses is promotion."""

    name: str
    description: str
    judge: Callable[[Stage], Judgement]


@dataclass(frozen=True)
class Display:
    """How a kind of stage looks in the asset graph, and which pool its steps wait in."""

    metadata: Callable[[Stage], Metadata]
    kind: str | None = None
    """The tool to show beside DVC; Dagster has an icon for most."""
    checks: tuple[Check, ...] | Callable[[Stage], tuple[Check, ...]] = ()
    """The same for every stage of the kind, or what a stage's own settings ask for."""
    pool: str | None = None
    fetches: bool = False
    """Whether it reads from places that may be out of reach for a while."""

    def checks_of(self, stage: Stage) -> tuple[Check, ...]:
        """The checks of one stage."""
        return self.checks(stage) if callable(self.checks) else self.checks


Displays = Mapping[str, Display]
GPU = "gpu"
