"""Devices, periphery and update schemes taken from publications, as data."""

from __future__ import annotations

from tilewright.devices.constant_step import ConstantStepDevice
from tilewright.devices.linear_step import LinearStepDevice
from tilewright.devices.soft_bounds import SoftBoundsReferenceDevice
from tilewright.parameters import with_defaults
from tilewright.periphery import IOParameters, UpdateParameters

_MODULE = __name__

CapacitorPresetDevice = with_defaults(
    LinearStepDevice,
    "CapacitorPresetDevice",
    ("CMOS capacitor cell. Li et al., VLSI (2018). The leak is per optimiser step."),
    _MODULE,
    dw_min=0.005,
    w_max=1.0,
    w_min=-1.0,
    dw_min_dtod=0.1,
    up_down_dtod=0.06,
    w_max_dtod=0.07,
    w_min_dtod=0.07,
    dw_min_std=0.3,
    mult_noise=False,
    gamma_up=0.05,
    gamma_down=0.05,
    gamma_up_dtod=0.01,
    gamma_down_dtod=0.01,
    mean_bound_reference=True,
    lifetime=1e6,
    lifetime_dtod=0.3,
)
EcRamPresetDevice = with_defaults(
    LinearStepDevice,
    "EcRamPresetDevice",
    ("Li-ion ECRAM. Tang et al., IEDM (2018). Range shifted so that the symmetry point is at 0."),
    _MODULE,
    dw_min=0.002,
    w_max=1.1724,
    w_min=-0.8276,
    dw_min_dtod=0.1,
    up_down_dtod=0.01,
    w_max_dtod=0.05,
    w_min_dtod=0.05,
    dw_min_std=0.3,
    mult_noise=True,
    gamma_up=0.1153,
    gamma_down=0.5085,
    gamma_up_dtod=0.05,
    gamma_down_dtod=0.05,
)
EcRamMOPresetDevice = with_defaults(
    LinearStepDevice,
    "EcRamMOPresetDevice",
    "Metal-oxide ECRAM. Kim et al., IEDM (2019).",
    _MODULE,
    dw_min=2.8214e-4,
    w_max=1.1714,
    w_min=-0.8286,
    dw_min_dtod=0.1,
    up_down_dtod=0.01,
    w_max_dtod=0.05,
    w_min_dtod=0.05,
    dw_min_std=2.0,
    mult_noise=True,
    gamma_up=0.4152,
    gamma_down=0.7342,
    gamma_up_dtod=0.05,
    gamma_down_dtod=0.05,
)
IdealizedPresetDevice = with_defaults(
    ConstantStepDevice,
    "IdealizedPresetDevice",
    (
        "Specifications of Gokmen and Vlasov without asymmetry and with eight times the states. Rasch, "
        "Gokmen and Haensch (2019)."
    ),
    _MODULE,
    dw_min=0.0002,
    w_max=1.0,
    w_min=-1.0,
    dw_min_dtod=0.3,
    up_down_dtod=0.0,
    w_max_dtod=0.3,
    w_min_dtod=0.3,
    dw_min_std=0.3,
)
GokmenVlasovPresetDevice = with_defaults(
    ConstantStepDevice,
    "GokmenVlasovPresetDevice",
    ("Device specifications of Gokmen and Vlasov, Front. Neurosci. 10:333 (2016), rescaled to a range of 1."),
    _MODULE,
    dw_min=0.0016,
    w_max=1.0,
    w_min=-1.0,
    dw_min_dtod=0.3,
    up_down_dtod=0.01,
    w_max_dtod=0.3,
    w_min_dtod=0.3,
    dw_min_std=0.3,
)
ReRamSBPresetDevice = with_defaults(
    SoftBoundsReferenceDevice,
    "ReRamSBPresetDevice",
    "RRAM, soft-bounds description of Gong et al., Nat. Commun. 9:2102 (2018).",
    _MODULE,
    dw_min=0.002,
    w_max=1.25,
    w_min=-0.75,
    dw_min_dtod=0.3,
    up_down_dtod=0.01,
    w_max_dtod=0.24,
    w_min_dtod=0.4,
    dw_min_std=3.75,
    write_noise_std=56.0,
)
ReRamArrayOMPresetDevice = with_defaults(
    SoftBoundsReferenceDevice,
    "ReRamArrayOMPresetDevice",
    ("14 nm compatible ReRAM array, optimised material. Gong et al., IEDM (2022)."),
    _MODULE,
    dw_min=0.0949,
    w_max=1.0,
    w_min=-1.0,
    dw_min_dtod=0.7829,
    dw_min_dtod_log_normal=True,
    w_max_dtod=0.3499,
    w_min_dtod=0.5695,
    dw_min_std=0.4158,
    write_noise_std=1.4113,
    corrupt_devices_range=0.01,
    subtract_symmetry_point=True,
    reference_std=0.05,
)
ReRamArrayHfO2PresetDevice = with_defaults(
    SoftBoundsReferenceDevice,
    "ReRamArrayHfO2PresetDevice",
    "14 nm compatible ReRAM array, baseline HfO2. Gong et al., IEDM (2022).",
    _MODULE,
    dw_min=0.4622,
    w_max=1.0,
    w_min=-1.0,
    dw_min_dtod=0.7125,
    dw_min_dtod_log_normal=True,
    w_max_dtod=0.4295,
    w_min_dtod=0.5990,
    dw_min_std=0.2174,
    write_noise_std=0.5841,
    corrupt_devices_range=0.01,
    subtract_symmetry_point=True,
    reference_std=0.05,
)
TutorialRRAMPresetDevice = with_defaults(
    SoftBoundsReferenceDevice,
    "TutorialRRAMPresetDevice",
    (
        "Soft-bounds fit of one hafnium-oxide RRAM device (data of Gong et al., 2018) with strong cycle "
        "and write noise: a hard device to train on."
    ),
    _MODULE,
    dw_min=0.0116,
    up_down=-0.24,
    w_max=2.0,
    w_min=-0.777,
    dw_min_dtod=0.3,
    dw_min_dtod_log_normal=True,
    dw_min_std=5.0,
    mult_noise=False,
    w_max_dtod=0.1,
    w_min_dtod=0.1,
    up_down_dtod=0.05,
    write_noise_std=6.5,
    subtract_symmetry_point=True,
    reference_std=0.05,
)

PresetIOParameters = with_defaults(
    IOParameters,
    "PresetIOParameters",
    "Periphery of the training presets: 7-bit DAC, 9-bit ADC.",
    _MODULE,
    out_bound=20.0,
    out_noise=0.1,
)
StandardIOParameters = with_defaults(
    IOParameters,
    "StandardIOParameters",
    "8-bit DAC and ADC.",
    _MODULE,
    inp_res=1 / 254,
    out_res=1 / 254,
    out_bound=10.0,
    out_noise=0.04,
)
PresetUpdateParameters = with_defaults(
    UpdateParameters,
    "PresetUpdateParameters",
    "Update of the training presets: trains of up to 31 pulses.",
    _MODULE,
    desired_bl=31,
)

DEVICE_PRESETS = {
    cls.__name__: cls
    for cls in (
        TutorialRRAMPresetDevice,
        ReRamSBPresetDevice,
        ReRamArrayOMPresetDevice,
        ReRamArrayHfO2PresetDevice,
        CapacitorPresetDevice,
        EcRamPresetDevice,
        EcRamMOPresetDevice,
        IdealizedPresetDevice,
        GokmenVlasovPresetDevice,
    )
}
