"""The path from a measurement to trained networks, as a script: public names only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tilewright.configs import SingleRPUConfig, SoftBoundsReferenceDevice, UpdateParameters, build_config
from tilewright.data import load_dataset
from tilewright.devices import trace_pulses
from tilewright.figures import plot_device_compact
from tilewright.fitting import fit_measurements
from tilewright.nn import AnalogLinear, convert_to_analog_mapped
from tilewright.optim import AnalogSGD

PULSES = np.array([1] * 200 + [-1] * 200 + [1, -1] * 100)


@pytest.fixture(scope="module")
def fitted():
    """A noisy device measured with the 200 / 200 / 100 protocol, fitted, with noise and spread put back."""
    true = SoftBoundsReferenceDevice(
        dw_min=0.02, up_down=-0.2, w_max=1.1, w_min=-0.9, dw_min_std=1.0, write_noise_std=2.0, mult_noise=False,
        dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0,
    )  # fmt: skip
    response = trace_pulses(true, PULSES, seed=2)[:-1, 0]
    parameters = {
        "dw_min": (0.1, 0.001, 1.0),
        "up_down": (0.0, -0.99, 0.99),
        "w_max": (1.0, 0.1, 2.0),
        "w_min": (-1.0, -2.0, -0.1),
    }
    result, device, best = fit_measurements(parameters, PULSES, response, SoftBoundsReferenceDevice())
    assert result.success
    assert best.shape[0] == len(PULSES)
    assert device.w_max == pytest.approx(1.1, abs=0.1)
    assert device.w_min == pytest.approx(-0.9, abs=0.1)
    assert device.dw_min == pytest.approx(0.02, rel=0.35)
    assert device.dw_min_std == 0.0
    residual = float(np.std(response[500:] - np.ravel(best)[500:]) / device.dw_min)
    device.dw_min_dtod, device.dw_min_std = 0.3, 1.0
    device.w_min_dtod = device.w_max_dtod = 0.1
    device.up_down_dtod = 0.05
    device.write_noise_std = np.sqrt(max(residual**2 - device.dw_min_std**2, 0.0)) / 2
    device.subtract_symmetry_point = True
    device.reference_std = 0.05
    device.enforce_consistency = True
    device.dw_min_dtod_log_normal = True
    device.mult_noise = False
    device.construction_seed = 123
    return device


def test_first_steps(capsys):
    model = AnalogLinear(2, 2)
    y = model(torch.tensor([[0.1, 0.2], [0.3, 0.4]]))
    assert y.shape == (2, 2)
    config = SingleRPUConfig(device=SoftBoundsReferenceDevice())
    config.mapping.max_input_size = 256
    config.mapping.max_output_size = 256
    config.backward.is_perfect = True
    config.forward.out_noise = 0.1
    print(config)
    shown = capsys.readouterr().out
    for piece in ("max_input_size=256", "is_perfect=True", "out_noise=0.1", "SoftBoundsReferenceDevice"):
        assert piece in shown
    quiet = SoftBoundsReferenceDevice(w_min_dtod=0, w_max_dtod=0, dw_min_dtod=0, up_down_dtod=0, dw_min_std=1)
    for device in (SoftBoundsReferenceDevice(), quiet):
        assert len(plot_device_compact(device, n_traces=5).data) > 5


def tutorial_configs(device):
    sgd = SingleRPUConfig(device=device, update=UpdateParameters(desired_bl=10))
    ttv2 = build_config("ttv2", device, construction_seed=123)
    mixed = build_config("mp", device, construction_seed=123)
    build_config("sgd", device, construction_seed=123)
    for config in (sgd, ttv2, mixed):
        config.mapping.learn_out_scaling = True
        config.mapping.weight_scaling_columnwise = True
        config.mapping.weight_scaling_omega = 0.6
    ttv2.device.fast_lr = 0.01
    ttv2.device.auto_granularity = 15000
    return {"sgd": sgd, "ttv2": ttv2, "mp": mixed}


def network():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 128), nn.Sigmoid(), nn.Linear(128, 10),
        nn.LogSoftmax(dim=1),
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["sgd", "ttv2", "mp"])
def test_a_plain_loop_runs_the_tutorials_settings(fitted, algorithm):
    torch.manual_seed(0)
    data = load_dataset("mnist-small")
    model = convert_to_analog_mapped(network(), tutorial_configs(fitted)[algorithm])
    optimiser = AnalogSGD(model.parameters(), lr=0.05)
    optimiser.regroup_param_groups(model)
    images = torch.as_tensor(data.train_images)[:50].reshape(-1, 1, 28, 28)
    labels = torch.as_tensor(data.train_labels)[:50].long()
    for first in range(0, 50, 5):
        optimiser.zero_grad()
        loss = nn.functional.nll_loss(model(images[first : first + 5]), labels[first : first + 5])
        loss.backward()
        optimiser.step()
        assert torch.isfinite(loss)


def test_mixed_precision_learns_on_a_fitted_device(fitted):
    """400 steps of batch 5 on the bundled digits with a small network that has no plateau; chance is 0.1."""
    torch.manual_seed(0)
    data = load_dataset("mnist-small")
    small = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10), nn.LogSoftmax(dim=1))
    model = convert_to_analog_mapped(small, build_config("mp", fitted, construction_seed=123))
    optimiser = AnalogSGD(model.parameters(), lr=0.1)
    images, labels = torch.as_tensor(data.train_images), torch.as_tensor(data.train_labels).long()
    order = torch.randperm(len(labels))[:2000]
    for batch in order.split(5):
        optimiser.zero_grad()
        nn.functional.nll_loss(model(images[batch]), labels[batch]).backward()
        optimiser.step()
    with torch.no_grad():
        found = model(torch.as_tensor(data.test_images)).argmax(dim=1)
    accuracy = (found == torch.as_tensor(data.test_labels)).float().mean().item()
    assert accuracy > 0.6


@pytest.mark.filterwarnings("ignore")
def test_a_lightning_module_trains_an_analog_model(fitted, tmp_path):
    lightning = pytest.importorskip("lightning", reason="Lightning is an extra of the tests")

    class Classifier(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = convert_to_analog_mapped(network(), build_config("sgd", fitted, construction_seed=123))
            self.losses = []

        def training_step(self, batch, _):
            images, labels = batch
            loss = nn.functional.nll_loss(self.model(images), labels)
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self):
            return AnalogSGD(self.model.parameters(), lr=0.1)

    torch.manual_seed(0)
    data = load_dataset("mnist-small")
    images, labels = torch.as_tensor(data.train_images)[:200], torch.as_tensor(data.train_labels)[:200].long()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=5)
    classifier = Classifier()
    before = [tile.get_weights() for tile in classifier.model.analog_tiles()]
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(classifier, loader)
    assert len(classifier.losses) == 40
    after = [tile.get_weights() for tile in classifier.model.analog_tiles()]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
