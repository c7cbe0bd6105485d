"""fineline.dagster.pictures: the numbers and labels behind the pictures, and that odd data can be drawn."""

import base64
import warnings

import pytest

from fineline.dagster import pictures
from fineline.dagster.pictures import counts, edges, funnel, losses, lost_rows, makeup, most, numeric_columns, short

CURVE = {"step": [1.0, 2.0], "loss": [2.0, 1.0]}
LOSS = "step,loss\n1,2\n2,1\n"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn."""
    figures = []
    shown = pictures.picture
    monkeypatch.setattr(pictures, "picture", lambda figure, caption: (figures.append(figure), shown(figure, caption))[1])
    return figures


@pytest.fixture
def write(stage):
    """Return a function that writes the losses of a training and returns its stage."""

    def write(training="", validation=""):
        made = stage("train", training={})
        for name, text in (("loss.csv", training), ("validation_loss.csv", validation)):
            (made.root / "reports" / "home-en" / name).write_text(text)
        return made

    return write


def test_a_curve_is_read_by_its_columns(tmp_path):
    file = tmp_path / "loss.csv"
    assert numeric_columns(file) == {}
    file.write_text("step,loss\n")
    assert numeric_columns(file) == {}
    file.write_text("step,loss,learning_rate,tokens_per_second\n1,2,1e-4,300\n2,1,5e-5,310\n")
    rest = {"learning_rate": [1e-4, 5e-5], "tokens_per_second": [300.0, 310.0]}
    assert numeric_columns(file) == CURVE | rest


def test_the_learning_rate_has_a_separate_axis(drawn, write):
    picture = losses(write("step,loss,learning_rate\n1,2,1e-4\n2,1,5e-5\n", "step,loss\n2,1.5\n"))["loss"]
    loss, rate = drawn[0].axes
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert rate.get_ylabel() == "learning rate"
    assert list(rate.lines[0].get_ydata()) == [1e-4, 5e-5]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation", "learning rate"]
    data = picture.value.removeprefix("![loss over steps](data:image/png;base64,").removesuffix(")")
    assert base64.b64decode(data).startswith(b"\x89PNG")


def test_curves_without_a_learning_rate_have_one_axis(drawn, write):
    losses(write(LOSS))
    losses(write("", LOSS))
    assert [[line.get_label() for line in figure.axes[0].lines] for figure in drawn] == [["training"], ["validation"]]
    assert [len(figure.axes) for figure in drawn] == [1, 1]


def is_png(picture):
    return base64.b64decode(picture.value.partition("base64,")[2].removesuffix(")")).startswith(b"\x89PNG")


def test_each_step_tells_what_it_left_and_what_it_cost():
    assert lost_rows([("rows in", 1000), ("rejected", 1000), ("quality", 900), ("mixing", 990)]) == [
        "1,000",
        "1,000",
        "900  \N{MINUS SIGN}100 (\N{MINUS SIGN}10.0%)",
        "990  +90 (+10.0%)",
    ]


def test_the_largest_bars_are_shown_and_the_rest_is_summed():
    bars = [("a", 1), ("b", 5), ("c", 3), ("d", 1)]
    assert most(bars, 4) == [("b", 5), ("c", 3), ("a", 1), ("d", 1)]
    assert most(bars, 3) == [("b", 5), ("c", 3), ("2 others", 2)]


def test_the_first_bin_is_as_wide_as_the_second_on_the_scale():
    assert edges([16, 32, 64]) == [8, 16, 32, 64]
    assert edges([16]) == [8, 16]


def test_long_labels_are_cut():
    assert short("billing") == "billing"
    assert short("a very long name of a domain") == "a very long name of a…"


def test_counts_are_read_from_a_file_with_a_heading(tmp_path):
    file = tmp_path / "domains.csv"
    file.write_text('domain,rows\n"billing, refunds",3\nother,1\n')
    assert counts(file) == [("billing, refunds", 3), ("other", 1)]
    assert counts(tmp_path / "none.csv") == []


def test_pictures_of_odd_data_are_drawn_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_png(funnel([("rows in", 5)]))
        assert is_png(
            makeup([("8", 5)], {"median": 7, "p95": 7, "limit": 1024}, [("zh", 4), ("en", 1)], [("$5 to $9 技术", 5)])
        )
