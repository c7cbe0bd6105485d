"""Forms are built and compared with the merged model. What fails is left out, and the other formats go on without it."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fineline.errors import FinelineError
from fineline.export.format import Agreement, Format, ProbeRow, Sources
from fineline.inference import probe
from fineline.inference.fidelity import Comparison, Fidelity
from fineline.inference.likelihoods import LikelihoodComparison, TokenLikelihoods

Tokens = Sequence[list[int]]
"""Token ids of the rows that compare a form with the merged model."""


@dataclass
class Conversion:
    """The forms of one export. `failures` grows as forms are built and measured."""

    sources: Sources
    formats: Sequence[Format]
    directories: Mapping[str, Path]
    """Form -> directory to build it in, which is empty at the beginning."""
    failures: dict[str, Exception] = field(default_factory=dict)
    """Form -> why it could not be made."""
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Form -> what was measured: `forms` of export.json, without digests."""

    def __post_init__(self) -> None:
        """Record the format and the precision of each form."""
        for one in self.formats:
            for form, precision in one.precisions(self.sources.merged, self.sources.settings).items():
                self.facts[form] = {"format": one.name, "precision": precision}

    def run(self, tokens: Tokens) -> None:
        """Build each form, and measure its agreement with the merged model, its size and its speed."""
        self._build()
        for one in self.formats:
            self._measure(one, tokens)
        for form, error in self.failures.items():
            self.facts[form] |= {"failed": reason(error)}

    def made(self, one: Format) -> list[str]:
        """Return the forms of a format that did not fail."""
        return [form for form, facts in self.facts.items() if facts["format"] == one.name and form not in self.failures]

    def _build(self) -> None:
        builders = {form: one for one in self.formats for form in self.made(one)}
        workers = len(os.sched_getaffinity(0))  # a build is a process that uses one core
        with TemporaryDirectory() as temporary, ThreadPoolExecutor(workers) as pool:
            running = {
                form: pool.submit(one.build, self.sources, form, self.directories[form], Path(temporary) / form)
                for form, one in builders.items()
            }
            for form, build in running.items():
                if isinstance(error := build.exception(), Exception):
                    self.failures[form] = error
                elif error is not None:  # an interrupt
                    raise error
                else:
                    self.facts[form] |= build.result() or {}

    def _measure(self, one: Format, tokens: Tokens) -> None:
        if not self._is_complete(one):
            return
        agreement = self._agreement(one, tokens)
        for form, found in agreement.items():
            self.facts[form] |= {"mean_kl": None, "top1_agreement": found.top1_agreement}
            self.facts[form] |= {"mean_kl": found.mean_kl} if isinstance(found, Fidelity) else asdict(found)
        for form in one.exact.keys() & agreement.keys():
            found, passed = agreement[form], one.exact[form].holds(agreement[form])
            self.facts[form]["parity"] = {"passed": passed, **asdict(found)}
            if not passed:
                self.failures[form] = FinelineError(_difference(form, found))
        if not self._is_complete(one):
            return
        for form in self.made(one):
            try:
                self.facts[form]["bytes"] = one.deployable_size(self.directories[form])
                speed = one.tokens_per_second(self.directories[form], self.sources.trained.base, tokens[0])
                self.facts[form]["tokens_per_second"] = round(speed, 1)
            except Exception as error:  # runtimes have no common class of errors
                self.failures[form] = error
        self._is_complete(one)

    def _is_complete(self, one: Format) -> bool:
        """Fail what is left of a format if a form that checks it failed, or if only those are left. True if some are left."""
        broken = [form for form in one.exact if form in self.failures]
        left = self.made(one)
        if broken:
            because = f"{broken[0]}, which shows that the conversion is right, failed: {reason(self.failures[broken[0]])}"
            self.failures |= {form: FinelineError(because) for form in left}
        elif one.checks.issuperset(left):
            self.failures |= {form: FinelineError("the form that it checks failed") for form in left}
        return bool(self.made(one))

    def _agreement(self, one: Format, tokens: Tokens) -> dict[str, Agreement]:
        """Return the agreement of each form of a format with the merged model, in fp32.

        One row of logits of each is in memory at once, and the runtimes of one format.
        """
        source, answers = self.sources.merged, {}
        for form in self.made(one):
            try:
                answers[form] = one.probe(self.directories[form], self.sources.trained.base, tokens)
            except Exception as error:  # runtimes have no common class of errors
                self.failures[form] = error
            else:
                if answers[form] is None:  # a copy: what a new process computes from it is the reference
                    source = self.directories[form]
        comparisons: dict[str, Comparison | LikelihoodComparison] = {}
        with closing(probe.fresh_logits(source, tokens)) as reference:
            for row, logits in zip(tokens, reference, strict=True):
                for form in [form for form in answers if form not in self.failures]:
                    try:
                        _add(comparisons, form, row, logits, answers[form])
                    except Exception as error:  # as above
                        self.failures[form] = error
        return {form: comparison.result() for form, comparison in comparisons.items() if form not in self.failures}


def reason(error: Exception) -> str:
    """Return the message of an error, with its class if it is not one of fineline's."""
    if isinstance(error, FinelineError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space is left on the disk ({error.filename or 'while writing'}); free some, then run the export again"
    return f"{type(error).__name__}: {error}"


def _add(
    comparisons: dict[str, Comparison | LikelihoodComparison],
    form: str,
    row: Sequence[int],
    reference: np.ndarray,
    answers: Iterator[ProbeRow] | None,
) -> None:
    found = reference if answers is None else next(answers)
    if isinstance(found, TokenLikelihoods):
        comparison = comparisons.setdefault(form, LikelihoodComparison())
        assert isinstance(comparison, LikelihoodComparison)
        comparison.add(row, reference, found)
    else:
        comparison = comparisons.setdefault(form, Comparison())
        assert isinstance(comparison, Comparison)
        comparison.add(reference, found)


def _difference(form: str, found: Agreement) -> str:
    start = f"the {form} export does not compute what the merged model computes:"
    if isinstance(found, Fidelity):
        return (
            f"{start} largest difference {found.max_abs_difference:.2e} at logits up to {found.max_abs_logit:.1f}, mean KL"
            f" {found.mean_kl:.1e}"
        )
    return f"{start} log-likelihoods differ by {found.mean_difference:.1e} nats a token, at most {found.max_difference:.1e}"
