"""fineline.errors: messages name the place of a parameter, also across processes."""

import pickle

import pytest

from fineline.errors import InputError, ParameterError, did_you_mean, parameters_of


def test_the_key_of_a_parameter_is_completed_by_its_place():
    with pytest.raises(InputError) as caught, parameters_of("adapters.home"):
        raise ParameterError("evaluate.gate.floor", "found 2, but 1 is the most")
    assert str(caught.value) == "params.yaml: adapters.home.evaluate.gate.floor: found 2, but 1 is the most"


def test_other_errors_are_not_changed_by_the_place():
    with pytest.raises(InputError, match=r"^rows\.jsonl: no rows$"), parameters_of("adapters.home"):
        raise InputError("rows.jsonl: no rows")


def test_a_worker_process_can_hand_over_a_parameter_error():
    error = pickle.loads(pickle.dumps(ParameterError("curate.system", "contains email")))
    assert (error.key, error.problem, str(error)) == (
        "curate.system",
        "contains email",
        "params.yaml: curate.system: contains email",
    )


def test_the_nearest_accepted_word_is_offered():
    assert did_you_mean("rnak", ["rank", "alpha"]) == "; did you mean 'rank'?"
    assert did_you_mean("x", ["rank", "alpha"]) == "; accepted: rank, alpha"
