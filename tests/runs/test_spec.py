from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from runs.recipes import ALGORITHMS, small_spec
from tilewright.parameters import ParameterError
from tilewright.runs import ConstantSchedule, DataSource, DropSchedule, Perceptron, RunSpec, Seeds, build_network

EXPECTED = {"digital": "digital", "fp": "floating point"}

schedules = st.one_of(
    st.just(ConstantSchedule()),
    st.builds(DropSchedule, drop=st.floats(0.01, 1.0), after=st.floats(0.0, 1.0)),
)
specs = st.builds(
    RunSpec,
    name=st.text(min_size=1, max_size=120),
    network=st.builds(Perceptron, layer_sizes=st.lists(st.integers(1, 3000), min_size=2, max_size=6)),
    learning_rate=st.floats(1e-6, 100.0),
    lr_schedule=schedules,
    epochs=st.integers(1, 1000),
    batch_size=st.integers(1, 4096),
    train_limit=st.integers(0, 10**6),
    seeds=st.builds(Seeds, data=st.integers(0, 2**31 - 1), weights=st.integers(0, 9), devices=st.integers(0, 9)),
)


@given(specs)
def test_every_text_form_gives_the_same_run_back(spec):
    for read, text in (
        (RunSpec.from_yaml, spec.to_yaml()),
        (RunSpec.from_yaml, spec.to_yaml(full=True)),
        (RunSpec.from_json, spec.to_json()),
        (RunSpec.from_python, spec.to_python()),
    ):
        again = read(text)
        assert again == spec
        assert again.digest() == spec.digest()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_with_a_tile_survives_yaml(algorithm):
    spec = small_spec(algorithm).completed()
    again = RunSpec.from_yaml(spec.to_yaml(full=True))
    assert again == spec
    assert again.digest() == spec.digest()
    assert again.algorithm == EXPECTED.get(algorithm, algorithm)


def test_the_digest_changes_with_whatever_decides_the_result():
    base = small_spec("ttv2")
    changes = {
        "learning_rate": 0.4, "epochs": 3, "batch_size": 6, "train_limit": 50, "lr_schedule": ConstantSchedule(),
        "rpu_config": None, "data": DataSource(name="mnist-small"), "network": Perceptron(layer_sizes=[64, 17, 10]),
        "seeds": Seeds(data=3, weights=4, devices=6),
    }  # fmt: skip
    digests = {base.digest()} | {small_spec("ttv2", **{name: value}).digest() for name, value in changes.items()}
    assert len(digests) == 1 + len(changes)
    inner = copy.deepcopy(base)
    inner.rpu_config.device.unit_cell_devices[0].dw_min = 0.02
    assert inner.digest() != base.digest()


def test_the_name_decides_nothing_and_seeds_make_no_new_setting():
    spec = small_spec()
    assert small_spec(name="another").digest() == spec.digest()
    other_seed = small_spec(seeds=Seeds(data=9))
    assert other_seed.digest() != spec.digest()
    assert other_seed.setting_digest() == spec.setting_digest()


def test_the_same_images_from_another_folder_are_the_same_run(shared_data):
    here = small_spec(
        data=DataSource(name="idx", folder=str(shared_data / "data" / "mnist-small")), network=Perceptron()
    )
    bundled = small_spec(data=DataSource(name="mnist-small"), network=Perceptron())
    assert here.completed().digest() == bundled.completed().digest()


def test_completing_leaves_the_original_alone_and_fills_the_checksum():
    spec = small_spec()
    complete = spec.completed()
    assert spec.data.checksum == ""
    assert len(complete.data.checksum) == 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": Perceptron(layer_sizes=[784, 10])}, "784 inputs, the images have 64 pixels"),
        ({"network": Perceptron(layer_sizes=[64, 9])}, "9 outputs, the data has 10 classes"),
        ({"data": DataSource(name="digits8x8", checksum="0" * 64)}, "is not the one this run was made with"),
    ],
)
def test_data_and_network_that_do_not_fit_are_refused_before_training(fields, message):
    with pytest.raises(ParameterError, match=message):
        small_spec(**fields).completed()


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Perceptron, {"layer_sizes": [64]}, "layer_sizes"),
        (Perceptron, {"layer_sizes": [64, 0]}, "every layer needs"),
        (Perceptron, {"activation": "softsign"}, "must be one of"),
        (DataSource, {"name": "idx"}, "a folder belongs to"),
        (DataSource, {"folder": "/tmp"}, "a folder belongs to"),
        (RunSpec, {"epochs": 0}, "epochs"),
        (RunSpec, {"epoch": 3}, "did you mean 'epochs'"),
        (RunSpec, {"name": ""}, "name"),
        (DropSchedule, {"drop": 0.0}, "drop"),
    ],
)
def test_bad_fields_are_named(kind, fields, message):
    with pytest.raises(ParameterError, match=message):
        kind(**fields)


def test_the_default_network_and_its_steps():
    spec = RunSpec()
    layers = [type(layer) for layer in build_network(spec)]
    assert layers == [nn.Flatten, nn.Linear, nn.Sigmoid, nn.Linear, nn.Sigmoid, nn.Linear, nn.LogSoftmax]
    assert spec.steps_per_epoch(6000) == 1200
    assert RunSpec(train_limit=11).steps_per_epoch(6000) == 3
    assert spec.network.describe() == "784-256-128-10 sigmoid"


def test_the_learning_rate_drops_once():
    spec = RunSpec(learning_rate=0.1, lr_schedule=DropSchedule(drop=0.2, after=0.67))
    rates = [spec.rate_at(step, 100) for step in range(100)]
    assert rates[:67] == [0.1] * 67
    assert rates[67:] == pytest.approx([0.02] * 33)
