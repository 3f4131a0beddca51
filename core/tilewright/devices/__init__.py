"""Single pulsed devices: parameter classes, crosspoint draws, pulse traces and analysis."""

from tilewright.devices.algebra import ResponseFunctions as ResponseFunctions
from tilewright.devices.algebra import analog_update as analog_update
from tilewright.devices.algebra import response_functions as response_functions
from tilewright.devices.analysis import StepCurves as StepCurves
from tilewright.devices.analysis import asymmetry as asymmetry
from tilewright.devices.analysis import noise_to_signal as noise_to_signal
from tilewright.devices.analysis import number_of_states as number_of_states
from tilewright.devices.analysis import signal_to_noise as signal_to_noise
from tilewright.devices.analysis import step_curves as step_curves
from tilewright.devices.analysis import symmetry_point as symmetry_point
from tilewright.devices.analysis import visible_window as visible_window
from tilewright.devices.distribution import DeviceDistribution as DeviceDistribution
from tilewright.devices.distribution import device_distribution as device_distribution
from tilewright.devices.symmetry_search import SymmetrySearch as SymmetrySearch
from tilewright.devices.symmetry_search import program_reference as program_reference
from tilewright.devices.symmetry_search import search_symmetry_points as search_symmetry_points
from tilewright.devices.tracing import TraceStatistics as TraceStatistics
from tilewright.devices.tracing import nominal_response as nominal_response
from tilewright.devices.tracing import trace_pulses as trace_pulses
from tilewright.devices.tracing import trace_statistics as trace_statistics
