"""Single pulsed devices: parameter classes, crosspoint draws, pulse traces and analysis."""

from tilewright.devices.analysis import StepCurves as StepCurves
from tilewright.devices.analysis import number_of_states as number_of_states
from tilewright.devices.analysis import step_curves as step_curves
from tilewright.devices.analysis import symmetry_point as symmetry_point
from tilewright.devices.analysis import visible_window as visible_window
from tilewright.devices.tracing import nominal_response as nominal_response
from tilewright.devices.tracing import trace_pulses as trace_pulses
