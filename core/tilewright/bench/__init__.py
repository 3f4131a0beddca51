"""Measuring how fast the kernels are: against a reference toolkit on the same inputs, and against the machine."""
