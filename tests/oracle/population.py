"""Many devices of one kind in double precision: their spread drawn, then pulsed, from the equations alone.

Random numbers come from numpy, so a population shares nothing with the package but the fields of the device.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import norm


class Population:
    """``n`` devices with raw state ``raw``; what the network sees is ``visible()``."""

    def __init__(self, device: object, n: int, rng: np.random.Generator) -> None:
        self.device, self.n, self.rng = device, n, rng
        self.names = [cls.__name__ for cls in type(device).__mro__]
        self.reference = np.zeros(n)
        self.draw_bounds_and_steps()
        self.draw_model()
        self.draw_faults()
        self.write_noise = getattr(device, "write_noise_std", 0.0) * device.dw_min
        self.raw = np.zeros(n)

    def xi(self) -> np.ndarray:
        return self.rng.standard_normal(self.n)

    def isa(self, name: str) -> bool:
        return name in self.names

    # --- device to device ---------------------------------------------------------------------------------------------

    def draw_bounds_and_steps(self) -> None:
        f = self.device
        b_max, b_min = f.w_max * (1 + f.w_max_dtod * self.xi()), f.w_min * (1 + f.w_min_dtod * self.xi())
        gain = np.exp(f.dw_min_dtod * self.xi()) if f.dw_min_dtod_log_normal else 1 + f.dw_min_dtod * self.xi()
        r = f.up_down_dtod * self.xi()
        up = f.dw_min * (gain + min(f.up_down, 0) + r)
        down = f.dw_min * (gain - max(f.up_down, 0) - r)
        if f.enforce_consistency:
            up, down = np.abs(up), np.abs(down)
            b_max, b_min = np.abs(np.maximum(b_max, b_min)), -np.abs(np.minimum(b_max, b_min))
        else:
            middle = np.where(b_min > b_max, (b_min + b_max) / 2, np.nan)
            b_max, b_min = (np.where(np.isnan(middle), b, middle) for b in (b_max, b_min))
        self.up, self.down, self.b_max, self.b_min = up, down, b_max, b_min

    def draw_model(self) -> None:
        f = self.device
        if self.isa("LinearStepDevice"):
            g_up, g_down = f.gamma_up + f.gamma_up_dtod * self.xi(), f.gamma_down + f.gamma_down_dtod * self.xi()
            if not f.allow_increasing:
                g_up, g_down = np.abs(g_up), np.abs(g_down)
            high, low = (f.w_max, f.w_min) if f.mean_bound_reference else (self.b_max, self.b_min)
            self.k_up = g_up / (low - f.reverse_offset if f.reverse_up else high)
            self.k_down = g_down / (high + f.reverse_offset if f.reverse_down else low)
        if self.isa("PowStepDevice") or self.isa("PowStepReferenceDevice"):
            gain, r = 1 + f.pow_gamma_dtod * self.xi(), f.pow_up_down_dtod * self.xi()
            self.g_up = np.abs(f.pow_gamma * (gain + min(f.pow_up_down, 0) + r))
            self.g_down = np.abs(f.pow_gamma * (gain - max(f.pow_up_down, 0) - r))
        if self.isa("SoftBoundsReferenceDevice"):
            self.b_max = self.b_max / np.abs(1 + f.slope_up_dtod * self.xi())
            self.b_min = self.b_min / np.abs(1 + f.slope_down_dtod * self.xi())
        if hasattr(f, "reference_mean"):
            self.reference = f.reference_mean + f.reference_std * self.xi()
            if f.subtract_symmetry_point:
                self.reference = self.reference + self.symmetry_point()

    def symmetry_point(self) -> np.ndarray:
        """Raw weight where the up and the down step are equal, by halving."""
        low, high = self.b_min.copy(), self.b_max.copy()
        for _ in range(60):
            middle = (low + high) / 2
            rises = self.step(middle, up=True)[0] > self.step(middle, up=False)[0]
            low, high = np.where(rises, middle, low), np.where(rises, high, middle)
        return (low + high) / 2

    def draw_faults(self) -> None:
        f = self.device
        stuck = self.rng.uniform(size=self.n) < f.corrupt_devices_prob
        low, high = np.maximum(self.b_min, -f.corrupt_devices_range), np.minimum(self.b_max, f.corrupt_devices_range)
        level = low + (high - low) * self.rng.uniform(size=self.n)
        self.b_max, self.b_min = np.where(stuck, level, self.b_max), np.where(stuck, level, self.b_min)
        self.up, self.down = np.where(stuck, 0.0, self.up), np.where(stuck, 0.0, self.down)

    # --- one pulse ----------------------------------------------------------------------------------------------------

    def step(self, w: np.ndarray, up: bool) -> tuple[np.ndarray, np.ndarray]:
        """Noise-free step size at raw weights, and the size that cycle noise is relative to."""
        f, s = self.device, self.up if up else self.down
        if self.isa("LinearStepDevice"):
            here = s * (1 - (self.k_up if up else self.k_down) * w)
            return here, here if f.mult_noise else s
        if self.isa("SoftBoundsDevice") or self.isa("SoftBoundsReferenceDevice"):
            here = s * (1 - w / (self.b_max if up else self.b_min))
            return here, here if f.mult_noise else s
        if self.isa("ExpStepDevice"):
            span = self.b_max - self.b_min  # stuck devices have none, and no step either
            z = np.divide(2 * f.a * w, span, out=np.zeros(self.n), where=span > 0) + f.b
            y = 1 - f.A_up * np.exp(f.gamma_up * z) if up else 1 - f.A_down * np.exp(-f.gamma_down * z)
            here = s * np.maximum(y, 0)
            return here, np.abs(here) + f.dw_min_std_add + f.dw_min_std_slope * np.abs(w)
        span = self.b_max - self.b_min
        place = np.clip(np.divide(w - self.b_min, span, out=np.zeros(self.n), where=span > 0), 0, 1)
        if self.isa("PowStepDevice") or self.isa("PowStepReferenceDevice"):
            here = s * ((1 - place) ** self.g_up if up else place**self.g_down)
            return here, here
        if self.isa("PiecewiseStepDevice"):
            nodes = f.piecewise_up if up else f.piecewise_down
            here = s * np.interp(place, np.linspace(0, 1, len(nodes)), nodes)
            return here, here
        if self.isa("TableStepDevice") and f.quantiles_up:
            rows = np.array(f.quantiles_up if up else f.quantiles_down)
            mean = rows @ mean_weights(f.quantile_levels)
            here = s * np.interp(f.w_min + place * (f.w_max - f.w_min), f.points_weight, mean)
            return here, s  # noise: the deviation of a jump, see pulse
        if self.isa("TableStepDevice"):
            points = f.points_up if up else f.points_down
            here = s * np.interp(f.w_min + place * (f.w_max - f.w_min), f.points_weight, points)
            return here, here
        if self.isa("ConstantStepDevice"):
            return s, s
        raise NotImplementedError(self.names[0])

    def pulse(self, up: bool) -> None:
        here, unit = self.step(self.raw, up)
        noise = self.deviation(up) if getattr(self.device, "quantiles_up", None) else self.xi()
        size = here + self.device.dw_min_std * unit * noise
        self.raw = np.clip(self.raw + size if up else self.raw - size, self.b_min, self.b_max)

    def deviation(self, up: bool) -> np.ndarray:
        """How far a jump drawn from the table of quantiles lies from the mean jump at this weight."""
        f = self.device
        rows = np.array(f.quantiles_up if up else f.quantiles_down)
        span = self.b_max - self.b_min
        place = np.clip(np.divide(self.raw - self.b_min, span, out=np.zeros(self.n), where=span > 0), 0, 1)
        weight = f.w_min + place * (f.w_max - f.w_min)
        scores, levels = self.xi(), norm.ppf(f.quantile_levels)
        at_points = np.array([np.interp(scores, levels, row) for row in rows])  # (points, n)
        at_points -= (rows @ mean_weights(f.quantile_levels))[:, None]
        left = np.clip(np.searchsorted(f.points_weight, weight) - 1, 0, len(rows) - 2)
        points = np.asarray(f.points_weight)
        t = np.clip((weight - points[left]) / (points[left + 1] - points[left]), 0, 1)
        each = np.arange(self.n)
        return (1 - t) * at_points[left, each] + t * at_points[left + 1, each]

    # --- a life -------------------------------------------------------------------------------------------------------

    def set(self, visible: float) -> None:
        self.raw = np.clip(visible + self.reference, self.b_min, self.b_max)

    def visible(self) -> np.ndarray:
        return self.raw - self.reference + self.write_noise * self.xi()

    def trace(self, pulses: Iterable[int], w0: float, rows: list[int]) -> np.ndarray:
        """Visible weights after ``rows`` pulses, shape (len(rows), n)."""
        self.set(w0)
        found = {}
        for k, direction in enumerate(pulses, start=1):
            self.pulse(direction > 0)
            if k in rows:
                found[k] = self.visible()
        return np.array([found[k] for k in rows])

    def resting_level(self) -> np.ndarray:
        level = self.device.reset + self.device.reset_dtod * self.xi()
        return level + self.reference if getattr(self.device, "reset_to_reference", False) else level

    def pass_time(self, steps: int) -> None:
        """Diffusion, then decay, ``steps`` times."""
        f = self.device
        rate = np.abs(f.diffusion * (1 + f.diffusion_dtod * self.xi()))
        life = f.lifetime * (1 + f.lifetime_dtod * self.xi())
        keep = np.where(life > 1, 1 - 1 / np.maximum(life, 1), 0.0) if f.lifetime > 0 else np.ones(self.n)
        level = self.resting_level()
        for _ in range(steps):
            self.raw = np.clip(self.raw + rate * self.xi(), self.b_min, self.b_max)
            self.raw = np.clip((self.raw - level) * keep + level, self.b_min, self.b_max)

    def drift(self, elapsed: list[float]) -> None:
        """Power law since the last write, seen after each of several calls; ``elapsed`` in units of ``t_0``."""
        d = self.device.drift
        nu_device, written, now = d.nu * (1 + d.nu_dtod * self.xi()), self.raw.copy(), 0.0
        for step in elapsed:
            now += step
            conductance = (written - d.w_offset) / d.wg_ratio + d.g_offset
            nu = nu_device * (1 + d.nu_std * self.xi())
            nu -= d.nu_k * (np.log(np.maximum(conductance, 1e-12)) - d.log_g0)
            fallen = conductance * max(now, 1.0) ** -nu
            self.raw = (fallen - d.g_offset) * d.wg_ratio + d.w_offset + d.w_noise_std * self.xi()
            self.raw = np.clip(self.raw, self.b_min, self.b_max)

    def reset(self) -> None:
        self.raw = np.clip(self.resting_level() + self.device.reset_std * self.xi(), self.b_min, self.b_max)


def mean_weights(levels: list[float]) -> np.ndarray:
    """Weights of the quantiles in the mean of a jump that is linear in the normal score between them."""
    z = norm.ppf(levels)
    weights = np.zeros(len(z))
    for k in range(len(z) - 1):
        mass, first = norm.cdf(z[k + 1]) - norm.cdf(z[k]), norm.pdf(z[k]) - norm.pdf(z[k + 1])
        right = (first - z[k] * mass) / (z[k + 1] - z[k])  # E[(score - z_k) / (z_k+1 - z_k)] over the interval
        weights[k] += mass - right
        weights[k + 1] += right
    weights[0] += norm.cdf(z[0])
    weights[-1] += norm.sf(z[-1])
    return weights
