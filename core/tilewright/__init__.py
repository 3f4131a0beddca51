"""Tilewright: from a measured resistive device to a trained analog network."""

__version__ = "0.1.0"
