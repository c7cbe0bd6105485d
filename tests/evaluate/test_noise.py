"""A model compared with itself."""

from fineline.evaluate.scores import noise_between
from fineline.suites.task import Measure, Task

TASK = Task("t", (Measure("t", "acc", "share"), Measure("t_gold", "gold", "bits")), ["c"] * 3, [{}] * 3, {"task": "t"})


def record(item, share, bits):
    return {"task": "t", "item": item, "scores": {"t": share, "t_gold": bits}}


def test_flips_and_the_largest_difference_over_the_items_that_were_asked_again():
    known = [record(0, 1.0, -1.0), record(1, 0.0, -2.0), record(2, 1.0, -9.0)]
    again = [record(0, 1.0, -1.25), record(1, 1.0, -2.0)]
    assert noise_between(known, again, [TASK]) == {"items": 2, "flips": 1, "largest": 0.25}
    assert noise_between(known, known, [TASK]) == {"items": 3, "flips": 0, "largest": 0.0}
