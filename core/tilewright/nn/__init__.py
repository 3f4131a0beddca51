"""Torch layers on analog tiles, and the conversion of digital models."""

from tilewright.nn import forgotten_tiles as _forgotten_tiles  # noqa: F401  its import sets the watch
from tilewright.nn.containers import AnalogSequential as AnalogSequential
from tilewright.nn.containers import named_analog_layers as named_analog_layers
from tilewright.nn.containers import named_analog_tiles as named_analog_tiles
from tilewright.nn.conv import AnalogConv1d as AnalogConv1d
from tilewright.nn.conv import AnalogConv1dMapped as AnalogConv1dMapped
from tilewright.nn.conv import AnalogConv2d as AnalogConv2d
from tilewright.nn.conv import AnalogConv2dMapped as AnalogConv2dMapped
from tilewright.nn.conv import AnalogConv3d as AnalogConv3d
from tilewright.nn.conv import AnalogConv3dMapped as AnalogConv3dMapped
from tilewright.nn.conversion import convert_to_analog as convert_to_analog
from tilewright.nn.conversion import convert_to_analog_mapped as convert_to_analog_mapped
from tilewright.nn.conversion import convert_to_digital as convert_to_digital
from tilewright.nn.graphs import capture_step as capture_step
from tilewright.nn.linear import AnalogLinear as AnalogLinear
from tilewright.nn.linear import AnalogLinearMapped as AnalogLinearMapped
from tilewright.nn.recurrent import AnalogGRU as AnalogGRU
from tilewright.nn.recurrent import AnalogGRUMapped as AnalogGRUMapped
from tilewright.nn.recurrent import AnalogLSTM as AnalogLSTM
from tilewright.nn.recurrent import AnalogLSTMMapped as AnalogLSTMMapped
from tilewright.nn.recurrent import AnalogRNN as AnalogRNN
from tilewright.nn.recurrent import AnalogRNNMapped as AnalogRNNMapped
from tilewright.nn.summary import AnalogSummary as AnalogSummary
from tilewright.nn.summary import analog_summary as analog_summary
from tilewright.replicas import prepare_for_ddp as prepare_for_ddp
