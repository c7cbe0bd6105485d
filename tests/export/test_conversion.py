"""Several formats at once: what fails is recorded with its reason, and the others are made."""

import errno
from typing import ClassVar

import numpy as np
import pytest

from fineline.chat.settings import ChatSettings
from fineline.errors import FinelineError
from fineline.export.conversion import Conversion
from fineline.export.format import EQUAL, Format, Sources, Tolerance
from fineline.export.safetensors import Safetensors
from fineline.export.trained import TrainedAdapter
from fineline.inference import probe
from fineline.inference.likelihoods import TokenLikelihoods
from fineline.project.params.exporting import Export

ROWS = [[3, 4, 5, 6, 7], [8, 9, 10]]


class Fake(Format):
    """A format whose weights are a text, and whose answers are those of the reference plus a shift of one logit."""

    name = "fake"
    forms = ("fake-check", "fake")
    released = "fake"
    exact: ClassVar = {"fake-check": EQUAL}
    checks = frozenset({"fake-check"})

    def __init__(self, reference, shifts=(), errors=()):
        self.reference, self.shifts, self.errors = reference, dict(shifts), dict(errors)

    def precisions(self, model, settings):
        return {"fake-check": "fp32", "fake": "int4"}

    def build(self, sources, form, into, scratch):
        if form in self.errors:
            raise self.errors[form]
        (into / "weights").write_text(form)

    def probe(self, directory, base, rows):
        for row in self.reference:
            changed = row.copy()
            changed[:, 0] += self.shifts.get((directory / "weights").read_text(), 0)
            yield changed

    def runtime(self, directory, base):
        raise NotImplementedError

    def deployable_size(self, directory):
        return (directory / "weights").stat().st_size

    def tokens_per_second(self, directory, base, prompt):
        return 7.06


class Likelihoods(Fake):
    """The same format in a runtime that gives no logits."""

    name = "likelihoods"
    forms = ("likelihoods",)
    released = "likelihoods"
    exact: ClassVar = {"likelihoods": Tolerance(mean_difference=0.01)}
    checks = frozenset()

    def precisions(self, model, settings):
        return {"likelihoods": "f16"}

    def probe(self, directory, base, rows):
        for row, logits in zip(rows, self.reference, strict=True):
            wide = logits.astype(np.float64)
            normal = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
            places = range(len(row) - 1)
            found = normal[places, row[1:]] + self.shifts.get("likelihoods", 0)
            yield TokenLikelihoods(found, wide[:-1].argmax(-1) == row[1:])


@pytest.fixture(scope="module")
def computed(tiny_base):
    return list(probe.fresh_logits(tiny_base, ROWS))


@pytest.fixture
def reference(tiny_base, computed, monkeypatch):
    """The logits of the merged model, computed once for all tests; those of a copy are computed from the copy."""
    fresh = probe.fresh_logits

    def known(model, tokens):
        yield from computed if model == tiny_base else fresh(model, tokens)

    monkeypatch.setattr(probe, "fresh_logits", known)
    return computed


def converted(tmp_path, tiny_base, *formats):
    sources = Sources(tiny_base, TrainedAdapter(tiny_base, tiny_base, {"method": "lora"}, "tiny", {}), Export(), ChatSettings())
    directories = {form: tmp_path / form for one in formats for form in one.forms}
    for directory in directories.values():
        directory.mkdir()
    found = Conversion(sources, formats, directories)
    found.run(ROWS)
    return found


def test_every_form_of_every_format_is_measured(tmp_path, tiny_base, reference):
    found = converted(tmp_path, tiny_base, Safetensors(), Fake(reference, {"fake": 0.5}), Likelihoods(reference))
    assert found.failures == {}
    assert list(found.facts) == ["safetensors", "fake-check", "fake", "likelihoods"]
    assert found.facts["fake-check"]["parity"]["passed"]
    assert found.facts["safetensors"]["parity"]["mean_kl"] == 0
    assert "parity" not in found.facts["fake"]
    assert found.facts["fake"]["mean_kl"] > 0
    assert (found.facts["fake"]["bytes"], found.facts["fake"]["tokens_per_second"]) == (4, 7.1)
    assert found.facts["likelihoods"]["mean_kl"] is None
    assert found.facts["likelihoods"]["parity"]["mean_difference"] < 1e-5
    assert found.facts["likelihoods"]["top1_agreement"] == 1


def test_a_form_that_cannot_be_built_takes_its_format_with_it_and_no_other(tmp_path, tiny_base, reference):
    full = OSError(errno.ENOSPC, "No space left on device", "weights")
    found = converted(tmp_path, tiny_base, Fake(reference, errors={"fake-check": full}), Safetensors())
    assert set(found.failures) == {"fake-check", "fake"}
    assert found.facts["fake-check"]["failed"].startswith("no space is left on the disk (weights)")
    assert "fake-check, which shows that the conversion is right, failed: no space" in found.facts["fake"]["failed"]
    assert "failed" not in found.facts["safetensors"]
    assert found.facts["safetensors"]["tokens_per_second"] > 0


def test_a_check_is_not_kept_without_the_form_that_it_checks(tmp_path, tiny_base, reference):
    found = converted(tmp_path, tiny_base, Fake(reference, errors={"fake": ZeroDivisionError("by zero")}))
    assert found.facts["fake"]["failed"] == "ZeroDivisionError: by zero"
    assert found.facts["fake-check"]["failed"] == "the form that it checks failed"


def test_a_wrong_conversion_fails_with_what_differs(tmp_path, tiny_base, reference):
    found = converted(tmp_path, tiny_base, Fake(reference, {"fake-check": 0.5}), Likelihoods(reference, {"likelihoods": 0.1}))
    assert set(found.failures) == {"fake-check", "fake", "likelihoods"}
    assert "largest difference 5.00e-01" in found.facts["fake-check"]["failed"]
    assert not found.facts["fake-check"]["parity"]["passed"]
    assert "log-likelihoods differ by 1.0e-01 nats a token" in found.facts["likelihoods"]["failed"]


def test_an_answer_of_another_shape_fails_its_form(tmp_path, tiny_base, reference):
    found = converted(tmp_path, tiny_base, Safetensors(), Fake([logits[:, :-1] for logits in reference]))
    assert isinstance(found.failures["fake-check"], ValueError)
    assert isinstance(found.failures["fake"], FinelineError | ValueError)
    assert "safetensors" not in found.failures
