"""A recurrent network that reads a sample row by row."""

from __future__ import annotations

from torch import nn

from tilewright.parameters import parameter
from tilewright.runs.architectures.network import ImageNetwork, LastOutput


class SequenceLSTM(ImageNetwork):
    """An LSTM over the rows of an image, one row a step; the classes are read off its last output."""

    hidden: int = parameter(64, "units of the LSTM", ge=1, le=8192, typical=(8, 256))

    def build(self) -> nn.Sequential:
        """A new digital network; its weights come from torch's generator."""
        return nn.Sequential(
            nn.LSTM(self.image[1], self.hidden, batch_first=True),
            LastOutput(),
            nn.Linear(self.hidden, self.classes),
            nn.LogSoftmax(dim=1),
        )

    def describe(self) -> str:
        """One line for tables."""
        return f"LSTM {self.hidden}"
