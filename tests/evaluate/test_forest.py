"""The forest plot: what is drawn where, and equal bytes for equal decisions."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import pytest

from fineline.evaluate import forest
from fineline.evaluate.forest import STYLES
from tests.conftest import ROOT
from tests.evaluate.decisions import decided, decision, entry

RULES = [
    entry("target", "must_improve", 0.857, 0.06, limit=0.0),
    entry("guard", "must_not_regress", 0.018, 0.04),
    entry("plain", "must_not_regress", -0.31, 0.05, unit="bits a byte", verdict="fail", limit=0.1),
    entry("target", "champion", -0.01, 0.03, verdict="inconclusive"),
    entry("target", "floor", None, lower=0.8, upper=0.9, candidate=0.857),
    entry("other", "info", 0.3, 0.2),
]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def colors(axes, verdict):
    return [line for line in axes.lines if line.get_color() == STYLES[verdict][0]]


def test_rules_and_units_have_separate_axes_and_floors_none():
    shown = forest.panels(decision(*RULES))
    assert [(panel.title, [row["measure"] for row in panel.rows]) for panel in shown] == [
        ("Must improve on the base", ["target"]),
        ("Must not regress from the base", ["guard"]),
        ("Must not regress from the base, in bits a byte", ["plain"]),
        ("Must not fall behind the champion", ["target"]),
        ("Reported only, against the base", ["other"]),
    ]


def test_a_large_gain_leaves_the_axis_of_a_guard_as_it_is():
    targets, guards, *_ = forest.figure(decision(*RULES)).axes
    assert targets.get_xlim()[1] > 0.9
    assert guards.get_xlim()[1] < 0.1
    assert guards.get_xlim()[0] < -0.05, "some of what must be ruled out is seen"


def test_a_row_shows_point_line_edge_and_numbers():
    figure = forest.figure(decision(*RULES), "home-en")
    guards = figure.axes[1]
    line, point = colors(guards, "pass")
    assert list(line.get_xdata()) == pytest.approx([-0.022, 0.058])
    assert list(point.get_xdata()) == [0.018]
    assert [list(line.get_xdata()) for line in guards.lines[:2]] == [[0, 0], [-0.05, -0.05]]
    assert [list(line.get_xdata()) for line in guards.lines if line.get_marker() == "|"] == [[-0.04]], "what the items show"
    targets = figure.axes[0]
    assert list(targets.lines[1].get_xdata()) == [0.0, 0.0], "of a target, all that is no gain must be ruled out"
    shown = texts(figure)
    assert "home-en: pass" in shown
    assert {"guard", "100", "50.0% → 51.8%", "+1.8%  (−2.2% to +5.8%)", "pass"} <= set(shown)
    assert "−0.310  (−0.360 to −0.260)" in shown


def test_verdicts_differ_in_color_and_in_symbol():
    drawn = [(color, marker) for color, marker, _ in STYLES.values()]
    assert len({color for color, _ in drawn}) == len({marker for _, marker in drawn}) == len(drawn) == 4


def test_what_could_not_be_compared_is_drawn_as_failed_and_a_missing_champion_is_not():
    broken = entry("guard", "must_not_regress", None, verdict="fail", items=None)
    missing = entry("target", "champion", None, verdict="info")
    figure = forest.figure(decision(broken, missing, verdict="fail"))
    assert len(figure.axes) == 1
    assert {"could not be compared", "fail"} <= set(texts(figure))
    assert "champion" not in " ".join(texts(figure))


def test_a_large_drop_is_an_arrow_so_that_margins_stay_visible():
    fell = entry("fell", "must_not_regress", -0.8, 0.1, verdict="fail", detectable=0.9)
    (axes,) = forest.figure(decision(fell, entry("guard", "must_not_regress", 0.0, 0.02))).axes
    left, right = axes.get_xlim()
    assert left > -0.3
    assert [(line.get_marker(), line.get_xdata()[0]) for line in axes.lines if line.get_marker() in "<>"] == [("<", left)]
    assert right > 0.02


def test_unknown_bounds_are_a_dotted_line():
    lumped = entry("guard", "must_not_regress", 0.01, verdict="inconclusive", lower=None, upper=None, detectable=None)
    figure = forest.figure(decision(lumped, entry("other", "must_not_regress", 0.0)))
    (line, _) = colors(figure.axes[0], "inconclusive")
    assert (line.get_linestyle(), tuple(line.get_xdata())) == (":", figure.axes[0].get_xlim())
    assert "+1.0%  (bounds unknown)" in texts(figure)


@pytest.mark.parametrize("difference", [0.0, 1e-9])
def test_a_difference_of_nothing_still_has_an_axis(difference):
    left, right = forest.figure(decision(entry("same", "info", difference, 0.0))).axes[0].get_xlim()
    assert right - left > 0.01


def test_names_are_not_read_as_formulas_and_long_ones_are_cut(tmp_path):
    rule = entry("$x_1$" + "y" * 60, "info", 0.1)
    assert "$x_1$" + "y" * 26 + "…" in texts(forest.figure(decision(rule)))
    forest.draw(decision(rule), tmp_path / "forest.svg", "<a & b>")
    ElementTree.parse(tmp_path / "forest.svg")


def test_a_decision_without_differences_has_a_plot(tmp_path):
    forest.draw(decision(verdict="inconclusive"), tmp_path / "new" / "forest.svg")
    assert "There are no differences to plot." in (tmp_path / "new" / "forest.svg").read_text()


def test_equal_decisions_give_equal_bytes_independent_of_matplotlibrc(tmp_path):
    files = [tmp_path / name for name in ("one.svg", "two.svg", "other.svg")]
    forest.draw(decision(*RULES), files[0], "home-en")
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.facecolor": "black"}):
        forest.draw(decision(*RULES), files[1], "home-en")
    forest.draw(decision(*RULES[:-1]), files[2], "home-en")
    one, two, other = (file.read_bytes() for file in files)
    assert one == two != other
    assert b"<dc:date>" not in one
    assert {file.name for file in tmp_path.iterdir()} == {"one.svg", "two.svg", "other.svg"}


def test_bytes_are_the_same_in_another_process(tmp_path):
    """Hashes of strings differ between processes; nothing may follow them."""
    code = (
        "import sys; from pathlib import Path; from fineline.evaluate import forest;"
        "from tests.evaluate.test_forest import RULES, decision; forest.draw(decision(*RULES), Path(sys.argv[1]))"
    )
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, str(tmp_path / f"{seed}.svg")]
        subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed})
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def test_every_decision_of_the_gate_can_be_plotted(tmp_path):
    made = decided()
    forest.draw(made, tmp_path / "forest.svg")
    drawn = {(row["measure"], row["rule"]) for panel in forest.panels(made) for row in panel.rows}
    assert {
        ("target", "must_improve"),
        ("target", "champion"),
        ("broken", "must_not_regress"),
        ("lumped", "must_not_regress"),
        ("unnamed", "info"),
    } <= drawn
    assert ("target", "floor") not in drawn
    assert ("guard", "champion") not in drawn, "it has no champion"
