"""Recurrent layers on ideal tiles are torch's, with every option and form of sequence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from tilewright.configs import FloatingPointRPUConfig, MappingParameter
from tilewright.nn import (
    AnalogGRU,
    AnalogLSTM,
    AnalogRNN,
    convert_to_analog,
    convert_to_analog_mapped,
    convert_to_digital,  # fmt: skip
)
from tilewright.optim import AnalogSGD

LAYERS = {nn.RNN: AnalogRNN, nn.LSTM: AnalogLSTM, nn.GRU: AnalogGRU}


@st.composite
def layers(draw):
    kind = draw(st.sampled_from(list(LAYERS)))
    options = {
        "num_layers": draw(st.integers(1, 2)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    if kind is nn.RNN:
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if kind is nn.LSTM and draw(st.booleans()):
        options["proj_size"] = 2
    return kind, options


def flat(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@settings(max_examples=40, deadline=None)
@given(
    layer=layers(),
    form=st.sampled_from(["batch", "single", "packed", "sorted"]),
    with_state=st.booleans(),
    mapped=st.booleans(),
    digital_bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_perfect_recurrent_layer_learns_as_torch_does(layer, form, with_state, mapped, digital_bias, seed):
    kind, options = layer
    torch.manual_seed(seed)
    digital = kind(3, 4, **options)
    mapping = MappingParameter(digital_bias=digital_bias, max_input_size=3 if mapped else 512)
    analog = (convert_to_analog_mapped if mapped else convert_to_analog)(
        digital, FloatingPointRPUConfig(mapping=mapping)
    )
    assert isinstance(analog, LAYERS[kind])
    lengths = [3, 5, 2] if form == "packed" else [5, 3, 2]
    if form in ("packed", "sorted"):
        x = pack_sequence([torch.randn(n, 3) for n in lengths], enforce_sorted=form == "sorted")
    else:
        x = torch.randn(5, 3) if form == "single" else torch.randn(3, 3, 3)
    batch = () if form == "single" else (3,)
    count = options["num_layers"] * (1 + options["bidirectional"])
    state = None
    if with_state:
        state = torch.randn(count, *batch, options.get("proj_size", 4))
        if kind is nn.LSTM:
            state = state, torch.randn(count, *batch, 4)
    results = []
    for model, optimiser in (
        (digital, torch.optim.SGD(digital.parameters(), lr=0.05)),
        (analog, AnalogSGD(analog.parameters(), lr=0.05)),
    ):
        output, last = model(x, state)
        data = output.data if form in ("packed", "sorted") else output
        sum(part.square().sum() for part in (data, *flat(last))).backward()
        optimiser.step()
        results.append((data.detach(), *(part.detach() for part in flat(last))))
    for left, right in zip(*results, strict=True):
        assert left.shape == right.shape
        assert torch.allclose(left, right, atol=1e-5)
    for name, parameter in digital.named_parameters():
        assert torch.allclose(parameter, getattr(analog, name), atol=1e-4), name
    back = convert_to_digital(analog)
    assert type(back) is kind
    for (name, left), (_, right) in zip(digital.named_parameters(), back.named_parameters(), strict=True):
        assert torch.allclose(left, right, atol=1e-4), name


def test_dropout_acts_between_layers_while_training():
    torch.manual_seed(0)
    digital = nn.GRU(4, 6, num_layers=2, dropout=0.5)
    analog = convert_to_analog(digital, FloatingPointRPUConfig())
    x = torch.randn(3, 2, 4)
    outputs = []
    for model in (digital, analog):
        torch.manual_seed(1)
        outputs.append(model(x)[0])
    assert torch.allclose(*outputs, atol=1e-5)
    assert not torch.allclose(analog(x)[0], analog(x)[0])
    analog.eval()
    assert torch.equal(analog(x)[0], analog(x)[0])


def test_wrong_shapes_and_options_are_named():
    layer = AnalogLSTM(3, 4, rpu_config=FloatingPointRPUConfig())
    with pytest.raises(ValueError, match=r"shape \(1, 2, 4\), found \(1, 5, 4\)"):
        layer(torch.zeros(6, 2, 3), (torch.zeros(1, 5, 4), torch.zeros(1, 5, 4)))
    with pytest.raises(ValueError, match="takes 3 features, found 7"):
        layer(torch.zeros(6, 2, 7))
    with pytest.raises(ValueError, match="at least one step"):
        layer(torch.zeros(0, 2, 3))
    with pytest.raises(ValueError, match="Unknown nonlinearity"):
        AnalogRNN(3, 4, nonlinearity="sine")
    with pytest.raises(ValueError, match="proj_size"):
        AnalogGRU(3, 4, proj_size=2)
    with pytest.raises(ValueError, match=r"dtype=torch\.bfloat16 is not offered"):
        AnalogGRU(3, 4, dtype=torch.bfloat16)
