"""Device objects for the tests: spread-free ones by hypothesis, and the spread switched off by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from tilewright import configs
from tilewright.parameters import ParameterError

FAMILIES = (
    configs.ConstantStepDevice,
    configs.LinearStepDevice,
    configs.SoftBoundsDevice,
    configs.SoftBoundsReferenceDevice,
)


def without_spread(cls: type, **fields: Any) -> Any:
    """A device whose every ``_dtod`` and ``reference_std`` is zero."""
    quiet = {name: 0.0 for name in cls.model_fields if name.endswith("_dtod") or name == "reference_std"}
    return cls(**(quiet | fields))


def without_noise(cls: type, **fields: Any) -> Any:
    """A device without spread and without cycle or write noise."""
    quiet = {name: 0.0 for name in cls.model_fields if name.endswith("_std")}
    return without_spread(cls, **(quiet | fields))


@st.composite
def quiet_devices(draw: st.DrawFn, cls: type) -> Any:
    """Noise-free, spread-free devices of a family over a wide range of parameters."""
    w_max = draw(st.floats(0.2, 2.0))
    w_min = -draw(st.floats(0.2, 2.0))
    fields: dict[str, Any] = {
        "w_max": w_max,
        "w_min": w_min,
        "dw_min": draw(st.floats(1e-4, 0.1)) * min(w_max, -w_min),
        "up_down": draw(st.floats(-0.9, 0.9)),
    }
    if cls is configs.LinearStepDevice:
        fields |= {
            "gamma_up": draw(st.floats(-0.9, 1.5)),
            "gamma_down": draw(st.floats(-0.9, 1.5)),
            "allow_increasing": draw(st.booleans()),
            "mean_bound_reference": draw(st.booleans()),
            "reverse_up": draw(st.booleans()),
            "reverse_down": draw(st.booleans()),
        }
    elif cls is not configs.ConstantStepDevice:
        fields["mult_noise"] = draw(st.booleans())
    if cls is configs.SoftBoundsReferenceDevice:
        fields |= {
            "reference_mean": draw(st.floats(-0.5, 0.5)),
            "subtract_symmetry_point": draw(st.booleans()),
        }
    try:
        return without_noise(cls, **fields)
    except ParameterError:
        assume(False)


pulse_trains = st.lists(st.sampled_from([1, -1]), min_size=1, max_size=60) | st.tuples(
    st.integers(1, 60), st.integers(0, 60)
).map(lambda n: [1] * n[0] + [-1] * n[1])
