"""Tiki-Taka, buffered Tiki-Taka and AGAD, one vector at a time, on noise-free arrays; see ``cells`` for the arrays."""

from __future__ import annotations

import math

import numpy as np

from oracle.cells import Array, ChoppedTransfer


class Transfer:
    """Arrays from fast to slow. Lines of one are read and written onto the next."""

    first = 0  # the array that takes the gradient

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: list[float]) -> None:
        self.cell, self.up, self.shape = cell, up, (out_size, in_size)
        devices = cell.unit_cell_devices
        self.arrays = [Array(device, self.shape, grain) for device, grain in zip(devices, grains, strict=True)]
        self.n_in = in_size if cell.transfer_columns else out_size
        self.n = len(devices)
        self.shares = self.shares_of(cell)
        self.next = [0] * self.n
        self.vectors = 0

    def shares_of(self, cell: object) -> list[float]:
        return list(getattr(cell, "gamma_vec", [])) or [cell.gamma ** (self.n - 1 - k) for k in range(self.n)]

    @property
    def weights(self) -> np.ndarray:
        return sum(share * array.weights for share, array in zip(self.shares, self.arrays, strict=True))

    def set_weights(self, weights: np.ndarray) -> None:
        self.arrays[-1].set_weights(np.asarray(weights, dtype=float) / self.shares[-1])

    def period(self, k: int, batch: int) -> int:
        if getattr(self.cell, "transfer_every_vec", []):
            every = self.cell.transfer_every_vec[k]
        else:
            every = self.cell.transfer_every
            for _ in range(k):
                every *= self.n_in / min(self.cell.n_reads_per_transfer, self.n_in)
        if every == 0:
            return 0
        return max(1, math.ceil(every * batch) if self.cell.units_in_mbatch else round(every))

    def run(self, xs: np.ndarray, ds: np.ndarray, lr: float) -> None:
        if lr == 0:
            return
        for x, d in zip(xs, ds, strict=True):
            self.arrays[self.first].update(x, d, self.fast_rate(x, d, lr, len(xs)), self.up)
            self.vectors += 1
            for k in range(self.first, self.n - 1):
                period = self.period(k, len(xs))
                if period and self.vectors % period == 0:
                    self.transfer(k, lr)

    def fast_rate(self, x: np.ndarray, d: np.ndarray, lr: float, batch: int) -> float:
        cell = self.cell
        return lr if cell.fast_lr <= 0 else cell.fast_lr * (lr if cell.scale_fast_lr else 1.0)

    def transfer(self, k: int, lr: float) -> None:
        cell = self.cell
        rate = cell.transfer_lr_vec[k] if getattr(cell, "transfer_lr_vec", []) else cell.transfer_lr
        rate *= lr if cell.scale_transfer_lr else 1.0
        for _ in range(min(cell.n_reads_per_transfer, self.n_in)):
            s = self.next[k]
            array = self.arrays[k]
            read = array.weights[:, s].copy() if cell.transfer_columns else array.weights[s, :].copy()
            if getattr(cell, "with_reset_prob", 0) == 1:
                array.raw[:, s] = cell.unit_cell_devices[k].reset
            self.write(k, s, read, rate)
            self.next[k] = (s + 1) % self.n_in

    def write(self, k: int, s: int, read: np.ndarray, rate: float) -> None:
        hot = np.zeros(self.n_in)
        hot[s] = 1.0
        x, d = (hot, -read) if self.cell.transfer_columns else (-read, hot)
        self.arrays[k + 1].update(x, d, rate, self.cell.transfer_update)


class BufferedTransfer(Transfer):
    """Reads collect in a buffer per array; whole thresholds leave it as pulses."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: list[float]) -> None:
        super().__init__(cell, up, out_size, in_size, grains)
        self.h = [np.zeros(self.shape) for _ in range(self.n)]

    def write(self, k: int, s: int, read: np.ndarray, rate: float) -> None:
        cell = self.cell
        if self.shares[k] > 0 and self.shares[k + 1] > 0:
            rate *= self.shares[k] / self.shares[k + 1]
        threshold = cell.thres_scale * self.arrays[k + 1].granularity
        at = (slice(None), s) if cell.transfer_columns else (s, slice(None))
        omega = self.h[k][at] + abs(rate) * read
        limit = cell.transfer_update.desired_bl
        pulses = np.clip(np.trunc(omega / threshold), -limit, limit)
        kept = omega - (1 - cell.momentum) * pulses * threshold
        after = cell.momentum * omega if cell.forget_buffer else kept
        omega = np.where(pulses != 0, after, omega)
        if cell.buffer_cap > 0 and not cell.forget_buffer:
            bound = cell.buffer_cap * limit * threshold
            omega = np.clip(omega, -bound, bound)
        self.h[k][at] = omega
        sent = np.zeros(self.shape)
        sent[at] = pulses
        self.arrays[k + 1].send(sent)


class DynamicTransfer(ChoppedTransfer):
    """AGAD: reads count relative to what their running mean was when the chopper last flipped."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: tuple[float, float]) -> None:
        super().__init__(cell, up, out_size, in_size, grains)
        self.mean, self.reference = np.zeros_like(self.h), np.zeros_like(self.h)
        self.switched = np.zeros(self.n_in, dtype=bool)
        self.cycle = max(math.ceil(1 / cell.in_chop_prob), 2)
        self.feedback = 1.0

    def fast_rate(self, lr: float) -> float:
        return super().fast_rate(lr) * self.feedback

    def run(self, xs: np.ndarray, ds: np.ndarray, lr: float) -> None:
        cell, before = self.cell, self.vectors
        super().run(xs, ds, lr)
        if cell.experimental_fast_lr_feedback:
            span = self.n_in * self.period(len(xs)) * self.cycle * cell.feedback_mod
            largest = np.abs(self.reference - self.mean).max()
            if self.vectors // span > before // span and largest > 0:
                self.feedback *= cell.feedback_target / largest

    def transfer(self, lr: float) -> None:
        cell, s = self.cell, self.line
        rate = self.buffer_rate(lr)
        if cell.experimental_correct_accumulation:
            rate /= min(self.vectors, 1 / self.a.granularity)
        read = self.a.weights[:, s] if cell.transfer_columns else self.a.weights[s, :]
        if self.switched[s]:
            self.reference[s] = self.mean[s]
            self.switched[s] = False
        beta = min(cell.tail_weightening / self.cycle, 1.0)
        limit = cell.transfer_update.desired_bl
        pulses = np.zeros(self.n_out)
        for k in range(self.n_out):
            held = 0.0 if cell.no_buffer else self.h[s, k]
            omega = held + self.c_in[s] * self.c_out[k] * rate * (read[k] - self.reference[s, k])
            if abs(omega) >= 1:
                pulses[k] = np.clip(np.trunc(omega), -limit, limit)
                omega = omega * cell.momentum if cell.forget_buffer else omega - (1 - cell.momentum) * pulses[k]
            if cell.buffer_cap > 0 and not cell.forget_buffer:
                omega = np.clip(omega, -cell.buffer_cap * limit, cell.buffer_cap * limit)
            self.h[s, k] = omega
        self.mean[s] = (1 - beta) * self.mean[s] + beta * read
        if self.sweeps > self.cycle:
            sent = np.zeros_like(self.c.raw)
            sent[(slice(None), s) if cell.transfer_columns else (s, slice(None))] = pulses
            self.c.send(sent)
        by_chance = cell.in_chop_random and cell.in_chop_prob == 1
        assert not cell.in_chop_random or by_chance, "a random chopper has no single right answer"
        if self.sweeps % self.cycle + 1 == self.cycle or by_chance:
            self.c_in[s] *= -1
            self.switched[s] = True
        if s == self.n_in - 1:
            if cell.out_chop_prob == 1:
                self.c_out *= -1
            self.sweeps += 1
        self.line = (s + 1) % self.n_in
