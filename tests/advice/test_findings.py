"""Each finding on settings that call for it, and silence on settings close by that do not."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from tilewright import configs
from tilewright.advice import Conditions, SettingsWarning, Severity, advise, probe_layers
from tilewright.nn import convert_to_analog, convert_to_analog_mapped
from tilewright.presets import MixedPrecisionPCMPreset, PCMPreset, PCMPresetDevice, TutorialRRAMPresetDevice
from tilewright.runs import DataSource, Perceptron, RunSpec, advise_run, build_network, recommend

MIDDLE = {"outputs": 128, "inputs": 256, "learning_rate": 0.1, "vectors": 18_000, "batch_size": 5}


def checks(config, **conditions):
    """Name of the check to its severity."""
    return {finding.check: finding.severity for finding in advise(config, Conditions(**(MIDDLE | conditions)))}


def fine_device(**fields):
    return configs.ConstantStepDevice(**{"dw_min": 0.001, **fields})


def offset_device(reference_std, **fields):
    return configs.SoftBoundsReferenceDevice(
        dw_min=0.01, w_max=1.0, w_min=-1.0, subtract_symmetry_point=True, reference_std=reference_std, **fields
    )


def unequal_device(up_down):
    """Its steps cancel about ``up_down`` off 0."""
    return configs.SoftBoundsDevice(
        dw_min=0.01, up_down=up_down, w_max=1.0, w_min=-1.0, dw_min_dtod=0.1, dw_min_std=0.3, up_down_dtod=0.0,
        w_max_dtod=0.0, w_min_dtod=0.0, write_noise_std=0.0,
    )  # fmt: skip


def recommended(algorithm, **cell):
    config = recommend(algorithm, TutorialRRAMPresetDevice()).rpu_config
    for name, value in cell.items():
        setattr(config.device, name, value)
    return config


def test_initial_weights_outside_the_range():
    config = configs.SingleRPUConfig(device=fine_device(w_max=0.5, w_min=-0.5))
    inside, outside, far = torch.full((4, 5), 0.4), torch.full((4, 5), 1.0), torch.full((4, 5), 20.0)
    assert "weights outside" not in checks(config, weights=inside)
    assert checks(config, weights=outside)["weights outside"] is Severity.POOR
    assert checks(config, weights=far)["weights outside"] is Severity.CANNOT_LEARN
    # A single weight past the bound is no matter; scaled onto the array all of them fit.
    single = torch.full((40, 50), 0.4)
    single[0, 0] = 0.8
    assert "weights outside" not in checks(config, weights=single)
    config.mapping = configs.MappingParameter(weight_scaling_omega=0.4)
    assert "weights outside" not in checks(config, weights=outside)
    # A device that only holds one sign, and the pair of two of them that holds both.
    unipolar = fine_device(w_max=1.0, w_min=0.0)
    signed = torch.tensor([[0.5, -0.5]])
    assert "weights outside" in checks(configs.SingleRPUConfig(device=unipolar), weights=signed)
    pair = configs.UnitCellRPUConfig(device=configs.OneSidedUnitCell(unit_cell_devices=[unipolar], refresh_every=1))
    assert "weights outside" not in checks(pair, weights=signed)


def test_updates_cut_off_by_the_train():
    config = configs.SingleRPUConfig(device=fine_device(dw_min=0.01))  # 120 states, trains of 31
    strong, weak = {"largest_input": 1.0, "largest_error": 4.0}, {"largest_input": 1.0, "largest_error": 2.0}
    assert "train saturates" in checks(config, **strong)  # 40 pulses asked for
    assert "train saturates" not in checks(config, **weak)  # 20
    longer = configs.SingleRPUConfig(device=fine_device(dw_min=0.01), update=configs.UpdateParameters(desired_bl=63))
    assert "train saturates" not in checks(longer, **strong)
    exact = configs.UpdateParameters(pulse_type="NoneWithDevice")
    assert "train saturates" not in checks(configs.SingleRPUConfig(device=fine_device(), update=exact), **strong)
    # The fast array of TTv2: at a learning rate of its own, or scaled to its train by auto_scale.
    fast = configs.build_config("ttv2", fine_device(dw_min=0.01), cell={"fast_lr": 1.0, "auto_scale": False})
    assert "train saturates" in checks(fast, largest_input=1.0, largest_error=0.2)
    fast.device.auto_scale = True
    assert "train saturates" not in checks(fast, largest_input=1.0, largest_error=0.2)


def test_hardly_ever_a_pulse():
    config = configs.SingleRPUConfig(device=fine_device(dw_min=0.1, w_max=6.0, w_min=-6.0))
    faint = {"largest_input": 1.0, "largest_error": 1e-6}  # 1e-6 pulses per vector
    assert checks(config, **faint)["no pulses"] is Severity.CANNOT_LEARN
    assert checks(config, **faint, vectors=20_000_000)["no pulses"] is Severity.POOR  # 20 in the run
    assert "no pulses" not in checks(config, **faint, vectors=2_000_000_000)
    assert "no pulses" not in checks(config, largest_input=1.0, largest_error=0.1)
    fast = configs.build_config("ttv2", fine_device(), cell={"fast_lr": 0.01, "auto_scale": False})
    assert "no pulses" in checks(fast, largest_input=1.0, largest_error=1e-6)
    fast.device.auto_scale = True
    assert "no pulses" not in checks(fast, largest_input=1.0, largest_error=1e-6)


def test_plain_sgd_on_coarse_noisy_or_asymmetric_devices():
    assert checks(configs.SingleRPUConfig(device=fine_device())) == {}
    assert "few states" in checks(configs.SingleRPUConfig(device=fine_device(dw_min=0.06)))
    assert "noisy pulses" in checks(configs.SingleRPUConfig(device=fine_device(dw_min_std=5.0)))
    soft = configs.SoftBoundsReferenceDevice(dw_min=0.001)
    assert "asymmetric steps" in checks(configs.SingleRPUConfig(device=soft))
    # The same devices in algorithms made for them.
    for device in (fine_device(dw_min=0.06), soft):
        assert not {"few states", "noisy pulses", "asymmetric steps"} & set(checks(configs.build_config("mp", device)))
    several = configs.VectorUnitCell(unit_cell_devices=[fine_device(dw_min=0.06)])
    assert "few states" in checks(configs.UnitCellRPUConfig(device=several))
    several.unit_cell_devices = [fine_device(dw_min=0.06)] * 8
    assert "few states" not in checks(configs.UnitCellRPUConfig(device=several))


def test_coarse_reads():
    fine = fine_device()
    assert checks(configs.build_config("tiki-taka", fine))["coarse reads"] is Severity.POOR  # 0.06 against 0.001
    clear = configs.IOParameters(
        noise_management="None", bound_management="None", out_noise=0.001, out_bound=1.0, out_res=1 / 510
    )
    assert "coarse reads" not in checks(configs.build_config("tiki-taka", fine, cell={"transfer_forward": clear}))
    assert "coarse reads" not in checks(recommended("ttv2"))  # noise averages in the buffer
    blind = configs.IOParameters(
        noise_management="None", bound_management="None", out_noise=0.0, out_bound=100.0, out_res=1 / 62
    )
    found = checks(configs.build_config("ttv2", fine, cell={"transfer_forward": blind}))
    assert found["coarse reads"] is Severity.CANNOT_LEARN  # a step of 3.2 for weights up to 0.6


def test_a_buffer_filled_by_the_noise_of_one_read():
    assert "noise fills the buffer" not in checks(recommended("ttv2"))
    found = checks(recommended("ttv2", auto_granularity=100.0))
    assert found["noise fills the buffer"] is Severity.POOR
    assert "noise fills the buffer" not in checks(recommended("ttv2", auto_granularity=100.0), learning_rate=0.005)
    silent = configs.IOParameters(is_perfect=True)
    quiet = configs.build_config("ttv2", fine_device(), cell={"transfer_forward": silent, "auto_granularity": 100.0})
    assert "noise fills the buffer" not in checks(quiet)
    buffered = configs.BufferedTransferCompound(unit_cell_devices=[fine_device(), fine_device()])
    assert "noise fills the buffer" in checks(configs.UnitCellRPUConfig(device=buffered))  # 0.06 against 0.001
    buffered.thres_scale = 100.0
    assert "noise fills the buffer" not in checks(configs.UnitCellRPUConfig(device=buffered))


def test_the_offset_of_the_fast_array():
    def found(algorithm, device):
        return checks(configs.build_config(algorithm, device)).get("offset of the fast array")

    assert found("ttv2", offset_device(0.05)) is None
    assert found("ttv2", offset_device(0.2)) is Severity.POOR
    # What differs from device to device harms less than what all have: 0.56 and 0.10 of the digits are then told right.
    assert found("ttv2", offset_device(0.5)) is Severity.POOR
    assert found("ttv2", unequal_device(0.45)) is Severity.POOR
    assert found("ttv2", unequal_device(0.75)) is Severity.CANNOT_LEARN
    assert found("c-ttv2", offset_device(0.2)) is None
    assert found("c-ttv2", unequal_device(0.75)) is Severity.POOR
    assert found("agad", unequal_device(0.75)) is None
    assert found("tiki-taka", unequal_device(0.75)) is Severity.CANNOT_LEARN
    subtracted = configs.SoftBoundsReferenceDevice(dw_min=0.01, up_down=-0.6, subtract_symmetry_point=True)
    assert found("ttv2", subtracted) is None


def test_transfers_too_slow_for_the_run():
    assert "slow transfer" not in checks(recommended("ttv2"))
    found = checks(recommended("ttv2", auto_granularity=1e6))
    assert found["slow transfer"] is Severity.CANNOT_LEARN
    assert "slow transfer" not in checks(recommended("ttv2", auto_granularity=1e6), vectors=180_000_000)
    assert "slow transfer" in checks(recommended("ttv2"), vectors=500)
    buffered = configs.BufferedTransferCompound(
        unit_cell_devices=[TutorialRRAMPresetDevice(), TutorialRRAMPresetDevice()], thres_scale=1e5
    )
    assert "slow transfer" in checks(configs.UnitCellRPUConfig(device=buffered))
    buffered.thres_scale = 3.0
    assert "slow transfer" not in checks(configs.UnitCellRPUConfig(device=buffered), vectors=180_000)


def test_runs_too_short_for_agad():
    # Rows of 128 outputs: 18,000 vectors are 140 sweeps; n_c is 20.
    assert "short for AGAD" not in checks(recommended("agad"))
    assert checks(recommended("agad"), vectors=30 * 128)["short for AGAD"] is Severity.POOR
    assert checks(recommended("agad"), vectors=21 * 128)["short for AGAD"] is Severity.CANNOT_LEARN
    assert "short for AGAD" not in checks(recommended("agad", in_chop_prob=0.5), vectors=30 * 128)
    assert "short for AGAD" not in checks(recommended("c-ttv2"), vectors=21 * 128)


def test_gradients_that_never_arrive():
    never = configs.build_config("tiki-taka", fine_device(), cell={"transfer_every": 0.0})
    assert checks(never)["never transferred"] is Severity.CANNOT_LEARN
    never.device.gamma = 0.1
    assert "never transferred" not in checks(never)
    rows = configs.build_config("mp", fine_device(), cell={"n_rows_per_transfer": 0})
    assert checks(rows)["nothing is written"] is Severity.CANNOT_LEARN
    rare = configs.build_config("mp", fine_device(), cell={"transfer_every": 5000})
    assert checks(rare)["nothing is written"] is Severity.CANNOT_LEARN
    assert "nothing is written" not in checks(rare, vectors=50_000)
    assert checks(configs.build_config("mp", fine_device())) == {}


def test_pairs_that_only_rise():
    device = fine_device(w_min=0.0)
    pair = configs.UnitCellRPUConfig(device=configs.OneSidedUnitCell(unit_cell_devices=[device]))
    pushed = {"largest_input": 1.0, "largest_error": 0.1}
    assert "pair never refreshed" in checks(pair, **pushed)
    assert "pair never refreshed" not in checks(pair, **pushed, vectors=20)
    pair.device.refresh_every = 1
    assert "pair never refreshed" not in checks(pair, **pushed)


def test_pairs_whose_pulses_are_mostly_noise():
    """At mid range the phase-change device moves 0.0324 with noise of 0.6 (0.0324 + 0.042 + 0.108): 3.4 steps."""
    pair = PCMPreset()
    assert checks(pair) == {"noisy pulses": Severity.POOR}
    (finding,) = advise(pair, Conditions())
    assert finding.field == "device.unit_cell_devices[0].dw_min_std"
    assert "3.4 times" in finding.why
    assert "mixed precision" in finding.remedy
    for device in pair.device.unit_cell_devices:
        device.dw_min_std = 0.5  # 2.8 steps
    assert checks(pair) == {}
    assert checks(MixedPrecisionPCMPreset()) == {}
    assert checks(configs.UnitCellRPUConfig(device=PCMPreset().device, update=exact_update())) == {}


RESIDUAL = ("residual-v2", "rider", "e-rider", "multi-tile-residual")


@pytest.mark.parametrize("algorithm", RESIDUAL)
def test_the_residual_family_needs_both_signs_and_some_states(algorithm):
    assert "one way" not in checks(recommend(algorithm, fine_device()).rpu_config)
    assert checks(recommend(algorithm, PCMPresetDevice()).rpu_config)["one way"] is Severity.CANNOT_LEARN
    assert checks(recommend(algorithm, fine_device(dw_min=0.15)).rpu_config)["few states"] is Severity.CANNOT_LEARN
    assert "few states" not in checks(recommend(algorithm, fine_device(dw_min=0.1)).rpu_config)


def test_a_coarsest_tile_that_is_hardly_ever_written():
    """18,000 vectors over 128 rows: the third tile is written every 10 vectors, so 14 times a line, by 0.03 of 0.3."""
    cell = {"transfer_columns": False}
    two = configs.build_config("multi-tile-residual", fine_device(), cell=cell)
    three = configs.build_config(
        "multi-tile-residual", fine_device(), cell={**cell, "unit_cell_devices": [fine_device() for _ in range(3)]}
    )
    assert "slow transfer" not in checks(two)
    assert checks(three)["slow transfer"] is Severity.POOR
    assert checks(three, vectors=6_000)["slow transfer"] is Severity.CANNOT_LEARN
    assert "slow transfer" not in checks(three, vectors=60_000)
    three.device.transfer_lr = 1.0
    assert "slow transfer" not in checks(three)
    three.device.transfer_every_vec = [1.0, 0.0]
    assert checks(three)["slow transfer"] is Severity.CANNOT_LEARN


def test_tracking_as_fast_as_the_transfer():
    rider = configs.build_config("rider", fine_device(), cell={"eta": 0.0003})  # the rate is 0.3 times 0.1
    assert "fast tracking" not in checks(rider)
    rider.device.eta = 0.01
    assert checks(rider)["fast tracking"] is Severity.POOR
    rider.device.eta = 0.05
    assert checks(rider)["fast tracking"] is Severity.CANNOT_LEARN
    assert "fast tracking" not in checks(rider, learning_rate=None)
    assert "fast tracking" not in checks(configs.build_config("e-rider", fine_device(), cell={"eta": 0.05}))


def exact_update():
    return configs.UpdateParameters(pulse_type="None")


def test_what_is_not_known_is_not_judged():
    for algorithm in ("sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp", "residual-v2", "rider"):
        advise(configs.build_config(algorithm, TutorialRRAMPresetDevice()))
    assert advise(configs.FloatingPointRPUConfig()) == []


def test_findings_say_field_numbers_and_remedy():
    (finding, *_) = advise(recommended("ttv2", auto_granularity=100.0), Conditions(**MIDDLE))
    assert finding.field == "device.auto_granularity"
    assert any(digit in finding.why for digit in "0123456789")
    assert str(finding) == f"{finding.field}: {finding.what}. {finding.why}. {finding.remedy}."
    wanted = float(finding.remedy.split()[-1])
    assert "noise fills the buffer" not in checks(recommended("ttv2", auto_granularity=100.0 * wanted))


# --- where they are said ----------------------------------------------------------------------------------------------


def test_conversion_warns_once_for_each_kind_of_layer():
    model = nn.Sequential(nn.Linear(8, 8), nn.Conv1d(2, 2, 3), nn.Linear(8, 8), nn.Linear(8, 4))
    coarse = configs.SingleRPUConfig(device=fine_device(dw_min=0.06))
    with pytest.warns(SettingsWarning) as caught:
        convert_to_analog(model, coarse)
    texts = [str(item.message) for item in caught]
    assert [text.split(" cannot learn. ")[0] for text in texts] == ["AnalogLinear (0, 2, 3)", "AnalogConv1d (1)"]
    assert all("device.dw_min" in text for text in texts)
    assert caught[0].filename == __file__


def test_conversion_is_quiet_about_settings_that_work():
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for algorithm in ("fp", "mp", "ttv2", "c-ttv2", "agad", "tiki-taka"):
            convert_to_analog_mapped(model, recommend(algorithm, TutorialRRAMPresetDevice()).rpu_config)


def test_a_probe_measures_what_layers_meet_and_leaves_no_trace():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3), nn.LogSoftmax(dim=1))
    x, labels = torch.randn(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    state = torch.get_rng_state()
    first, last = probe_layers(model, x, lambda output: nn.functional.nll_loss(output, labels))
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())
    assert first.largest_input == pytest.approx(float(x.abs().amax(dim=1).mean()))
    softmax = torch.exp(model(x)).detach() - nn.functional.one_hot(labels, 3)
    assert last.largest_error == pytest.approx(float((softmax / 6).abs().amax(dim=1).mean()), rel=1e-5)
    assert torch.equal(last.weights, model[2].weight)
    assert not model[0]._forward_hooks


def test_a_probe_counts_the_positions_of_a_convolution():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    conv, linear = probe_layers(model, torch.randn(5, 1, 4, 4), lambda output: output.pow(2).sum())
    assert (conv.vectors_per_image, linear.vectors_per_image) == (4.0, 1.0)
    assert conv.weights.shape == (2, 9)


def test_runs_are_judged_layer_by_layer():
    spec = RunSpec(data=DataSource(name="digits8x8"), network=Perceptron(layer_sizes=[64, 16, 10]), epochs=3)
    assert advise_run(spec) == []  # digital
    spec.rpu_config = recommended("ttv2")
    assert not [item for item in advise_run(spec) if item.finding.severity is Severity.CANNOT_LEARN]
    spec.rpu_config = recommended("agad", in_chop_prob=0.001)
    (item,) = [item for item in advise_run(spec) if item.finding.check == "short for AGAD"]
    assert item.layers == ("1", "3")
    assert item.finding.severity is Severity.CANNOT_LEARN
    assert item.layers_in_all == 2


def test_a_run_says_nothing_while_it_is_built():
    spec = RunSpec(data=DataSource(name="digits8x8"), network=Perceptron(layer_sizes=[64, 16, 10]))
    spec.rpu_config = configs.SingleRPUConfig(device=fine_device(dw_min=0.06))
    assert next(item.finding.check for item in advise_run(spec)) == "few states"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_network(spec)
