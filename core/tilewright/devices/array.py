"""An array of pulsed devices: the tensors of every crosspoint and what can be done to them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tilewright import kernels
from tilewright.devices.drift import DriftState, drifted
from tilewright.devices.pulsed import PulsedDevice
from tilewright.kernels import PARAMETERS, PULSE_COUNTER, UPDATED, ArrayProgress
from tilewright.kernels.gpu import GpuArray, GpuUpdates, field, trace

_CROSSPOINTS = ("persistent", *PARAMETERS)
_RETENTION = ("diffusion_rate", "decay_factor", "reset_level", "drift_nu")


def device_model(device: PulsedDevice) -> kernels.DeviceModel:
    """Kind and noise of a device, for the kernels. Write noise is absolute, in weight units."""
    return kernels.DeviceModel(
        kind=device.kernel_kind,
        mult_noise=getattr(device, "mult_noise", True),
        cycle_noise=device.kernel_cycle_noise,
        write_noise=device.write_noise,
        shape=device.step_shape(),
    )


def draw_devices(device: PulsedDevice, shape: tuple[int, int], draw_seed: int) -> dict[str, Tensor]:
    """The parameters of every crosspoint of an array, as :meth:`PulsedDevice.draw_crosspoints` names them."""
    return device.draw_crosspoints(
        shape,
        lambda name: kernels.normal_field(shape, kernels.derive_seed(draw_seed, name)),
        lambda name: kernels.uniform_field(shape, kernels.derive_seed(draw_seed, name, "uniform")),
    )


class DeviceArray(nn.Module):
    """Devices of one kind at every crosspoint of an array.

    The visible weights are passed in by their owner; everything else (the state pulses act on where it differs from
    the visible weight, and the parameters drawn for each crosspoint) is a buffer here.

    Args:
        device: its parameters.
        shape: (outputs, inputs).
        draw_seed: key of the device-to-device draws.
        noise_seed: key of pulse trains and noise.
    """

    persistent: Tensor | None
    up: Tensor
    down: Tensor
    max_bound: Tensor
    min_bound: Tensor
    slope_up: Tensor | None
    slope_down: Tensor | None
    reference: Tensor | None
    diffusion_rate: Tensor | None
    decay_factor: Tensor | None
    reset_level: Tensor
    drift_nu: Tensor | None
    drift_time: Tensor | None
    written_at: Tensor | None
    written: Tensor | None
    counted_pulses: Tensor | None

    def __init__(self, device: PulsedDevice, shape: tuple[int, int], draw_seed: int, noise_seed: int) -> None:
        super().__init__()
        self.device = device
        self.shape = shape
        self.noise_seed = noise_seed
        # A compiled object, since attributes of a module are slow to set. On a GPU its successor is kept there.
        self.progress = ArrayProgress()
        self._gpu: GpuArray | None = None
        drawn = draw_devices(device, shape, draw_seed)
        for name in (*PARAMETERS, *_RETENTION):
            self.register_buffer(name, drawn.get(name))
        self.write_noise = device.write_noise
        own_state = self.write_noise > 0 or "reference" in drawn
        self.register_buffer("persistent", torch.zeros(shape) if own_state else None)
        self._drifts = drifts = "drift_nu" in drawn
        self.register_buffer("drift_time", torch.zeros(1, dtype=torch.float64) if drifts else None)
        for name in ("written_at", "written"):
            self.register_buffer(name, torch.zeros(shape) if drifts else None)
        self.register_buffer(PULSE_COUNTER, None)
        if device.count_pulses:
            self.count_pulses()
        self._model: kernels.DeviceModel | None = None
        self._updates: kernels.ArrayUpdates | None = None
        self._gpu_updates: GpuUpdates | None = None

    # --- where it lives ---------------------------------------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # What .to() and .cuda() call.
        self._come_back()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._go_on()
        return self

    def _come_back(self) -> None:
        """Take the position and the counts from the GPU; waits for it."""
        if self._gpu is not None:
            self.progress = self._progress_now()
            self._gpu = self._gpu_updates = None

    def _go_on(self) -> None:
        """Be updated from where the progress says, wherever the tensors are now."""
        self._retire_updates()
        if kernels.on_gpu(self.up):
            self._gpu = GpuArray(self.progress.samples, self.progress.calls, self.model, self.up)

    def _progress_now(self) -> ArrayProgress:
        now = self.progress
        if self._gpu is None:
            return now
        samples, calls = self._gpu.where()
        pulses, truncated, empty, slots = self._gpu.sent.tolist()
        return ArrayProgress(
            calls, samples, now.pulses + pulses, now.truncated + truncated, now.empty + empty, now.slots + slots
        )

    @property
    def samples(self) -> int:
        """Vectors it was given so far; waits for a GPU."""
        return self.progress.samples if self._gpu is None else self._gpu.where()[0]

    @property
    def sent(self) -> ArrayProgress:
        """What the updates have sent so far; waits for a GPU."""
        return copy(self._progress_now())

    def skip(self, samples: int, live: Tensor | None = None) -> None:
        """Let vectors pass that are meant for others; ``live`` as for :meth:`update`."""
        if self._gpu is None:
            self.progress.samples += samples
        else:
            self._gpu.advance(samples, 0, live)

    def trace(self, points: kernels.Crosspoints, pulses: NDArray[np.int8], seed: int, keep: bool = True) -> Tensor:
        """Visible weights (n_pulses + 1, devices) of devices of this array that all take the same pulses.

        Args:
            points: the devices, whose state is updated.
            pulses: signed pulse counts.
            seed: key of the noise.
            keep: False keeps no weights but the last, in ``points.visible``.
        """
        if self._gpu is None:
            return torch.from_numpy(kernels.pulse_trace(self.model, points, pulses, seed, keep=keep))
        placed = torch.from_numpy(pulses).to(self.up.device)
        return trace(self.model, self._gpu, points, placed, seed, keep=keep)

    def get_extra_state(self) -> Tensor:
        """Position in the random numbers, so that a reloaded array goes on as before, and what was sent."""
        now = self._progress_now()
        values = [self.noise_seed, now.calls, now.samples, now.empty, now.truncated, now.slots, now.pulses]
        return torch.tensor(values, dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of :meth:`get_extra_state`."""
        self._gpu = self._gpu_updates = None
        self.noise_seed, calls, samples, *sent = (int(v) for v in state)
        empty, truncated, slots, pulses = sent or (0, 0, 0, 0)
        self.progress = ArrayProgress(calls, samples, pulses, truncated, empty, slots)
        self._go_on()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Whether pulses are counted is no matter of the weights: a counter that was stored is taken over, and what
        # was stored without it is read as it is.
        stored, own = state_dict.get(prefix + PULSE_COUNTER), self.counted_pulses
        if stored is not None and own is None:
            self.counted_pulses = torch.zeros_like(stored)
        elif stored is None and own is not None:
            state_dict[prefix + PULSE_COUNTER] = torch.zeros_like(own)
        # A reference that was programmed differs from device to device, also where none was drawn.
        reference, own = state_dict.get(prefix + "reference"), self._buffers["reference"]
        if reference is not None and own is not None and own.numel() == 1:
            self._buffers["reference"] = torch.zeros_like(reference)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __getstate__(self) -> dict[str, object]:
        own = {"_model": None, "_updates": None, "_gpu": None, "_gpu_updates": None}
        return {**self.__dict__, **own, "progress": self._progress_now()}

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.progress = copy(self.progress)  # a shallow copy of the array stands in a place of its own
        self._go_on()

    # --- kernels ----------------------------------------------------------------------------------------------------

    @property
    def model(self) -> kernels.DeviceModel:
        """Kind and noise, as the kernels take them."""
        if self._model is None:
            self._model = device_model(self.device)
        return self._model

    def crosspoints(self, visible: Tensor) -> kernels.Crosspoints:
        """The tensors of this array around the visible weights (outputs, inputs)."""
        # Straight from the dictionary: looking up nine attributes of a module costs more than a small kernel.
        buffers: dict[str, Any] = self._buffers
        return kernels.Crosspoints(visible, *(buffers[name] for name in _CROSSPOINTS))

    def update(
        self,
        visible: Tensor,
        x: Tensor,
        d: Tensor,
        lr: Tensor | float,
        settings: kernels.UpdateSettings,
        snapshots: kernels.Snapshots | None = None,
        live: Tensor | None = None,
    ) -> kernels.UpdateStats | None:
        """Pulse the array; see :class:`tilewright.kernels.ArrayUpdates`.

        On a GPU nothing is returned, since the counts are there: :attr:`sent` has them; and the number of samples that
        count may be there too, ``live``.
        """
        if self._gpu is not None:
            self._update_on_gpu(self._gpu, visible, x, d, lr, settings, snapshots, live)
            return None
        before = self.before_writes(visible)
        stats = self._updates_by(settings)(visible, x, d, lr, snapshots)
        self._note_changes(visible, before)
        return stats

    def step(self, visible: Tensor, x: Tensor, d: Tensor, lr: float, settings: kernels.UpdateSettings) -> None:
        """Pulse the array by a mini-batch of dense vectors, and report nothing: the call with the least on top."""
        updates = self._updates
        if (
            updates is None
            or updates.settings is not settings
            or self._drifts
            or updates.step(visible, x, d, lr, torch.get_num_threads()) < 0
        ):
            self.update(visible, x, d, lr, settings)

    def quick_step(self, settings: kernels.UpdateSettings) -> kernels.QuickStep | None:
        """What pulses the weights of a tile at the least cost; None on a GPU, and for devices that drift."""
        if self._gpu is not None or self._drifts:
            return None
        return self._updates_by(settings).step_parameter

    def _updates_by(self, settings: kernels.UpdateSettings) -> kernels.ArrayUpdates:
        updates = self._updates
        if updates is None or updates.settings is not settings:
            self._retire_updates()
            buffers: dict[str, Tensor | None] = self._buffers
            updates = kernels.ArrayUpdates(self.model, settings, self.shape, buffers, self.noise_seed, self.progress)
            self._updates = updates
        return updates

    def _retire_updates(self) -> None:
        if self._updates is not None:
            self._updates.retire()  # somebody may hold its quick step
            self._updates = None

    def updated_tensors(self, visible: Tensor) -> list[Tensor | None]:
        """The visible weights and the tensors that an update reads or changes, in the order of the kernels."""
        buffers = self._buffers
        return [visible, *[buffers[name] for name in UPDATED]]

    @property
    def place(self) -> tuple[int, int, int]:
        """Key of its noise, number of the next vector, and of the next call."""
        return self.noise_seed, self.progress.samples, self.progress.calls + 1

    def before_writes(self, visible: Tensor) -> Tensor | None:
        """The states before an update, where it matters later which of them changed."""
        return None if self._buffers["written"] is None else self._raw(visible.detach()).clone()

    def took(self, stats: kernels.UpdateStats, samples: int, visible: Tensor, before: Tensor | None) -> None:
        """Note what an update of one more call did; ``before`` is what :meth:`before_writes` gave."""
        self.progress.took(stats, samples)
        self._note_changes(visible, before)

    def _note_changes(self, visible: Tensor, before: Tensor | None) -> None:
        if before is not None:
            visible = visible.detach()
            self._note_writes(self._raw(visible) != before, visible)

    def _update_on_gpu(
        self,
        gpu: GpuArray,
        visible: Tensor,
        x: Tensor,
        d: Tensor,
        lr: Tensor | float,
        settings: kernels.UpdateSettings,
        snapshots: kernels.Snapshots | None,
        live: Tensor | None,
    ) -> None:
        visible = visible.detach()
        before = self.before_writes(visible)
        updates = self._gpu_updates
        if updates is None or updates.settings is not settings or updates.array is not gpu:
            updates = self._gpu_updates = GpuUpdates(gpu, settings, self.shape)
        counters = self._buffers[PULSE_COUNTER]
        updates(self.crosspoints(visible), counters, x, d, lr, self.noise_seed, snapshots, live)
        self._note_changes(visible, before)

    def count_pulses(self) -> None:
        """Count the up and down pulses of each crosspoint from now on."""
        if self.counted_pulses is None:
            self.counted_pulses = torch.zeros(self.shape, dtype=torch.int64, device=self.up.device)

    def pulse_counts(self) -> tuple[Tensor, Tensor] | None:
        """Up and down pulses (outputs, inputs) int64 taken since counting began; None when they are not counted."""
        counts = self.counted_pulses
        return None if counts is None else kernels.split_counts(counts)

    # --- the whole array at once ------------------------------------------------------------------------------------

    def _noise(self, live: Tensor | None = None) -> Tensor:
        """Normal numbers of a new call; on a GPU of the present one where ``live`` is 0."""
        if self._gpu is not None:
            self._gpu.advance(0, 1, live)
            return field(self.shape, self.noise_seed, self._gpu.calls, self.up)
        self.progress.calls += 1
        return kernels.normal_field(self.shape, self.noise_seed, self.progress.calls)

    def _chances(self, seed: int) -> Tensor:
        """Uniform numbers of the present call."""
        if self._gpu is not None:
            return field(self.shape, seed, self._gpu.calls, self.up, uniform=True)
        return kernels.uniform_field(self.shape, seed, self.progress.calls)

    def _raw(self, visible: Tensor) -> Tensor:
        return visible if self.persistent is None else self.persistent

    def _write(self, visible: Tensor, raw: Tensor, noise: bool, live: Tensor | None = None) -> None:
        """Clip a new state to the bounds and show it."""
        # In place: tensors on the way would push the array out of the caches.
        state = torch.clamp(raw, self.min_bound, self.max_bound, out=self._raw(visible))
        if self.reference is not None:
            torch.sub(state, self.reference, out=visible)
        elif state is not visible:
            visible.copy_(state)
        if noise and self.write_noise > 0:
            visible.add_(self.write_noise * self._noise(live))

    @torch.no_grad()
    def set_weights(self, visible: Tensor, wanted: Tensor) -> None:
        """Set visible weights, clipped to each device's window; draws write noise if the device says so."""
        raw = wanted if self.reference is None else wanted + self.reference
        self._write(visible, raw, noise=getattr(self.device, "apply_write_noise_on_set", False))
        if self.written is not None:
            self._note_writes(torch.ones(self.shape, dtype=torch.bool, device=self.up.device), visible)

    @property
    def ages(self) -> bool:
        """Whether its devices diffuse or decay."""
        return self._buffers["diffusion_rate"] is not None or self._buffers["decay_factor"] is not None

    def pass_time(self, visible: Tensor) -> bool:
        """Diffusion, then decay, of one optimiser step; returns whether the weights changed."""
        if not self.ages:
            return False
        self._age(visible)
        return True

    @torch.no_grad()
    def _age(self, visible: Tensor) -> None:
        before = raw = self._raw(visible).clone()
        if self.diffusion_rate is not None:
            raw = raw + self.diffusion_rate * self._noise()
            raw = torch.minimum(torch.maximum(raw, self.min_bound), self.max_bound)
        if self.decay_factor is not None:
            level = self._resting_level()
            raw = (raw - level) * self.decay_factor + level
        self._write(visible, raw, noise=True)
        if self.written is not None:  # the level drifts on from where it has moved to; its clock goes on
            self.written += self._raw(visible) - before

    @torch.no_grad()
    def drift_weights(self, visible: Tensor, delta_t: float) -> bool:
        """Let a time pass, in units of seconds; returns whether the weights changed.

        Each device drifts from the weight and time of its last write: pulses that moved it, a reset, or setting it.

        Raises:
            ValueError: a time that is negative or not finite.
        """
        if not 0 <= delta_t < float("inf"):
            raise ValueError(f"delta_t must be a finite time that is not negative, found {delta_t}")
        if self.drift_nu is None or self.drift_time is None or self.written is None or self.written_at is None:
            return False
        parameters = self.device.drift
        self.drift_time += delta_t / parameters.t_0
        state = DriftState(self.drift_nu, self.written_at, self.written)
        fluctuation = self._noise() if parameters.nu_std > 0 else None
        raw = drifted(parameters, state, float(self.drift_time), fluctuation)
        if parameters.w_noise_std > 0:
            raw = raw + parameters.w_noise_std * self._noise()
        self._write(visible, raw, noise=True)
        return True

    def _note_writes(self, where: Tensor, visible: Tensor) -> None:
        """Drift starts afresh where devices were written."""
        assert self.written is not None
        assert self.written_at is not None
        assert self.drift_time is not None
        torch.where(where, self._raw(visible), self.written, out=self.written)
        torch.where(where, self.drift_time.to(torch.float32), self.written_at, out=self.written_at)

    @property
    def resets_to_reference(self) -> bool:
        """Whether the level after a reset counts from the reference."""
        return self.reference is not None and bool(getattr(self.device, "reset_to_reference", False))

    def _resting_level(self) -> Tensor:
        level: Tensor = self.reset_level
        if self.reference is not None and self.resets_to_reference:
            level = level + self.reference
        return level

    def was_reset(self, visible: Tensor, chosen: Tensor) -> None:
        """Note that a kernel has reset the devices of a mask (outputs, inputs), as :meth:`reset_where` does."""
        self.progress.calls += 2 if self.write_noise > 0 else 1
        if self.written is not None:
            self._note_writes(chosen, visible)

    @torch.no_grad()
    def reset(self, visible: Tensor, probability: float = 1.0, columns: Tensor | None = None) -> bool:
        """Reset each device with the given probability; only those of some columns when these are given."""
        chosen = self._chances(kernels.derive_seed(self.noise_seed, "reset")) < probability
        if columns is not None:
            inside = torch.zeros(self.shape[1], dtype=torch.bool)
            inside[columns] = True
            chosen &= inside.to(chosen.device)
        self.reset_where(visible, chosen)
        return True

    @torch.no_grad()
    def reset_where(self, visible: Tensor, chosen: Tensor, live: Tensor | None = None) -> None:
        """Reset the devices of a mask (outputs, inputs); no call passes where ``live``, their number on a GPU, is 0."""
        raw = self._resting_level() + self.device.reset_std * self._noise(live)
        before = visible.clone()
        self._write(visible, torch.where(chosen, raw, self._raw(visible)), noise=True, live=live)
        visible.copy_(torch.where(chosen, visible, before))
        if self.written is not None:
            self._note_writes(chosen, visible)

    def reset_columns_to(self, columns: Tensor, seed: int, first: int) -> tuple[Tensor, Tensor]:
        """State and visible weight that devices of some columns take when they are reset, one reset after the other.

        Args:
            columns: column of each reset.
            seed: key of their noise.
            first: number of the first reset, which its noise depends on.

        Returns:
            both (resets, outputs), contiguous.
        """
        index = columns.long()

        def lines(plane: Tensor) -> Tensor:
            return plane if plane.numel() == 1 else plane[:, index].t()

        def noise(name: str) -> Tensor:
            key = kernels.derive_seed(seed, name)
            return kernels.normal_rows(len(index), self.shape[0], key, first, like=self.up)

        state = lines(self._resting_level()) + self.device.reset_std * noise("state")
        state = torch.minimum(torch.maximum(state, lines(self.min_bound)), lines(self.max_bound))
        visible = state if self.reference is None else state - lines(self.reference)
        if self.write_noise > 0:
            visible = visible + self.write_noise * noise("write")
        return state.contiguous(), visible.contiguous()
