"""The residual-learning family, one vector at a time, on noise-free arrays; see ``transfer`` for what they build on."""

from __future__ import annotations

import math

import numpy as np

from oracle.transfer import Transfer


class Residual(Transfer):
    """The rate on the first array may be scaled by running maxima of inputs and errors."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: list[float]) -> None:
        super().__init__(cell, up, out_size, in_size, grains)
        self.m_x = self.m_d = 0.0

    def fast_rate(self, x: np.ndarray, d: np.ndarray, lr: float, batch: int) -> float:
        cell, rate = self.cell, super().fast_rate(x, d, lr, batch)
        if not cell.auto_scale or cell.fast_lr <= 0:
            return rate
        share = (1 - cell.auto_momentum) / batch
        x_max, d_max = float(np.abs(x).max()), float(np.abs(d).max())
        self.m_x = x_max if self.m_x <= 0 else self.m_x if x_max <= 0 else (1 - share) * self.m_x + share * x_max
        self.m_d = d_max if self.m_d <= 0 else self.m_d if d_max <= 0 else (1 - share) * self.m_d + share * d_max
        rate *= self.up.desired_bl * self.arrays[self.first].granularity
        return rate / (self.m_x * self.m_d) if self.m_x > 0 and self.m_d > 0 else rate

    def at(self, s: int) -> tuple:
        return (slice(None), s) if self.cell.transfer_columns else (s, slice(None))


class Rider(Residual):
    """Q follows the reads of P, and W takes what P holds beyond Q."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: list[float]) -> None:
        super().__init__(cell, up, out_size, in_size, grains)
        self.q = np.zeros(self.shape)

    @property
    def weights(self) -> np.ndarray:
        return self.arrays[1].weights + self.cell.gamma * (self.arrays[0].weights - self.q)

    def write(self, k: int, s: int, read: np.ndarray, rate: float) -> None:
        at, eta = self.at(s), self.cell.eta
        self.q[at] = (1 - eta) * self.q[at] + eta * read
        super().write(k, s, read - self.q[at], rate)


class EnhancedRider(Rider):
    """As Rider under a sign that flips after sweeps; certain flips only (probability 0 or 1)."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: list[float]) -> None:
        super().__init__(cell, up, out_size, in_size, grains)
        self.reference = np.zeros(self.shape)
        self.sign, self.swept = 1.0, False

    @property
    def weights(self) -> np.ndarray:
        return self.arrays[1].weights + self.cell.gamma * self.sign * (self.arrays[0].weights - self.reference)

    def fast_rate(self, x: np.ndarray, d: np.ndarray, lr: float, batch: int) -> float:
        return self.sign * super().fast_rate(x, d, lr, batch)

    def run(self, xs: np.ndarray, ds: np.ndarray, lr: float) -> None:
        super().run(xs, ds, lr)
        assert self.cell.chop_prob in (0, 1), "a random chopper has no single right answer"
        if self.swept and self.cell.chop_prob == 1:
            self.sign = -self.sign
            self.reference = self.q.copy()
        self.swept = False

    def write(self, k: int, s: int, read: np.ndarray, rate: float) -> None:
        at, eta = self.at(s), self.cell.eta
        self.q[at] = (1 - eta) * self.q[at] + eta * read
        self.swept = self.swept or s == self.n_in - 1
        Transfer.write(self, k, s, read - self.reference[at], rate * self.sign)


class ResidualLearning(Residual):
    """A filter of the reads is written where it is above a step of W."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: list[float]) -> None:
        super().__init__(cell, up, out_size, in_size, grains)
        self.h = np.zeros(self.shape)

    def write(self, k: int, s: int, read: np.ndarray, rate: float) -> None:
        at, b = self.at(s), self.cell.buffer_rate
        self.h[at] = (1 - b) * self.h[at] + b * read
        large = np.abs(self.h[at]) > self.cell.thres_scale * self.arrays[1].granularity
        super().write(k, s, np.where(large, self.h[at], 0.0), rate)


class MultiTileResidual(Residual):
    """Fine to coarse; the loss decides which tile takes the gradient."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: list[float]) -> None:
        super().__init__(cell, up, out_size, in_size, grains)
        self.first = self.n - 1 if cell.switch_on_plateau else 0
        self.mean, self.best, self.waited = math.nan, math.inf, 0

    def shares_of(self, cell: object) -> list[float]:
        device, grain = cell.unit_cell_devices[-1], self.arrays[-1].granularity
        states = (device.w_max - device.w_min) / grain
        gamma = cell.gamma if cell.gamma > 0 else min(1.25 / states, 0.5)
        return [gamma ** (self.n - 1 - k) for k in range(self.n)]

    def period(self, k: int, batch: int) -> int:
        if self.cell.transfer_every_vec or self.cell.transfer_every == 0:
            return super().period(k, batch)
        every = self.cell.transfer_every * 10**k
        return max(1, math.ceil(every * batch) if self.cell.units_in_mbatch else round(every))

    def note_loss(self, loss: float) -> None:
        cell = self.cell
        if self.first == 0 or not cell.switch_on_plateau:
            return
        memory = cell.plateau_memory
        self.mean = loss if math.isnan(self.mean) else memory * self.mean + (1 - memory) * loss
        if self.mean < self.best * (1 - cell.plateau_margin):
            self.best, self.waited = self.mean, 0
        else:
            self.waited += 1
        if self.waited >= cell.plateau_patience:
            self.first -= 1
            self.mean, self.best, self.waited = math.nan, math.inf, 0
            self.m_x = self.m_d = 0.0
