"""The tasks that an adapter is judged by, from the `evaluate:` block of params.yaml and the rows of the adapter."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from fineline.errors import ParameterError
from fineline.evaluate import probes, target
from fineline.project.params.evaluation import Evaluate
from fineline.suites import guards
from fineline.suites.metrics import SHARE
from fineline.suites.task import Task

PROBES = {"injection": probes.injection, "regurgitation": probes.regurgitation, "canaries": probes.canaries}


def build(rule: Evaluate, test: list[dict[str, Any]], train: list[dict[str, Any]], tokenizer: Any) -> list[Task]:
    """Return every task that an adapter is judged by: target, safety probes, guards. They contain no sealed rows.

    Args:
        test: Rows of the test split.
        train: Rows of the training split, for the probes of memorization.

    Raises:
        InputError: A suite cannot be used, or the gate names a measure that no task has.
    """
    unsealed, _ = divide(test, rule.holdout)
    found = target.tasks(unsealed, rule.target, tokenizer)
    for probe in rule.safety:
        found.append(PROBES[probe](unsealed if probe == "injection" else train, tokenizer))
    found += [guards.task(guard) for guard in rule.guards]
    check(rule, found)
    for task in found:
        task.check()
    return found


def divide(rows: Sequence[dict[str, Any]], share: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the (open, sealed) rows of a test split; about `share` of the groups are sealed.

    Sealed rows are not scored before a promotion, so nothing is selected by them. Whole groups are sealed, by a hash of their
    name, so a row never changes sides when the data grow.
    """
    unsealed: list[dict[str, Any]] = []
    sealed: list[dict[str, Any]] = []
    for row in rows:
        number = int.from_bytes(hashlib.sha256(f"sealed {row['group']}".encode()).digest()[:8], "big")
        (sealed if number < share * 2**64 else unsealed).append(row)
    return unsealed, sealed


def units(found: Iterable[Task]) -> dict[str, str]:
    """Return measure -> unit of all tasks."""
    return {measure.name: measure.unit for task in found for measure in task.measures}


def check(rule: Evaluate, found: list[Task]) -> None:
    """Check that every name is unique and known, and that every limit can be missed.

    Raises:
        ParameterError: Two tasks or measures have one name, a rule or pool names an unknown measure, a pool mixes units, or a
            limit on a share is not a share.
    """
    names = [task.name for task in found]
    measured = [measure.name for task in found for measure in task.measures] + list(rule.pools)
    for kind, listed in (("task", names), ("measure", measured)):
        twice = next((one for one in listed if listed.count(one) > 1), None)
        if twice is not None:
            raise ParameterError("evaluate", f"two {kind}s have the name {twice!r}; rename a suite, a measure or a pool")
    known = units(found)
    named = [(f"gate.{kind}", measure) for kind, measure in rule.gate.rules()]
    named += [(f"pools.{pool}", measure) for pool, members in rule.pools.items() for measure in members]
    for place, measure in named:
        if measure not in known and measure not in rule.pools:
            accepted = ", ".join([*known, *rule.pools])
            raise ParameterError(f"evaluate.{place}", f"unknown measure {measure!r}; accepted: {accepted}")
    for pool, members in rule.pools.items():
        if len({known[measure] for measure in members}) > 1:
            raise ParameterError(f"evaluate.pools.{pool}", f"{', '.join(members)} have different units")
        known[pool] = known[members[0]]
    for kind in ("must_improve", "must_not_regress", "champion", "floor"):
        for measure, limit in getattr(rule.gate, kind).items():
            if known[measure] == SHARE and (limit >= 1 if kind != "floor" else not 0 < limit <= 1):
                raise ParameterError(
                    f"evaluate.gate.{kind}.{measure}",
                    f"found {limit:g}, but {measure} is a share from 0 to 1, so this limit is never missed or never reached;"
                    " six points are 0.06",
                )
