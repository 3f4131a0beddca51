"""Torch layers on analog tiles, and the conversion of digital models."""

from tilewright.nn.containers import AnalogSequential as AnalogSequential
from tilewright.nn.conversion import convert_to_analog as convert_to_analog
from tilewright.nn.conversion import convert_to_analog_mapped as convert_to_analog_mapped
from tilewright.nn.conversion import convert_to_digital as convert_to_digital
from tilewright.nn.linear import AnalogLinear as AnalogLinear
from tilewright.nn.linear import AnalogLinearMapped as AnalogLinearMapped
