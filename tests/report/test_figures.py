"""Figures: positions, ticks, axes, and that ElementTree escapes what it is given."""

import math
from xml.etree import ElementTree as ET

import pytest

from fineline.report import figures
from tests.evaluate.decisions import entry


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 355, [0, 100, 200, 300]),
        (-0.1, 0.99, [0, 0.2, 0.4, 0.6, 0.8]),
        (-0.08, 0.05, [-0.05, 0, 0.05]),
        (0, 0, [0]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(low, high, expected):
    assert figures.ticks(low, high) == pytest.approx(expected)


def test_a_strip_draws_each_model_and_the_excluded_range():
    arms = {"adapter": entry("m", "must_improve", 0.5), "exported": entry("m", "must_improve", 0.25)}
    root = ET.fromstring(figures.strip(arms, (0.0, 1.0), 'a "label" <b>'))
    assert root.attrib["aria-label"] == 'a "label" <b>'
    assert [mark.attrib["x"] for mark in root.iter("svg") if "x" in mark.attrib] == ["50.00%", "25.00%"]
    intervals = [(line.attrib["x1"], line.attrib["x2"]) for line in root.iter("line") if "interval" in line.attrib["class"]]
    assert intervals == [("45.00%", "55.00%"), ("20.00%", "30.00%")]
    (excluded,) = [rect for rect in root.iter("rect") if rect.attrib["class"] == "excluded"]
    assert excluded.attrib["width"] == "5.00%"


def test_a_model_without_a_difference_is_left_out():
    arms = {"adapter": entry("m", "must_improve", None)}
    assert not list(ET.fromstring(figures.strip(arms, (0.0, 1.0), "")).iter("path"))


def test_a_loss_that_falls_far_has_a_logarithmic_axis():
    train = [(step, 5.0 * math.exp(-step / 20)) for step in range(1, 101)]
    assert figures.is_logarithmic([loss for _, loss in train])
    root = ET.fromstring(figures.losses(train, [(50, 0.2), (100, 0.1)]))
    assert {"1", "0.1"} <= {text.text for text in root.iter("text")}
    assert len(list(root.iter("circle"))) == 2
    assert (
        root.attrib["aria-label"]
        == "Loss by step. Training: from 4.76 to 0.0337 at step 100. Validation: from 0.2 to 0.1 at step 100."
    )


def test_a_constant_loss_can_be_drawn():
    ET.fromstring(figures.losses([(1, 0.0), (2, 0.0)], []))
    ET.fromstring(figures.losses([], [(1, 2.0)]))


def test_a_bar_places_its_parts_one_after_the_other():
    parts = ET.fromstring(figures.bar([("kept", 30.0), ("removed", 10.0)], 80.0, "")).findall("rect")
    assert [(part.attrib["x"], part.attrib["width"]) for part in parts] == [("0.000%", "37.500%"), ("37.500%", "12.500%")]
