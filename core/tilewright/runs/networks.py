"""The networks a run can train, as data: each class builds its own torch module."""

from tilewright.runs.architectures.images import LeNet5 as LeNet5
from tilewright.runs.architectures.images import SmallCNN as SmallCNN
from tilewright.runs.architectures.layer_list import LayerList as LayerList
from tilewright.runs.architectures.network import Activation as Activation
from tilewright.runs.architectures.network import Network as Network
from tilewright.runs.architectures.network import Output as Output
from tilewright.runs.architectures.perceptron import LinearRegression as LinearRegression
from tilewright.runs.architectures.perceptron import Perceptron as Perceptron
from tilewright.runs.architectures.recurrent import SequenceLSTM as SequenceLSTM
