"""What torch programs do with layers works on analog ones, or is refused by name."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tilewright.configs import FloatingPointRPUConfig, MappingParameter, SoftBoundsReferenceDevice, build_config
from tilewright.nn import (
    AnalogConv2d,
    AnalogGRU,
    AnalogLinear,
    AnalogLSTM,
    AnalogRNN,
    convert_to_analog,
    convert_to_digital,
)
from tilewright.optim import AnalogSGD

PERFECT = FloatingPointRPUConfig()
NOISY = build_config("ttv2", SoftBoundsReferenceDevice())
X = torch.linspace(-1, 1, 8).reshape(2, 4)


def linear(config=PERFECT, **options):
    return AnalogLinear(4, 3, rpu_config=config, **options)


# --- writing weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mapping",
    [
        MappingParameter(),
        MappingParameter(digital_bias=False),
        MappingParameter(max_input_size=2, weight_scaling_omega=0.6, learn_out_scaling=True),
    ],
)
def test_weights_are_written_like_a_parameters(mapping):
    layer = linear(FloatingPointRPUConfig(mapping=mapping))
    bias = layer.bias.detach().clone()
    nn.init.constant_(layer.weight, 0.25)
    assert torch.allclose(layer.weight, torch.full((3, 4), 0.25))
    assert torch.allclose(layer.bias, bias)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    assert layer.weight.std() > 0.1
    assert layer.bias.abs().max() == 0
    wanted = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight[0] = 0.5
        layer.weight.t()[1].mul_(2)
        layer.weight += 0.125
    wanted[0] = 0.5
    wanted[:, 1] *= 2
    wanted += 0.125
    assert torch.allclose(layer.weight, wanted, atol=1e-6)
    layer.weight.data.clamp_(0.0, 0.3)
    torch.neg(layer.weight.data, out=layer.weight.data)
    assert torch.allclose(layer.weight, -wanted.clamp(0.0, 0.3), atol=1e-6)


def test_weights_are_no_less_guarded_than_parameters():
    layer = linear()
    with pytest.raises(RuntimeError, match=r"do it in torch\.no_grad\(\)"):
        layer.weight.zero_()
    assert layer.weight.abs().max() > 0
    with pytest.raises(AttributeError, match="let them share their tiles"):
        layer.weight = nn.Parameter(torch.zeros(3, 4))
    with pytest.raises(AttributeError, match="lives on tiles"):
        layer.weight = torch.zeros(3, 4)
    for plain in (layer.weight * 1, layer.weight.clone(), copy.deepcopy(layer.weight.detach())):
        plain.detach().zero_()
    assert layer.weight.abs().max() > 0
    assert type(layer.weight * 1) is torch.Tensor
    assert type(pickle.loads(pickle.dumps(layer.weight))) is torch.Tensor


@pytest.mark.parametrize("kind", [AnalogLinear, AnalogRNN, AnalogLSTM, AnalogGRU])
def test_parameters_can_be_reset(kind):
    torch.manual_seed(0)
    layer = kind(4, 3, rpu_config=PERFECT)
    twin = convert_to_digital(layer)
    torch.manual_seed(5)
    layer.reset_parameters()
    torch.manual_seed(5)
    twin = layer.empty_twin()
    for name, value in twin.named_parameters():
        assert torch.equal(getattr(layer, name), value)


# --- the graph --------------------------------------------------------------------------------------------------------


def test_gradients_that_are_only_asked_for_leave_no_record():
    layer = linear()
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).sum(), x)
    assert torch.allclose(gradient, layer.weight.sum(0).expand(2, 4), atol=1e-6)
    torch.autograd.functional.jacobian(layer, X)
    layer(x).sum().backward(inputs=[x])
    (gradient,) = torch.autograd.grad(layer.weight.square().sum() + layer(x).sum(), x)
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(layer(x).sum(), [x, *layer.parameters()])
    assert layer.tile.pending == []
    layer(x).sum().backward(inputs=list(layer.parameters()))
    layer.weight.sum().backward()
    assert len(layer.tile.pending) == 2


def test_a_graph_that_is_kept_records_each_pass():
    layer = linear()
    loss = layer(X).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert len(layer.tile.pending) == 2


def test_second_derivatives_are_refused():
    layer = linear()
    x = X.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)


def test_hooks_see_and_change_errors():
    layer, seen = linear(), []
    layer.register_full_backward_hook(lambda module, given, errors: seen.append(errors[0].shape))
    y = layer(X.clone().requires_grad_())
    y.register_hook(lambda error: 2 * error)
    y.sum().backward()
    assert seen == [(2, 3)]
    ((_, d),) = layer.tile.pending
    assert torch.equal(d, torch.full((2, 3), 2.0))


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing(reentrant):
    torch.manual_seed(0)
    digital = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    analog = convert_to_analog(digital, PERFECT)
    for model, kind in ((digital, torch.optim.SGD), (analog, AnalogSGD)):
        optimiser = kind(model.parameters(), lr=0.1)
        checkpoint(model, X.clone().requires_grad_(), use_reentrant=reentrant).square().sum().backward()
        optimiser.step()
    assert torch.allclose(analog[0].weight, digital[0].weight, atol=1e-6)
    assert torch.allclose(analog[2].weight, digital[2].weight, atol=1e-6)


def test_a_model_can_be_called_with_other_parameters():
    layer = linear(FloatingPointRPUConfig(mapping=MappingParameter(weight_scaling_omega=0.6)))
    own = {name: value for name, value in layer.named_parameters()}
    assert torch.allclose(torch.func.functional_call(layer, own, (X,)), layer(X), atol=1e-6)
    other = {name: torch.randn_like(value).requires_grad_() for name, value in own.items()}
    torch.func.functional_call(layer, other, (X,)).square().sum().backward()
    w = (other["tile.weight"] * layer.tile.mapping_scales).detach().requires_grad_()
    nn.functional.linear(X, w, other["bias"].detach()).square().sum().backward()
    assert torch.allclose(other["tile.weight"].grad, w.grad * layer.tile.mapping_scales, atol=1e-5)
    assert layer.tile.pending == []


# --- refused by name --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: torch.func.vmap(m)(X), "torch.func transforms"),
        (lambda m: torch.func.jacrev(m)(X), "torch.func transforms"),
        (lambda m: torch.export.export(m, (X,)), "cannot be exported or traced"),
        (lambda m: torch.jit.trace(m, X), "record an analog product as a constant"),
        (lambda m: m(torch.nested.nested_tensor([X[:1], X], layout=torch.jagged)), "no nested tensors"),
    ],
)
def test_transforms_and_exporters_are_refused_with_the_remedy(call, words):
    with pytest.raises(RuntimeError, match=words):
        call(linear())


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`")
@pytest.mark.parametrize(
    "change",
    [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm, nn.utils.weight_norm],
)
def test_parametrisations_of_analog_weights_are_refused(change):
    layer = linear()
    with pytest.raises((ValueError, KeyError), match="weight"):
        change(layer)
    assert layer(X).shape == (2, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.complex64])
def test_other_types_are_refused_with_the_remedy(dtype):
    with pytest.raises(TypeError, match=r"takes float32, found torch\.\w+; convert it with \.float\(\)"):
        linear()(X.to(dtype))


def test_other_defaults_are_refused():
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(TypeError, match=r"torch's default is torch\.float64"):
            linear()
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"), pytest.raises(RuntimeError, match="default device is meta"):
        linear()


def test_uninitialised_modules_stay_digital_and_say_why():
    model = convert_to_analog(nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2)), PERFECT)
    (lazy,) = model.analog_conversion.digital
    assert "no weights yet" in lazy.reason
    assert model(torch.zeros(2, 7)).shape == (2, 2)


# --- forms of inputs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [PERFECT, NOISY])
def test_empty_batches(config):
    modules = {
        (0, 4): linear(config),
        (2, 0, 4): linear(config),
        (0, 2, 5, 5): AnalogConv2d(2, 3, 3, rpu_config=config),
        (5, 0, 4): AnalogLSTM(4, 3, num_layers=2, bidirectional=True, rpu_config=config),
    }
    for shape, module in modules.items():
        twin = convert_to_digital(module)
        x = torch.zeros(shape, requires_grad=True)
        y, wanted = module(x), twin(x)
        if isinstance(y, tuple):
            assert [part.shape for part in y[1]] == [part.shape for part in wanted[1]]
            y, wanted = y[0], wanted[0]
        assert y.shape == wanted.shape
        y.sum().backward()
        assert x.grad.shape == shape
        before = [weight.detach().clone() for weight in (t.weight for t in module.tiles())]
        AnalogSGD(module.parameters(), lr=0.1).step()
        assert all(torch.equal(a, b.weight) for a, b in zip(before, module.tiles(), strict=True))


def test_vectors_views_and_memory_formats():
    layer = linear()
    twin = convert_to_digital(layer)
    for x in (X[0], X.t().contiguous().t(), torch.randn(2, 8)[:, ::2], X[:1].expand(5, 4), X.reshape(2, 1, 1, 4)):
        left, right = x.clone().requires_grad_(), x.clone().requires_grad_()
        assert torch.allclose(layer(x), twin(x), atol=1e-6)
        layer(left).square().sum().backward()
        twin(right).square().sum().backward()
        assert torch.allclose(left.grad, right.grad, atol=1e-5)
    conv = AnalogConv2d(2, 3, 3, rpu_config=PERFECT)
    image = torch.randn(2, 2, 6, 6)
    last = conv.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last))
    assert torch.allclose(last, conv(image), atol=1e-6)


def test_modes_without_gradients():
    layer = linear(NOISY)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert not layer(X).requires_grad
    assert layer.tile.pending == []
    layer(X).sum().backward()
    AnalogSGD(layer.parameters(), lr=0.1).step()
    layer.requires_grad_(False)
    assert not layer(X).requires_grad


# --- containers and wrappers ------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Lists, dictionaries, a module that is None, one that is used twice, attention and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(2)])
        self.heads = nn.ModuleDict({"a": nn.Linear(8, 3), "b": nn.Linear(8, 3)})
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.optional = None
        self.scale = nn.Parameter(torch.ones(8))
        self.register_module("nothing", None)

    def forward(self, x, head="a"):
        for block in self.blocks:
            x = x + block(x) * self.scale
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.heads[head](self.blocks[0](x))


@pytest.mark.parametrize("wrap", [lambda m: m, nn.DataParallel])
def test_custom_modules_train_as_in_torch(wrap):
    torch.manual_seed(0)
    digital = Residual()
    analog = convert_to_analog(digital, PERFECT)
    x = torch.randn(2, 5, 8)
    for model, kind in ((digital, torch.optim.SGD), (wrap(analog), AnalogSGD)):
        optimiser = kind(model.parameters(), lr=0.1)
        for head in "ab":
            optimiser.zero_grad()
            model(x, head=head).square().mean().backward()
            optimiser.step()
    assert torch.allclose(analog(x), digital(x), atol=1e-4)
    digital.eval(), analog.eval()
    with torch.no_grad():
        assert torch.allclose(analog(x), digital(x), atol=1e-4)
        assert torch.allclose(convert_to_digital(analog)(x), digital(x), atol=1e-4)


def test_averaged_models_hold_their_own_weights():
    model = nn.Sequential(linear(NOISY))
    averaged = torch.optim.swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    assert torch.equal(averaged.module[0].weight, model[0].weight)
    assert averaged.module[0].tile is not model[0].tile
