"""Names in figures: short, told apart, and taken letter by letter."""

import numpy as np
import pytest

from tilewright.figures import Curve, figure_data, plot_against, plot_bands, plot_intervals, plot_losses, plot_parallel
from tilewright.figures.names import in_lines, shortened, told_apart

NAMES = ["swept, learning_rate 0.05, batch_size 10, seed 1", "swept, learning_rate 0.2, batch_size 10, seed 1"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (NAMES, ["learning_rate 0.05", "learning_rate 0.2"]),
        (["TTv2, mine", "In-memory SGD, mine"], ["TTv2", "In-memory SGD"]),
        (["TTv2, mine", "Floating point"], ["TTv2, mine", "Floating point"]),
        (["one, mine", "one, mine"], ["one, mine", "one, mine"]),
        (["x, a", "x"], ["x, a", "x"]),
        (["alone, mine"], ["alone, mine"]),
        ([], []),
    ],
)
def test_what_all_share_is_left_out(names, told):
    assert told_apart(names) == told


def test_a_long_tick_is_broken_between_its_parts():
    assert in_lines("learning_rate 0.2, batch_size 10, seed 1") == "learning_rate 0.2,<br>batch_size 10, seed 1"
    assert in_lines("TTv2, mine") == "TTv2, mine"
    assert max(map(len, in_lines("x" * 90 + ", " + "y" * 90).split("<br>"))) <= 29
    assert len(shortened("x" * 90)) == 40


def figures_with(name):
    curve = Curve(name, "sgd", np.arange(3), np.arange(3.0))
    yield plot_losses([curve])
    yield plot_bands({name: [curve]}, y_title="y")
    yield plot_intervals([(name, "sgd", 1.0, 0.5, 1.5)], {name: [1.0]}, x_title="x")
    yield plot_against([(name, "sgd", 1.0, 2.0)], x_title="x", y_title="y")


def test_a_name_is_no_markup():
    for figure in figures_with("a <b>bold</b> & name"):
        texts = [trace.name for trace in figure.data] + list(figure.layout.yaxis.ticktext or ())
        assert not any("<b>" in text for text in texts)
        assert any("&lt;b&gt;bold&lt;/b&gt; &amp; name" in text for text in texts)
        assert "a <b>bold</b> & name" in figure_data(figure)


def test_a_logarithmic_axis_writes_numbers_in_full():
    axis = plot_losses([Curve("a", "sgd", [1, 2], [1.0, 300.0])], log_y=True).layout.yaxis
    assert (axis.minorloglabels, axis.exponentformat) == ("complete", "none")
    assert plot_losses([Curve("a", "sgd", [1, 2], [1.0, 300.0])]).layout.yaxis.minorloglabels is None


def test_parallel_axes_keep_full_paths():
    figure = plot_parallel({"data.name": ["a", "b"], "name": ["c", "d"]}, [1.0, 2.0], colour_title="accuracy")
    assert [dimension.label for dimension in figure.data[0].dimensions] == ["data.name", "name", "accuracy"]
