"""What an adapter is judged by: what an `evaluate:` block may say."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.params.block import Block, Share


class Target(Block):
    """The suite built from the adapter's own test split."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    choice_field: str | None = None
    """A field of the JSON completion: a second task asks for its right value among distractors."""
    choices: Annotated[int, Field(ge=2)] = 4


class Gate(Block):
    """What the candidate is held to. Tasks are `target_exact_match`, `target_choice` and the names of guards."""

    must_improve: dict[str, Share] = {}
    """Task -> lowest score; the candidate must also be better than its base beyond chance."""
    must_not_regress: dict[str, Share] = {}
    """Task -> margin; the candidate may be worse than its base by less than this."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class Evaluate(Block):
    """What the adapter is judged by."""

    target: Target = Target()
    guards: list[str]
    """Names of directories under suites/; `[]` is none. Training rows that leak from them are left out."""
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _gate_names_tasks(self) -> Self:
        tasks = {"target_exact_match", *self.guards} | ({"target_choice"} if self.target.choice_field else set())
        unknown = {*self.gate.must_improve, *self.gate.must_not_regress} - tasks
        if unknown:
            raise ValueError(f"the gate names {', '.join(sorted(unknown))}, but the tasks are {', '.join(sorted(tasks))}")
        return self
