"""Vector and one-sided cells, one vector at a time, on noise-free arrays; see ``cells`` for the arrays."""

from __future__ import annotations

import numpy as np

from oracle import devices, update
from oracle.cells import Array


class Vector:
    """Several arrays whose weighted sum is the weight."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grains: list[float]) -> None:
        self.cell, self.up = cell, up
        self.gammas = list(cell.gamma_vec) or [1 / len(grains)] * len(grains)
        self.arrays = [
            Array(device, (out_size, in_size), grain)
            for device, grain in zip(cell.unit_cell_devices, grains, strict=True)
        ]
        self.index = cell.first_update_idx

    @property
    def weights(self) -> np.ndarray:
        return sum(gamma * array.weights for gamma, array in zip(self.gammas, self.arrays, strict=True))

    def run(self, xs: np.ndarray, ds: np.ndarray, lr: float) -> None:
        steps = [abs(gamma) * array.granularity for gamma, array in zip(self.gammas, self.arrays, strict=True)]
        policy, first = self.cell.update_policy.value, True
        for x, d in zip(xs, ds, strict=True):
            if policy == "SingleSequential" and (first or self.cell.select_per_sample):
                self.index = (self.index + 1) % len(steps)
            first = False
            members = range(len(steps)) if policy == "All" else [self.index]
            for k in members:
                grain = sum(steps) if policy == "All" else steps[k]
                counts = update.deterministic_counts(x, d, lr, grain, self.up)
                rate = lr if self.gammas[k] >= 0 else -lr
                self.arrays[k].raw = update.apply_counts(self.arrays[k].point, self.arrays[k].raw, counts, x, d, rate)


class OneSided:
    """A pair that only moves upwards: minus device 0, plus device 1."""

    def __init__(self, cell: object, up: object, out_size: int, in_size: int, grain: float) -> None:
        self.cell, self.up, self.granularity = cell, up, grain
        members = [cell.unit_cell_devices[0], cell.unit_cell_devices[-1]]
        self.pair = [Array(device, (out_size, in_size), device.granularity) for device in members]
        self.w_max = [device.w_max for device in members]
        self.reset = [device.reset for device in members]
        self.vectors = self.batches = self.refreshed = 0

    @property
    def weights(self) -> np.ndarray:
        return self.pair[1].weights - self.pair[0].weights

    def set_weights(self, weights: np.ndarray) -> None:
        self.pair[1].set_weights(np.maximum(weights, 0))
        self.pair[0].set_weights(np.maximum(-np.asarray(weights), 0))

    def send(self, pulses: np.ndarray) -> None:
        """Signed pulses: upwards on plus, downwards as upwards on minus."""
        self.pair[1].send(np.maximum(pulses, 0))
        self.pair[0].send(np.maximum(-pulses, 0))

    def run(self, xs: np.ndarray, ds: np.ndarray, lr: float) -> None:
        every = self.cell.refresh_every
        for x, d in zip(xs, ds, strict=True):
            counts = update.deterministic_counts(x, d, lr, self.granularity, self.up)
            self.send(-counts * np.sign(np.outer(d, x)))
            self.vectors += 1
            if every and not self.cell.units_in_mbatch and self.vectors % every == 0:
                self.refresh()
        self.end_batch()

    def end_batch(self) -> None:
        self.batches += 1
        if self.cell.refresh_every and self.cell.units_in_mbatch and self.batches % self.cell.refresh_every == 0:
            self.refresh()

    def refresh(self) -> None:
        upper, lower = self.cell.refresh_upper_thres, self.cell.refresh_lower_thres
        n_out, n_in = self.pair[0].raw.shape
        for j in range(n_in):
            q, p = (array.weights[:, j].copy() for array in self.pair)
            write_plus, write_minus = np.zeros(n_out), np.zeros(n_out)
            for i in range(n_out):
                low, high = q[i] / self.w_max[0], p[i] / self.w_max[1]
                due = (high > upper and low > lower) if p[i] > q[i] else (high > lower and low > upper)
                if not due:
                    continue
                for array, level in zip(self.pair, self.reset, strict=True):
                    array.raw[i, j] = devices.clip(array.point, level)
                write_plus[i], write_minus[i] = max(p[i] - q[i], 0), max(q[i] - p[i], 0)
                self.refreshed += 1
            hot = np.zeros(n_in)
            hot[j] = 1.0
            self.pair[1].update(hot, -write_plus, 1.0, self.cell.refresh_update)
            self.pair[0].update(hot, -write_minus, 1.0, self.cell.refresh_update)
