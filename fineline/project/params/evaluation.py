"""How an adapter is evaluated: the block `evaluate:` of an adapter."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fineline.project.params.block import Block, Share

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A difference of scores, in the unit of the measure; 0 or more."""
Margin = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A difference of scores, in the unit of the measure; more than 0."""

Metric = Literal["exact_match", "json_f1", "rouge_l", "regex", "gold"]
Probe = Literal["injection", "regurgitation", "canaries"]


class Target(Block):
    """The suites that are built from the test split of the adapter."""

    metrics: Annotated[list[Metric], Field(min_length=1)] = ["exact_match", "gold"]
    """Metrics of an answer; each is a measure `target_<metric>`. `exact_match`: the answer equals the reference. `json_f1`: F1
    of the fields of a JSON object. `rouge_l`: longest common subsequence of words. `regex`: `pattern` matches. `gold`:
    likelihood of the reference answer, in bits per byte."""
    pattern: str | None = None
    """Regular expression for the metric `regex`."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Length limit of a generated answer in tokens."""
    choice_field: str | None = None
    """A field of the JSON completion. The measure `target_choice` asks for its value among distractors."""
    choices: Annotated[int, Field(ge=2)] = 4
    """Number of options of `target_choice`, including the right one."""

    @model_validator(mode="after")
    def _pattern_is_used(self) -> Self:
        if ("regex" in self.metrics) != (self.pattern is not None):
            raise ValueError("`pattern` is required by the metric `regex`, and accepted with no other")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"`pattern` is not a valid regular expression: {error}") from error
        return self

    def measures(self) -> set[str]:
        """Return the names of the measures."""
        return {f"target_{metric}" for metric in self.metrics} | ({"target_choice"} if self.choice_field else set())


class Champion(Block):
    """The adapter that is in production."""

    path: str
    """Its directory: a copy that no stage writes to."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    """Its digest: `sha256:` and 64 hexadecimal digits. Another champion makes the evaluation stale."""


class Gate(Block):
    """The requirements that a candidate must meet.

    Measures are `target_<metric>`, `target_choice`, `safety_<probe>`, those of suites (named like the suite, or as its
    suite.yaml says) and pools.
    """

    must_improve: dict[str, Amount] = {}
    """Measure -> gain over the base that the candidate must significantly exceed. 0 requires any significant gain."""
    must_not_regress: dict[str, Margin] = {}
    """Measure -> margin. A drop of this size or more below the base must be ruled out."""
    champion: dict[str, Margin] = {}
    """Measure -> margin. A drop of this size or more below the champion, if there is one, must be ruled out."""
    floor: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}
    """Measure -> score that the candidate must significantly exceed, independent of the base."""
    info: list[str] = []
    """Measures that are reported and do not affect the verdict. A measure that no rule names is reported with a remark."""
    evidence: list[str] = []
    """External evidence that is required and must have the verdict pass: evidence/<adapter>/<name>.json
    (docs/evaluation.md)."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """One-sided confidence of all decisions. A candidate that is worse by the margin passes with probability 1 - confidence at
    most."""
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Power of all decisions. A candidate as good as the base fails with probability 1 - power at most. A lower power needs
    fewer items."""

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield rule and measure of every requirement."""
        for rule in ("must_improve", "must_not_regress", "champion", "floor", "info"):
            for measure in getattr(self, rule):
                yield rule, measure


class Evaluate(Block):
    """How an adapter is evaluated."""

    target: Target = Target()
    """Suites from the test split of the adapter."""
    guards: list[str]
    """Regression guards: names of directories under suites/, or `lm_eval/<task>` for a task of the harness whose data is
    reachable; `[]` for none. Training rows that leaked from them are left out."""
    safety: list[Probe] = []
    """Probes that are built from the data of the adapter. `injection`: test prompts with an instruction to break the format.
    `regurgitation`: training answers that are generated verbatim. `canaries`: rows of a source part named `canaries` that can
    be extracted."""
    pools: dict[str, Annotated[list[str], Field(min_length=2)]] = {}
    """Name -> measures of the same unit that are scored as one measure, over the items of all of them."""
    holdout: Share = 0.2
    """Share of the groups of the test split that is sealed: only `fineline holdout` scores it, before a promotion."""
    champion: Champion | None = None
    """The adapter in production, for comparison. Without one, the candidate is compared with the base only."""
    gate: Gate = Gate()
    """Requirements that the candidate must meet."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        own = self.target.measures() | {f"safety_{probe}" for probe in self.safety}
        suites = [guard.rpartition("/")[2] for guard in self.guards]

        def known(name: str) -> bool:
            return name in own or any(name == suite or name.startswith(f"{suite}_") for suite in suites)

        accepted = ", ".join(sorted({*own, *suites, *self.pools}))
        for pool, members in self.pools.items():
            if pool in own or pool in suites:
                raise ValueError(f"the pool {pool!r} has the name of a measure; rename it")
            for name in members:
                if not known(name):
                    raise ValueError(f"the pool {pool!r} names {name!r}, but the measures are {accepted}")
        for rule, name in self.gate.rules():
            if name not in self.pools and not known(name):
                raise ValueError(f"gate.{rule} names {name!r}, but the measures are {accepted}")
        return self
