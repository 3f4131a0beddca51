"""Convolutions on ideal tiles are torch's convolutions, whatever the geometry."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tilewright.configs import FloatingPointRPUConfig, MappingParameter
from tilewright.nn import (  # fmt: skip
    AnalogConv1d,
    AnalogConv1dMapped,
    AnalogConv2d,
    AnalogConv2dMapped,
    AnalogConv3d,
    AnalogConv3dMapped,
    convert_to_digital,
)
from tilewright.optim import AnalogSGD

LAYERS = {
    1: (nn.Conv1d, AnalogConv1d, AnalogConv1dMapped),
    2: (nn.Conv2d, AnalogConv2d, AnalogConv2dMapped),
    3: (nn.Conv3d, AnalogConv3d, AnalogConv3dMapped),
}


@st.composite
def geometries(draw):
    """A convolution torch accepts, with a fitting input shape."""
    dimensions = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dimensions))  # noqa: E731
    groups = draw(st.sampled_from([1, 1, 2]))
    padding = draw(st.sampled_from(["same", "valid", "numbers"]))
    options = {
        "kernel_size": each(1, 3),
        "dilation": each(1, 2),
        "stride": (1,) * dimensions if padding == "same" else each(1, 3),
        "padding": each(0, 2) if padding == "numbers" else padding,
        "groups": groups,
        "bias": draw(st.booleans()),
        "padding_mode": draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
    }
    channels = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    spatial = each(5, 7)
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    return dimensions, channels, options, (*batch, channels[0], *spatial)


@settings(max_examples=60, deadline=None)
@given(
    geometry=geometries(),
    mapped=st.booleans(),
    digital_bias=st.booleans(),
    omega=st.sampled_from([0.0, 0.6]),
    limit=st.sampled_from([0, 27, 512]),
    seed=st.integers(0, 1000),
)
def test_a_perfect_convolution_learns_as_torch_does(geometry, mapped, digital_bias, omega, limit, seed):
    dimensions, channels, options, shape = geometry
    mapping = MappingParameter(
        digital_bias=digital_bias, weight_scaling_omega=omega, max_input_size=limit, max_output_size=2
    )
    torch.manual_seed(seed)
    digital_class, *analog_classes = LAYERS[dimensions]
    digital = digital_class(*channels, **options)
    analog = analog_classes[mapped](*channels, **options, rpu_config=FloatingPointRPUConfig(mapping=mapping))
    analog.set_weights(digital.weight, digital.bias)
    x = torch.randn(shape)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    weight_of_output = torch.randn_like(digital(x))
    optimisers = (torch.optim.SGD(digital.parameters(), lr=0.01), AnalogSGD(analog.parameters(), lr=0.01))
    outputs = [model(data) for model, data in zip((digital, analog), inputs, strict=True)]
    assert torch.allclose(*outputs, atol=1e-4)
    assert outputs[0].shape == outputs[1].shape
    assert outputs[1].is_contiguous()
    for output, optimiser in zip(outputs, optimisers, strict=True):
        (output * weight_of_output).sum().backward()
        optimiser.step()
    assert torch.allclose(inputs[0].grad, inputs[1].grad, atol=1e-4)
    assert torch.allclose(digital.weight, analog.weight, atol=1e-4)
    assert analog.bias is None if digital.bias is None else torch.allclose(digital.bias, analog.bias, atol=1e-4)
    assert torch.allclose(convert_to_digital(analog)(x), analog(x), atol=1e-4)


def test_a_batch_passes_in_one_product(monkeypatch):
    layer = AnalogConv2d(3, 4, 3, rpu_config=FloatingPointRPUConfig())
    calls = []
    product = layer.tile.product
    monkeypatch.setattr(layer.tile, "product", lambda x: calls.append(x.shape) or product(x))
    layer(torch.randn(5, 3, 8, 8))
    assert calls == [(5, 36, 27)]


def test_the_kernel_of_a_channel_stays_on_one_tile():
    config = FloatingPointRPUConfig(mapping=MappingParameter(max_input_size=20, max_output_size=3))
    layer = AnalogConv2d(5, 4, 3, rpu_config=config)
    assert [(tile.out_size, tile.in_size) for tile in layer.tiles()] == [(2, 18)] * 4 + [(2, 9)] * 2
    config.mapping.max_input_size = 8
    with pytest.raises(ValueError, match="9 inputs that have to stay together do not fit a tile of 8"):
        AnalogConv2d(5, 4, 3, rpu_config=config)


def test_what_is_not_offered_is_refused_by_name():
    with pytest.raises(ValueError, match=r"dtype=torch\.float64 is not offered"):
        AnalogConv1d(1, 1, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="device='cuda' is not offered"):
        AnalogConv1d(1, 1, 1, device="cuda")
    with pytest.raises(ValueError, match=r"takes \(batch, 2, height, width\) or \(2, height, width\), found \(3, 4, 4"):
        AnalogConv2d(2, 1, 1)(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="does not fit"):
        AnalogConv1d(1, 1, 5)(torch.zeros(1, 1, 4))
    with pytest.raises(ValueError, match="padding_mode"):
        AnalogConv1d(1, 1, 1, padding_mode="mirror")
