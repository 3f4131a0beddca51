"""Chopped transfer (TTv2, c-TTv2) and mixed precision, one vector at a time, on noise-free arrays.

Pulses are counted by a deterministic pulse type and lines are read exactly, so a run has one right answer.
"""

from __future__ import annotations

import math

import numpy as np

from oracle import devices, update
from oracle.devices import nominal_crosspoint


class Array:
    """A noise-free crossbar of one nominal device."""

    def __init__(self, device: object, shape: tuple[int, int], granularity: float) -> None:
        self.point = nominal_crosspoint(device)
        self.granularity = granularity
        self.raw = np.zeros(shape) + self.point.reference

    @property
    def weights(self) -> np.ndarray:
        return self.raw - self.point.reference

    def set_weights(self, weights: np.ndarray) -> None:
        self.raw = devices.clip(self.point, np.asarray(weights, dtype=float) + self.point.reference)

    def update(self, x: np.ndarray, d: np.ndarray, lr: float, up: object) -> None:
        if up.pulse_type.value == "NoneWithDevice":
            self.raw = devices.clip(self.point, self.raw - lr * np.outer(d, x))
            return
        counts = update.deterministic_counts(x, d, lr, self.granularity, up)
        self.raw = update.apply_counts(self.point, self.raw, counts, x, d, lr)

    def send(self, pulses: np.ndarray) -> None:
        """Move every crosspoint by its own signed number of pulses (positive is up)."""
        for (i, j), count in np.ndenumerate(pulses):
            for _ in range(int(abs(count))):
                self.raw[i, j] = devices.pulse(self.point, self.raw[i, j], int(np.sign(count)))


class ChoppedTransfer:
    """Fast array A, buffer H, slow array C. Choppers are signs: +1 or -1."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: tuple[float, float]) -> None:
        shape = (out_size, in_size)
        self.cell, self.up = cell, up
        self.a = Array(cell.unit_cell_devices[0], shape, grains[0])
        self.c = Array(cell.unit_cell_devices[1], shape, grains[1])
        self.n_in, self.n_out = (in_size, out_size) if cell.transfer_columns else (out_size, in_size)
        self.h = np.zeros((self.n_in, self.n_out))  # one row per line that is read
        self.c_in, self.c_out = np.ones(self.n_in), np.ones(self.n_out)
        self.m_x = self.m_d = 0.0
        self.line = self.vectors = self.sweeps = 0
        self.lr_a = 0.0

    @property
    def weights(self) -> np.ndarray:
        on_x, on_d = (self.c_in, self.c_out) if self.cell.transfer_columns else (self.c_out, self.c_in)
        return self.cell.gamma * np.outer(on_d, on_x) * self.a.weights + self.c.weights

    def period(self, batch: int) -> int:
        every, device = self.cell.transfer_every, self.cell.unit_cell_devices[0]
        if every < 0:
            states = (device.w_max - device.w_min) / self.a.granularity
            return max(1, round(states / self.n_in * abs(every)))
        return math.ceil(every * batch) if self.cell.units_in_mbatch else max(1, round(every))

    def run(self, xs: np.ndarray, ds: np.ndarray, lr: float) -> None:
        """One update call: the vectors of a batch in order."""
        if lr == 0:
            return
        for x, d in zip(xs, ds, strict=True):
            self.vector(x, d, lr, len(xs))

    def vector(self, x: np.ndarray, d: np.ndarray, lr: float, batch: int) -> None:
        cell = self.cell
        if cell.auto_scale:
            self.m_x = self.average(self.m_x, float(np.max(np.abs(x))), batch)
            self.m_d = self.average(self.m_d, float(np.max(np.abs(d))), batch)
        self.lr_a = self.fast_rate(lr)
        on_x, on_d = (self.c_in, self.c_out) if cell.transfer_columns else (self.c_out, self.c_in)
        self.a.update(x * on_x, d * on_d, self.lr_a, self.up)
        self.vectors += 1
        if self.vectors % self.period(batch) == 0:
            self.transfer(lr)

    def average(self, old: float, new: float, batch: int) -> float:
        if old <= 0:
            return new
        if new <= 0:
            return old
        share = (1 - self.cell.auto_momentum) / batch
        return (1 - share) * old + share * new

    def fast_rate(self, lr: float) -> float:
        cell = self.cell
        if cell.fast_lr <= 0:
            return lr
        rate = cell.fast_lr * (lr if cell.scale_fast_lr else 1.0)
        if cell.auto_scale:
            rate *= self.up.desired_bl * self.a.granularity
            if self.m_x > 0 and self.m_d > 0:
                rate /= self.m_x * self.m_d
        return rate

    def buffer_rate(self, lr: float) -> float:
        cell = self.cell
        threshold = (cell.buffer_granularity if cell.buffer_granularity > 0 else 1.0) * self.a.granularity
        if cell.auto_granularity > 0:
            threshold *= cell.auto_granularity / (self.n_in * abs(cell.transfer_every))
        rate = cell.transfer_lr * (lr if cell.scale_transfer_lr else 1.0)
        if cell.correct_gradient_magnitudes:
            return rate / (self.lr_a * threshold * self.c.granularity / self.a.granularity)
        return rate / threshold

    def transfer(self, lr: float) -> None:
        cell, s = self.cell, self.line
        rate = self.buffer_rate(lr)
        read = self.a.weights[:, s] if cell.transfer_columns else self.a.weights[s, :]
        limit = cell.transfer_update.desired_bl
        pulses = np.zeros(self.n_out)
        for k in range(self.n_out):
            omega = (0.0 if cell.no_buffer else self.h[s, k]) + self.c_in[s] * self.c_out[k] * rate * read[k]
            if abs(omega) >= 1:
                pulses[k] = np.clip(np.trunc(omega), -limit, limit)
                if cell.forget_buffer:
                    omega *= cell.momentum
                else:
                    omega -= (1 - cell.momentum) * pulses[k]
            self.h[s, k] = omega
        sent = np.zeros_like(self.c.raw)
        if cell.transfer_columns:
            sent[:, s] = pulses
        else:
            sent[s, :] = pulses
        self.c.send(sent)
        self.flip(s)
        self.line = (s + 1) % self.n_in

    def flip(self, s: int) -> None:
        """Choppers whose flips are certain: regular ones, and probabilities of 0 or 1."""
        cell = self.cell
        if cell.in_chop_prob > 0:
            if cell.in_chop_random:
                assert cell.in_chop_prob == 1, "a random chopper has no single right answer"
                self.c_in[s] *= -1
            else:
                period = max(math.ceil(1 / cell.in_chop_prob), 2)
                if self.sweeps % period + 1 == period:
                    self.c_in[s] *= -1
        if s == self.n_in - 1:
            assert cell.out_chop_prob in (0, 1), "a random chopper has no single right answer"
            if cell.out_chop_prob == 1:
                self.c_out *= -1
            self.sweeps += 1


class MixedPrecision:
    """Digital accumulator chi beside one array; whole steps are written at the end of each due batch."""

    def __init__(self, cell: object, out_size: int, in_size: int, grain: float, array: object = None) -> None:
        self.cell = cell
        self.array = array or Array(cell.device, (out_size, in_size), grain)
        self.epsilon = cell.granularity or grain
        self.chi = np.zeros((out_size, in_size))
        self.batches = self.row = 0

    @property
    def weights(self) -> np.ndarray:
        return self.array.weights

    @staticmethod
    def levels(v: np.ndarray, bins: int) -> np.ndarray:
        """Deterministic quantisation to ``bins`` levels; 0 leaves the vector alone."""
        if bins == 0 or np.max(np.abs(v)) == 0:
            return v
        half = bins // 2
        width = np.max(np.abs(v)) / half
        return np.clip(np.rint(v / width), -half, half) * width

    def run(self, xs: np.ndarray, ds: np.ndarray, lr: float) -> None:
        """One update call. Pulses are certain as long as no entry of chi holds two whole steps."""
        if lr == 0:
            return
        for x, d in zip(xs, ds, strict=True):
            self.chi += lr * np.outer(self.levels(d, self.cell.n_d_bins), self.levels(x, self.cell.n_x_bins))
        self.batches += 1
        if self.batches % self.cell.transfer_every == 0:
            self.transfer()

    def transfer(self) -> None:
        rows = len(self.chi)
        count = rows if self.cell.n_rows_per_transfer < 0 else min(self.cell.n_rows_per_transfer, rows)
        for _ in range(count):
            i = self.row
            steps = np.trunc(self.chi[i] / self.epsilon)
            assert np.all(np.abs(steps) <= 1), "several pulses in one row are drawn at random"
            self.chi[i] -= steps * self.epsilon
            sent = np.zeros_like(self.chi)
            sent[i] = -steps
            self.array.send(sent)
            self.row = (i + 1) % rows
