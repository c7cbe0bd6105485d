"""Every key of the `train:` block is read by the code that trains: none is dropped in silence."""

from typing import ClassVar

import pytest
from pydantic import ValidationError

from fineline.adapters.methods import METHODS, SELECTABLE
from fineline.project.params.training import Train
from fineline.train import loop
from tests.train.test_loop import data

BEFORE = {"learn"}  # read by the stage, when it tokenises: tests/test_chain.py and tests/chat/test_tokens.py
SMALL = {
    "rank": 2,
    "alpha": 4,
    "dropout": 0.0,
    "targets": "all-linear",
    "initialization": "default",
    "quantization": {},
    "dequantize": False,
    "virtual_tokens": 3,
    "bottleneck": {"size": 4},
}


class Watched(Train):
    """A block that notes which of its keys are read."""

    read: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> object:
        if name in Train.model_fields:
            Watched.read.add(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "bitfit"])  # the tiny model has no biases
def test_every_key_is_read_when_training(tiny_base, tmp_path, method):
    keys = {name: SMALL[name] for name in METHODS[method].uses}
    train = Watched.model_validate({"method": method, "recompute": False, "epochs": 0.1, **keys})
    Watched.read.clear()
    loop.train(tiny_base, *data(), train, report=tmp_path / "report", scratch=tmp_path / "scratch")
    common = set(Train.model_fields) - SELECTABLE - BEFORE
    missed = (common | METHODS[method].uses) - Watched.read
    assert not missed


def test_every_selectable_key_is_a_key_and_every_method_can_be_named():
    assert set(Train.model_fields) >= SELECTABLE
    for method in METHODS:
        Train.model_validate({"method": method})


@pytest.mark.parametrize("method", METHODS)
def test_a_key_that_the_method_does_not_read_is_refused(method):
    for key in SELECTABLE - METHODS[method].uses:
        with pytest.raises(ValidationError, match=f"method {method} does not read {key}; it reads "):
            Train.model_validate({"method": method, key: SMALL[key]})
