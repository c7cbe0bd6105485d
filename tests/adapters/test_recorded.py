"""How an adapter was trained, read from the parameters that its artifact records."""

import pytest

from fineline.adapters import methods
from fineline.adapters.methods import METHODS
from fineline.models.config import Quantization
from fineline.project.params.training import Train


def record(**train):
    """Parameters as the stage `train` records them: only those that were set."""
    return Train(**train).model_dump(mode="json", exclude_unset=True)


@pytest.mark.parametrize("method", METHODS)
def test_the_method_is_the_recorded_one(method):
    assert methods.method_of(record(method=method)) is METHODS[method]


def test_a_quantization_that_was_not_set_is_the_default_one():
    assert record(method="qlora") == {"method": "qlora"}
    assert methods.quantization_of(record(method="qlora")) == Quantization() == Train().quantization


def test_a_quantization_that_was_set_in_part_has_defaults_for_the_rest():
    parameters = record(method="qdora", quantization={"type": "fp4"})
    assert parameters["quantization"] == {"type": "fp4"}
    assert methods.quantization_of(parameters) == Quantization(type="fp4", double=True)


def test_all_parameters_are_read_as_those_that_were_set():
    train = Train(method="qlora", quantization={"double": False}, precision="fp32")
    everything = train.model_dump(mode="json")
    assert methods.quantization_of(everything) == train.quantization
    assert methods.precision_of(everything) == "fp32"


@pytest.mark.parametrize("method", [name for name in METHODS if not METHODS[name].quantized])
def test_a_base_of_another_method_was_not_quantized(method):
    assert methods.quantization_of(record(method=method)) is None


def test_an_adapter_without_a_recorded_precision_was_trained_in_bf16():
    assert methods.precision_of({"method": "lora"}) == "bf16"
