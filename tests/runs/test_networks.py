from __future__ import annotations

import pytest
import torch

from runs.recipes import small_spec
from tilewright.data import load_dataset
from tilewright.parameters import ParameterError
from tilewright.presets import EcRamPresetDevice, TutorialRRAMPresetDevice
from tilewright.runs import (
    DataSource,
    LayerList,
    LayerTile,
    LeNet5,
    LinearRegression,
    Output,
    Perceptron,
    RunSpec,
    SequenceLSTM,
    SmallCNN,
    build_network,
    recommended_config,
    train,
)
from tilewright.runs.health import tiles_of

WORDS = ["image", "conv 4 3 1", "relu", "maxpool 2", "batchnorm", "flatten", "linear 12", "tanh", "linear 10"]
DIGITS = {
    "perceptron": Perceptron(layer_sizes=[64, 16, 10]),
    "cnn": SmallCNN(image=[8, 8], channels=[4, 8]),
    "lstm": SequenceLSTM(image=[8, 8], hidden=12),
    "layers": LayerList(image=[8, 8], layers=WORDS),
    "lstm in words": LayerList(image=[8, 8], layers=["lstm 12", "linear 10"]),
}


@pytest.mark.parametrize("name", DIGITS)
@pytest.mark.parametrize("algorithm", [None, "mp"])
def test_every_network_trains_on_tiles_and_without(name, algorithm):
    config = recommended_config(algorithm, TutorialRRAMPresetDevice()) if algorithm else None
    spec = small_spec(network=DIGITS[name], rpu_config=config, epochs=1, train_limit=20)
    events = list(train(spec.completed()))
    assert events[-1].kind == "finished"
    assert bool(tiles_of(events[-1].model)) == (algorithm is not None)
    assert RunSpec.from_yaml(spec.to_yaml()) == spec
    assert spec.network.describe()


def test_lenet_is_for_images_of_28_by_28():
    model = LeNet5().build()
    assert model(torch.rand(2, 28, 28)).shape == (2, 10)
    assert sum(p.numel() for p in model.parameters()) == 61_706
    assert "28 x 28, these are 8 x 8" in LeNet5().accepts((8, 8), 10)
    with pytest.raises(ParameterError, match="take SmallCNN"):
        LeNet5(image=[8, 8])


def test_a_linear_map_is_learned_exactly_without_devices():
    """The mean squared error over 20 outputs is stable up to a learning rate of 20; its minimum is the map itself."""
    spec = RunSpec(
        data=DataSource(name="linear20"), network=LinearRegression(), learning_rate=1.0, epochs=1, batch_size=10
    )
    events = list(train(spec))
    last = [e for e in events if e.kind == "epoch"][-1].values
    assert last["test_error"] < 1e-3
    assert "test_accuracy" not in last
    from tilewright.data.regression import target_weights

    assert torch.allclose(events[-1].model[1].weight, target_weights(), atol=1e-3)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["linaer 10"], "layer 1, 'linaer 10': did you mean 'linear'"),
        (["flatten", "linear"], "linear takes 1 whole number"),
        (["flatten", "linear ten"], "linear takes 1 whole number"),
        (["flatten", "linear 0"], "at least 1"),
        (["linear 10"], "put flatten before it"),
        (["conv 8"], "put image first"),
        (["image", "conv 8 9", "flatten", "linear 10"], "layer 2"),
        (["image", "maxpool 2"], "end them with linear"),
        (["image", "maxpool 2", "maxpool 2", "maxpool 2", "maxpool 2"], "layer 5"),
        (["flatten", "linear 100000", "linear 100000"], "more than"),
        (["flatten", "dropout 100"], "leaves nothing"),
        ([""], "known layers are"),
        (["flatten", "linear 10; import os"], "whole number"),
    ],
)
def test_layers_in_words_are_checked_where_they_are_written(layers, message):
    with pytest.raises(ParameterError, match=message):
        LayerList(image=[8, 8], layers=layers)


def test_checking_a_network_draws_no_random_numbers():
    state = torch.get_rng_state()
    LayerList(image=[8, 8], layers=WORDS)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("network", "data", "message"),
    [
        (Perceptron(layer_sizes=[64, 10], output=Output.VALUES), "digits8x8", "the network gives values"),
        (Perceptron(layer_sizes=[20, 20]), "linear20", "has values to learn"),
        (LinearRegression(inputs=19), "linear20", "19 inputs"),
        (LinearRegression(outputs=3), "linear20", "3 outputs"),
        (SmallCNN(), "digits8x8", "28 x 28, these are 8 x 8"),
        (SequenceLSTM(image=[8, 8], classes=5), "digits8x8", "5 outputs"),
    ],
)
def test_a_network_that_does_not_fit_its_data_is_refused(network, data, message):
    with pytest.raises(ParameterError, match=message):
        RunSpec(network=network, data=DataSource(name=data)).completed()


def test_layers_have_tiles_of_their_own():
    noisy, fast = (recommended_config("sgd", device()) for device in (TutorialRRAMPresetDevice, EcRamPresetDevice))
    spec = small_spec(
        network=Perceptron(layer_sizes=[64, 16, 12, 10]),
        rpu_config=noisy,
        layer_tiles=[LayerTile(layers="3", rpu_config=fast), LayerTile(layers="5")],
        epochs=1,
        train_limit=20,
    )
    model = build_network(spec.completed())
    assert [type(layer).__name__ for layer in model][1:6:2] == ["AnalogLinearMapped", "AnalogLinearMapped", "Linear"]
    found = [type(tile.rpu_config.device).__name__ for tile in tiles_of(model)]
    assert found == [type(noisy.device).__name__, type(fast.device).__name__]
    assert list(train(spec))[-1].kind == "finished"
    assert RunSpec.from_yaml(spec.to_yaml(full=True)).digest() == spec.digest()
    only = small_spec(layer_tiles=[LayerTile(layers="1", rpu_config=fast)])
    assert len(tiles_of(build_network(only))) == 1
    with pytest.raises(ParameterError, match="no layer is named '9'; known: 1, 3"):
        small_spec(layer_tiles=[LayerTile(layers="9")]).completed()


def test_validation_is_apart_from_training_and_testing():
    data = DataSource(name="digits8x8", validation=0.25).load()
    whole = load_dataset("digits8x8")
    assert (len(data.train_labels), len(data.validation_labels)) == (1075, 358)
    parts = [{row.numpy().tobytes() for row in x} for x in (data.train_images, data.validation_images)]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == {row.numpy().tobytes() for row in whole.train_images}
    assert torch.equal(data.test_images, whole.test_images)
    spec = small_spec(data=DataSource(name="digits8x8", validation=0.25), epochs=1, train_limit=50)
    values = [event.values for event in train(spec) if event.kind == "epoch"][-1]
    assert {"validation_loss", "validation_accuracy", "test_accuracy"} <= set(values)
    assert spec.digest() != small_spec(epochs=1, train_limit=50).digest()
