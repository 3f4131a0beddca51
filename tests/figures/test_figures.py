"""Figures: what is drawn, where, and that its numbers can be taken out again."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from tilewright.configs import ConstantStepDevice, SoftBoundsReferenceDevice
from tilewright.devices import device_distribution
from tilewright.figures import (
    Curve,
    branches,
    empty_figure,
    figure_data,
    plot_comparison,
    plot_device_compact,
    plot_f_and_g,
    plot_losses,
    plot_measurement,
    plot_mvm_scatter,
    plot_overlay,
    plot_spread_histograms,
    plot_step_bands,
    plot_step_curves,
    plot_update_scatter,
    ramp_pulses,
    relative_error,
    running_mean,
)
from tilewright.figures.palette import ALGORITHM_COLOURS, algorithm_colour, algorithm_label
from tilewright.measurement import Finding, Measurement, Record
from tilewright.presets import DEVICE_PRESETS, TutorialRRAMPresetDevice


def traces_of(figure, axis="x2"):
    return [trace for trace in figure.data if trace.xaxis == axis]


def a_measurement(n=40):
    pulses = np.array([1] * n + [-1] * n + [1, -1] * 10, dtype=np.int8)
    return Measurement("ramp", "µS", (Record(pulses, np.cumsum(pulses) * 0.5),))


@pytest.mark.parametrize("preset", DEVICE_PRESETS.values(), ids=DEVICE_PRESETS)
def test_every_preset_has_a_compact_figure(preset):
    figure = plot_device_compact(preset(), n_traces=2, n_loops=1)
    assert len(traces_of(figure)) == 2
    assert max(len(trace.x) for trace in figure.data) <= 1500
    assert figure.layout.uirevision


def test_the_figure_takes_the_tutorials_arguments():
    device = SoftBoundsReferenceDevice(w_min_dtod=0, w_max_dtod=0, dw_min_dtod=0, up_down_dtod=0, dw_min_std=1)
    figure = plot_device_compact(device, n_steps=50, n_traces=5)
    lines = traces_of(figure)
    assert len(lines) == 5
    assert all(len(line.y) == 2 * 2 * 50 + 1 for line in lines)


def test_without_noise_the_trace_is_the_step_curve():
    device = ConstantStepDevice(
        dw_min=0.1, dw_min_std=0, dw_min_dtod=0, up_down_dtod=0, w_max_dtod=0, w_min_dtod=0, w_max=1, w_min=-1
    )
    (line,) = traces_of(plot_device_compact(device, n_steps=5, n_traces=1, n_loops=1, w_init=0.0))
    np.testing.assert_allclose(line.y, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], atol=1e-6)


def test_equal_seeds_repeat_and_others_differ():
    device = TutorialRRAMPresetDevice()
    first, again, other = (traces_of(plot_device_compact(device, n_steps=30, seed=seed))[0].y for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_read_noise_is_added_to_what_is_read():
    device = ConstantStepDevice(dw_min_std=0, dw_min_dtod=0)
    quiet = traces_of(plot_device_compact(device, n_steps=400, n_traces=1))[0].y
    noisy = traces_of(plot_device_compact(device, n_steps=400, n_traces=1, w_noise=0.05))[0].y
    # 1500 samples of standard deviation 0.05: the estimate lies within 20 % but for one case in 10^27.
    assert 0.04 < np.std(np.asarray(noisy) - np.asarray(quiet)) < 0.06


def test_many_devices_become_a_band():
    lines = traces_of(plot_device_compact(TutorialRRAMPresetDevice(), n_steps=20, n_traces=15))
    assert [line.fill for line in lines] == ["toself", None]


def test_the_strips_share_the_weight_axis():
    figure = plot_device_compact(TutorialRRAMPresetDevice(), n_steps=20)
    assert figure.layout.yaxis2.matches == figure.layout.yaxis3.matches == "y"
    assert figure.layout.xaxis3.matches == "x"


def test_step_curves_cross_at_the_marked_point():
    figure = plot_step_curves(TutorialRRAMPresetDevice())
    up, down, mark = figure.data
    crossing = np.interp(mark.x[0], up.x, np.asarray(up.y) - np.asarray(down.y))
    assert crossing == pytest.approx(0, abs=1e-4)


def test_step_curves_of_several_devices_and_of_none():
    two = plot_step_curves({"A": TutorialRRAMPresetDevice(), "B": ConstantStepDevice()})
    assert {trace.name for trace in two.data} >= {"Up step A", "Down step A", "Up step B", "Down step B"}
    assert not plot_step_curves({}).data


def test_branches_tell_ramps_from_alternation():
    assert list(branches([1] * 5 + [-1] * 5 + [1, -1, 1, -1])) == [1] * 5 + [-1] * 5 + [0] * 4
    assert branches(np.array([], dtype=np.int8)).size == 0


def test_a_measurement_is_drawn_by_branch_with_its_unit():
    finding = Finding("warning", "An outlier.", marks=((0, (3, 4)),), check="outliers")
    figure = plot_measurement(a_measurement(), [finding])
    names = [trace.name for trace in figure.data]
    assert names == ["Up pulses", "Down pulses", "Alternating pulses", "Outliers"]
    assert sum(len(trace.x) for trace in figure.data[:3]) == 100
    assert list(figure.data[3].x) == [3, 4]
    assert "µS" in figure.layout.yaxis.title.text


def test_a_measurement_is_drawn_in_a_unit_without_powers_of_ten():
    given = a_measurement()
    small = replace(given, unit="A", records=tuple(replace(r, response=1e-12 * r.response) for r in given.records))
    finding = Finding("info", "Noise.", marks=((0, (3,)),), size=2e-12, check="noise")
    figure = plot_measurement(small, [finding])
    assert figure.layout.yaxis.title.text == "Response (pA)"
    np.testing.assert_allclose(figure.data[0].y, plot_measurement(given).data[0].y)
    assert figure.data[-1].error_y.value == pytest.approx(1.0)


def test_ramps_in_records_of_their_own_keep_the_colours():
    up = Record(np.ones(20, dtype=np.int8), np.arange(20.0))
    down = Record(-np.ones(20, dtype=np.int8), np.arange(20.0)[::-1])
    figure = plot_measurement(Measurement("two", "", (up, down, up)))
    assert [trace.name for trace in figure.data] == ["Up pulses", "Down pulses", "Up pulses"]
    assert [trace.showlegend for trace in figure.data] == [True, True, False]


def test_the_overlay_shows_what_is_left():
    measurement = a_measurement()
    model = np.asarray(measurement.records[0].response) - 0.25
    figure = plot_overlay(measurement.records, [model])
    left = np.concatenate([trace.y for trace in figure.data if trace.yaxis == "y2"])
    np.testing.assert_allclose(left, 0.25)
    assert len(plot_overlay(measurement.records, None).data) == 1


def test_an_algorithm_keeps_its_colour():
    curves = [Curve("a", "ttv2", [1, 2], [1, 2]), Curve("b", "sgd", [1, 2], [1, 2]), Curve("c", "ttv2", [1, 2], [1, 2])]
    lines = plot_losses(curves).data
    assert [line.line.color for line in lines] == [algorithm_colour(c.algorithm) for c in curves]
    assert lines[0].line.dash != lines[2].line.dash
    (bar,) = plot_comparison({"ttv2": [80.0]}).data
    assert bar.marker.color == lines[0].line.color


def test_algorithms_are_known_by_all_their_names():
    assert len(set(ALGORITHM_COLOURS.values())) == len(ALGORITHM_COLOURS)
    for name in ("mp", "Mixed precision", "mixed-precision", "MP"):
        assert algorithm_label(name) == "Mixed precision"
    assert algorithm_colour("floating point") == algorithm_colour("digital") == ALGORITHM_COLOURS["fp"]
    assert algorithm_colour("something new") == algorithm_colour("something new")


def test_losses_say_when_there_is_nothing():
    assert plot_losses([Curve("a", "sgd", [], [])]).layout.annotations[0].text
    assert not plot_comparison({"sgd": [float("nan")]}).data
    assert empty_figure("why").layout.annotations[0].text == "why"


def test_the_running_mean_starts_with_what_there_is():
    np.testing.assert_allclose(running_mean(np.array([2.0, 4.0, 6.0, 8.0]), 2), [2, 3, 5, 7])


def test_scatters_and_their_error():
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=(8, 10))
    assert relative_error(wanted, wanted) == 0
    assert relative_error(wanted, 0 * wanted) == pytest.approx(1)
    assert np.isnan(relative_error(0 * wanted, wanted))
    figure = plot_mvm_scatter(wanted, wanted + 0.1, wanted_backward=wanted, delivered_backward=wanted)
    assert [trace.name for trace in figure.data] == ["Forward", "Backward", "Exact"]
    assert plot_update_scatter(wanted, wanted).data
    assert not plot_update_scatter(np.zeros(0), np.zeros(0)).data


def test_the_numbers_come_out_as_csv():
    figure = plot_device_compact(TutorialRRAMPresetDevice(), n_steps=10, n_traces=2, n_loops=1)
    rows = list(csv.DictReader(io.StringIO(figure_data(figure))))
    device = [row for row in rows if row["trace"] == "Device 2"]
    assert [float(row["x"]) for row in device] == list(range(21))
    np.testing.assert_allclose([float(row["y"]) for row in device], traces_of(figure)[1].y, rtol=1e-6)
    assert device[0]["x_axis"] == "Pulse number"
    assert device[0]["y_axis"].startswith("Weight")


def test_ramp_pulses():
    assert list(ramp_pulses(2, 2)) == [1, 1, -1, -1, 1, 1, -1, -1]


def test_records_are_told_apart():
    pulses = np.array([1] * 6 + [-1] * 6, dtype=np.int8)
    records = [Record(pulses, np.arange(12.0), "g", device, cycle) for device, cycle in (("a", 1), ("a", 2), ("b", 0))]
    records += [
        Record(pulses, np.arange(12.0), "g"),
        Record(pulses, np.arange(12.0), "g"),
        Record(pulses, np.arange(12.0)),
    ]
    figure = plot_measurement(Measurement("many", "", tuple(records)))
    assert [line.name for line in figure.data] == ["a, cycle 1", "a, cycle 2", "b", "g (4)", "g (5)", "Record 6"]


def known(values):
    return values[~np.isnan(values)]


def a_distribution(device, n=200):
    return device_distribution(device, n, seed=1)


@pytest.mark.parametrize("preset", DEVICE_PRESETS.values(), ids=DEVICE_PRESETS)
def test_figures_of_drawn_devices(preset):
    found = a_distribution(preset())
    steps, split, spread = plot_step_bands(found), plot_f_and_g(found), plot_spread_histograms(found)
    medians = {trace.name: trace for trace in steps.data if trace.name.endswith("median")}
    np.testing.assert_allclose(medians["Up step, median"].y, known(found.bands(found.up, (0.5,))[0]))
    f, g = (trace for trace in split.data if trace.name.endswith("median"))
    assert f.name.startswith("F")
    np.testing.assert_allclose(g.y, known(found.bands((found.down - found.up) / 2, (0.5,))[0]))
    assert all(90 < sum(trace.y) <= 100 for trace in spread.data if trace.name == "States")
    assert "nan" not in figure_data(spread)


def test_what_no_device_has_is_said_in_the_figure():
    stuck = a_distribution(ConstantStepDevice(corrupt_devices_prob=1.0))
    assert "No device has a window" in plot_step_bands(stuck).layout.annotations[0].text
    notes = [note.text for note in plot_spread_histograms(stuck).layout.annotations]
    assert notes == ["none in the window", "no states", "no noise"]


def test_equal_devices_make_one_bar():
    quiet = {name: 0.0 for name in ConstantStepDevice.model_fields if name.endswith("_dtod")}
    figure = plot_spread_histograms(a_distribution(ConstantStepDevice(**quiet)))
    (states,) = [trace for trace in figure.data if trace.name == "States"]
    assert sorted(states.y)[-2:] == [0, 100]
