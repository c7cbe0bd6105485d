"""What an adapter is judged by: what an `evaluate:` block may say."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fineline.project.params.block import Block, Share

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Margin = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Metric = Literal["exact_match", "json_f1", "rouge_l", "regex", "gold"]
Probe = Literal["injection", "regurgitation", "canaries"]


class Target(Block):
    """The suites built from the adapter's own test split."""

    metrics: Annotated[list[Metric], Field(min_length=1)] = ["exact_match", "gold"]
    """What is asked of an answer; each is a measure `target_<metric>`. `exact_match`: the very text; `json_f1`: F1 of the
    fields of a JSON object; `rouge_l`: longest common subsequence of words; `regex`: `pattern` is found in it; `gold`: how
    likely the reference answer is, in bits a byte."""
    pattern: str | None = None
    """What `regex` looks for."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    choice_field: str | None = None
    """A field of the JSON completion: the measure `target_choice` asks for its right value among distractors."""
    choices: Annotated[int, Field(ge=2)] = 4

    @model_validator(mode="after")
    def _pattern_is_used(self) -> Self:
        if ("regex" in self.metrics) != (self.pattern is not None):
            raise ValueError("`pattern` is needed by the metric `regex`, and by no other")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"`pattern` is no regular expression: {error}") from error
        return self

    def measures(self) -> set[str]:
        """The names of what is measured."""
        return {f"target_{metric}" for metric in self.metrics} | ({"target_choice"} if self.choice_field else set())


class Champion(Block):
    """The adapter that is in production now."""

    path: str
    """Its directory: a copy that nothing else writes to."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    """Its digest, so that another champion makes the evaluation stale."""


class Gate(Block):
    """What the candidate is held to, by measure: `target_<metric>`, `target_choice`, `safety_<probe>`, those of suites (named
    like the suite, or as its suite.yaml says) and pools."""

    must_improve: dict[str, Amount] = {}
    """Measure -> gain over the base that must be surely exceeded; 0 is any."""
    must_not_regress: dict[str, Margin] = {}
    """Measure -> margin; a drop below the base of this or more must be ruled out."""
    champion: dict[str, Margin] = {}
    """Measure -> margin against the champion, if there is one."""
    floor: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}
    """Measure -> score that the candidate must surely reach by itself."""
    info: list[str] = []
    """Measures that are reported and not judged. One that no rule names is reported with a remark."""
    evidence: list[str] = []
    """Outside evidence that must be there and say pass: evidence/<adapter>/<name>.json (docs/evaluation.md)."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """One-sided. A candidate that is worse by the margin passes at most once in 1 / (1 - confidence) times."""
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """A candidate as good as the base fails at most once in 1 / (1 - power) times; smaller suites suffice for a lower power."""

    def rules(self) -> Iterator[tuple[str, str]]:
        """(rule, measure) of everything that is named."""
        for rule in ("must_improve", "must_not_regress", "champion", "floor", "info"):
            for measure in getattr(self, rule):
                yield rule, measure


class Evaluate(Block):
    """What the adapter is judged by."""

    target: Target = Target()
    guards: list[str]
    """Names of directories under suites/, or `lm_eval/<task>` for a task of the harness whose data can be reached; `[]` is
    none. Training rows that leak from them are left out."""
    safety: list[Probe] = []
    """Probes made of the adapter's own data. `injection`: test prompts with an order to break the format; `regurgitation`:
    whether training answers come out word for word; `canaries`: whether rows of a source part `canaries` can be told."""
    pools: dict[str, Annotated[list[str], Field(min_length=2)]] = {}
    """Name -> measures of the same unit that are judged as one, over the items of all."""
    holdout: Share = 0.2
    """Share of the test split's groups that is sealed: scored only by `fineline holdout`, before a promotion."""
    champion: Champion | None = None
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        own = self.target.measures() | {f"safety_{probe}" for probe in self.safety}
        suites = [guard.rpartition("/")[2] for guard in self.guards]

        def known(name: str) -> bool:
            return name in own or any(name == suite or name.startswith(f"{suite}_") for suite in suites)

        accepted = ", ".join(sorted({*own, *suites, *self.pools}))
        for pool, members in self.pools.items():
            if pool in own or pool in suites:
                raise ValueError(f"the pool {pool!r} has the name of a measure")
            for name in members:
                if not known(name):
                    raise ValueError(f"the pool {pool!r} names {name!r}, but the measures are {accepted}")
        for rule, name in self.gate.rules():
            if name not in self.pools and not known(name):
                raise ValueError(f"gate.{rule} names {name!r}, but the measures are {accepted}")
        return self
