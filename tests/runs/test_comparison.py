from __future__ import annotations

import math

import pytest

from runs.recipes import small_spec
from tilewright.runs import Seeds, StoreError, compare, mean_interval


def finished(store, spec, loss, accuracy, pulses=None):
    """A run with a short made-up history."""
    row = store.add(spec)
    claim = store.claim(row.id, "worker")
    metrics = [("loss", 10, 2 * loss), ("loss", 20, loss), ("test_accuracy", 20, accuracy)]
    results = {} if pulses is None else {"pulses": pulses}
    store.record(
        claim,
        metrics,
        results=results,
        step=20,
        total_steps=20,
        state="finished",
        loss=loss,
        test_accuracy=accuracy,
        seconds=4.0,
    )
    return row.id


def test_runs_that_differ_by_seeds_make_one_row_with_an_interval(store):
    accuracies = [0.80, 0.84, 0.88]
    for seed, accuracy in enumerate(accuracies):
        finished(store, small_spec("ttv2", name=f"ttv2 {seed}", seeds=Seeds(data=seed)), 0.5, accuracy, pulses=1000.0)
    finished(store, small_spec("sgd"), 2.3, 0.1)
    table = compare(store).table.set_index("algorithm")
    assert list(table.index) == ["sgd", "ttv2"]
    row = table.loc["ttv2"]
    assert (row.runs, row.finished, row.seconds, row.pulses) == (3, 3, 4.0, 1000.0)
    assert row.test_accuracy == pytest.approx(0.84)
    # Student's t for two degrees of freedom is 4.3027; the standard error is 0.04 / sqrt(3).
    assert row.test_accuracy_high - row.test_accuracy == pytest.approx(4.302653 * 0.04 / math.sqrt(3))
    single = table.loc["sgd"]
    assert single.runs == 1
    assert math.isnan(single.test_accuracy_low)
    assert math.isnan(single.pulses)


def test_the_interval_of_a_share_ends_where_shares_do_and_that_of_a_loss_does_not(store):
    for seed, accuracy in enumerate([0.90, 0.99]):
        finished(store, small_spec("ttv2", seeds=Seeds(data=seed)), loss=accuracy, accuracy=accuracy)
    row = compare(store).table.iloc[0]
    half = 12.7062 * 0.045  # Student's t for one degree of freedom, and the standard error
    assert (row.test_accuracy_low, row.test_accuracy_high) == (pytest.approx(0.945 - half, rel=1e-4), 1.0)
    assert row.final_loss_high == pytest.approx(0.945 + half, rel=1e-4)


def test_a_run_made_again_with_its_seeds_counts_once(store):
    for seed, accuracy in [(1, 0.80), (1, 0.80), (2, 0.84), (2, 0.84)]:
        finished(store, small_spec("ttv2", seeds=Seeds(data=seed)), 0.5, accuracy)
    row = compare(store).table.iloc[0]
    assert row.runs == 4
    half = 12.7062 * 0.02  # Student's t for one degree of freedom, and the standard error of two values
    assert (row.test_accuracy_low, row.test_accuracy_high) == pytest.approx((0.82 - half, 1.0), rel=1e-4)
    again = finished(store, small_spec("sgd", seeds=Seeds(data=1)), 0.5, 0.1)
    other = finished(store, small_spec("sgd", seeds=Seeds(data=1)), 0.5, 0.1)
    assert math.isnan(compare(store, [again, other]).table.iloc[0].test_accuracy_low)


def test_chosen_runs_keep_their_order_and_curves_are_long(store):
    ids = [finished(store, small_spec(epochs=epochs, name=str(epochs)), 0.1, 0.9) for epochs in (1, 2)]
    comparison = compare(store, ids)
    assert list(comparison.table.name) == ["1", "2"]
    curves = comparison.curves
    assert set(curves.columns) == {"run_id", "name", "algorithm", "metric", "step", "epoch", "value"}
    assert len(curves) == 6
    second = curves[(curves.run_id == ids[1]) & (curves.metric == "loss")]
    assert list(second.epoch) == [1.0, 2.0]
    assert list(second.value) == [0.2, 0.1]


def test_a_run_that_has_not_begun_has_a_row_without_results(store):
    store.add(small_spec())
    comparison = compare(store)
    assert math.isnan(comparison.table.final_loss[0])
    assert comparison.table.finished[0] == 0
    assert comparison.curves.empty


def test_an_empty_store_and_an_unknown_run(store):
    assert compare(store).table.empty
    assert "test_accuracy" in compare(store).table.columns
    with pytest.raises(StoreError, match="no run"):
        compare(store, ["ghost"])


def test_the_interval_of_known_values():
    mean, low, high = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    # t(0.975, 3) = 3.182446; the standard deviation is sqrt(5 / 3), its error half of that.
    assert (high - mean, mean - low) == pytest.approx([3.182446 * math.sqrt(5 / 3) / 2] * 2, rel=1e-6)
    assert mean_interval([5.0])[0] == 5.0
    assert all(math.isnan(value) for value in mean_interval([])[:1])
