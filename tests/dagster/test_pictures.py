"""fineline.dagster.pictures: the columns of a curve, and the axes of its figure."""

import base64

import pytest

from fineline.dagster import pictures
from fineline.dagster.pictures import losses, numeric_columns

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
