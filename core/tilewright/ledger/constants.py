"""What one operation costs: constants that turn counts into time and, where they are known, energy."""

from __future__ import annotations

from tilewright.parameters import Parameters, parameter


class CostConstants(Parameters):
    """Cost of one operation of each kind; the defaults are the published ones.

    Source: Rasch et al., Nat. Commun. 15:7133 (2024), Table 1 and its caption: pulses of 5 ns, 40 ns for a
    matrix-vector product, digital logic of 0.175 TFLOPS beside each array. No energies are published there: fields
    without a value are not shown.
    """

    pulse_time: float = parameter(5.0, "one slot of a pulse train", unit="ns", ge=0, group="Time", typical=(1, 100))
    product_time: float = parameter(
        40.0, "one pass of an array: a product, or the read of a line", unit="ns", ge=0, group="Time",
        typical=(10, 500),
    )  # fmt: skip
    digital_rate: float = parameter(
        0.175, "digital operations beside one array", unit="TFLOPS", gt=0, group="Time", typical=(0.01, 2)
    )
    pulse_energy: float | None = parameter(
        None, "energy of one pulse at one device; empty is not shown", unit="fJ", ge=0, group="Energy"
    )
    product_energy: float | None = parameter(
        None, "energy of one pass of an array, with its converters; empty is not shown", unit="pJ", ge=0,
        group="Energy",
    )  # fmt: skip
    line_read_energy: float | None = parameter(
        None, "energy of the read of one line; empty is not shown", unit="pJ", ge=0, group="Energy"
    )
    digital_energy: float | None = parameter(
        None, "energy of one digital operation; empty is not shown", unit="pJ", ge=0, group="Energy"
    )

    @property
    def operation_time(self) -> float:
        """Time of one digital operation in ns."""
        return 1e-3 / self.digital_rate
