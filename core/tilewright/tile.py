"""A crossbar: the weight the network sees, the cell behind it, and the periphery around it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from tilewright import kernels
from tilewright.analog_weight import AnalogWeight as AnalogWeight
from tilewright.cells.cell import Cell
from tilewright.cells.parameters import UnitCell
from tilewright.cells.single import ExactCell, SingleDeviceCell
from tilewright.cells.vector import VectorCell
from tilewright.configs import AnalogRPUConfig, FloatingPointRPUConfig, RPUConfig
from tilewright.devices.array import DeviceArray
from tilewright.devices.pulsed import PulsedDevice
from tilewright.devices.symmetry_search import SymmetrySearch, program_reference
from tilewright.interruption import pause_point
from tilewright.kernels import gpu
from tilewright.kernels.device_rate import DeviceRate
from tilewright.observation import ProductReport
from tilewright.parameters import ParameterError
from tilewright.periphery import IOParameters, NoiseManagementType, PulseType, compile_io, draw_frozen
from tilewright.saved_configuration import ConfigurationWarning, describe_differences, encode_configuration

Reads = kernels.TileReads | gpu.GpuReads
_INFINITY = float("inf")
_PERFECT = IOParameters(is_perfect=True)
_CONFIGURATION = "configuration"
_MANY_RECORDS = 10_000
_FROZEN = ("out_noise", "nonlinearity", "offset", "asymmetry", "average")
_FROZEN_NAMES = tuple(tuple(f"{way}_{field}" for field in _FROZEN) for way in ("forward", "backward"))


def _without_counters(named: dict[str, torch.Size]) -> dict[str, torch.Size]:
    """Whether pulses are counted does not decide whether a state fits."""
    return {name: shape for name, shape in named.items() if not name.endswith(kernels.PULSE_COUNTER)}


def seed_from_torch() -> int:
    """A seed from torch's generator, so that ``torch.manual_seed`` governs everything."""
    return int(torch.randint(1 << 62, (), device="cpu").item())


def _refuse_defaults() -> None:
    """Tiles are float32 on the CPU: say so where torch's defaults would make them anything else."""
    if torch.get_default_dtype() is not torch.float32:
        raise TypeError(
            f"tiles are float32 and torch's default is {torch.get_default_dtype()}: build analog layers while "
            "torch.set_default_dtype(torch.float32) holds"
        )
    if torch.get_default_device().type != "cpu":
        raise RuntimeError(f"tiles are made on the CPU and torch's default device is {torch.get_default_device()}")


def construction_seed_of(config: RPUConfig) -> int:
    """The construction seed a configuration asks for; that of a cell counts before that of its devices."""
    device = config.device  # type: ignore[attr-defined]
    seed = int(getattr(device, "construction_seed", 0))
    if seed == 0 and isinstance(device, UnitCell):
        seed = int(device.visible_device.construction_seed)
    return seed


class AnalogTile(nn.Module):
    """One physical array with its converters and digital scales.

    Weights are (outputs, inputs); ``x`` is (batch, inputs), ``d`` is (batch, outputs). Products and updates are in
    logical weights: mapping scales are applied here, the bias and the learned output scale by the layer.

    Args:
        out_size: outputs, rows of the weight.
        in_size: inputs, columns of the weight.
        rpu_config: configuration; copied.
        seed: of pulse trains and noise, and of the device draws when the configuration has no construction seed;
            None takes one from torch's generator.
        path: place of the tile in its model; tiles with one construction seed and different paths differ.
    """

    weight: AnalogWeight
    cell: Cell
    mapping_scales: Tensor | None
    position: list[int]
    forward_nonlinearity: Tensor | None
    backward_nonlinearity: Tensor | None

    def __init__(
        self, out_size: int, in_size: int, rpu_config: RPUConfig, seed: int | None = None, path: str = ""
    ) -> None:
        super().__init__()
        if out_size < 1 or in_size < 1:
            raise ValueError(f"a tile needs at least one input and one output, found {out_size} x {in_size}")
        _refuse_defaults()
        self.out_size, self.in_size = out_size, in_size
        self.rpu_config = copy.deepcopy(rpu_config)
        self.seed = seed_from_torch() if seed is None else int(seed)
        self.position = [0, 0]  # products done forward and backward: the place in the random numbers
        self._passes = [0, 0]  # passes of the array they took, but for those that the reads below have counted
        self.updated = [0, 0]  # vectors and mini-batches of the updates
        self.pending: list[tuple[Tensor, Tensor]] = []
        self.weight = AnalogWeight(torch.zeros(out_size, in_size))
        self.cell = self._make_cell(path)
        self._draw_periphery()
        # What the hot path asks of each direction, apart from the module's slow attributes.
        self._drawn = tuple([any(self._buffers[name] is not None for name in names) for names in _FROZEN_NAMES])
        self._strict = tuple([io.max_strict for io in self._directions])
        mapping = rpu_config.mapping
        scaled = mapping.weight_scaling_omega > 0
        self.register_buffer(
            "mapping_scales", torch.ones(out_size if mapping.weight_scaling_columnwise else 1) if scaled else None
        )
        self.out_scaling: nn.Parameter | None = None
        if mapping.learn_out_scaling:
            self.out_scaling = nn.Parameter(torch.ones(out_size if mapping.out_scaling_columnwise else 1))
        self._reads: tuple[Reads, Reads] | None = None
        self._quick_step: kernels.QuickStep | None = None
        # Process group (None is the default one), rank and number of replicas, in data-parallel training.
        self.replicas: tuple[Any, int, int] | None = None
        self._link()
        with self._devices() as weight:
            self.cell.set_weights(weight, torch.zeros(out_size, in_size))

    def _make_cell(self, path: str) -> Cell:
        config, shape = self.rpu_config, (self.out_size, self.in_size)
        if isinstance(config, FloatingPointRPUConfig):
            return ExactCell()
        if not isinstance(config, AnalogRPUConfig):
            raise ParameterError(f"a tile cannot be built from {type(config).__name__}")
        device = config.device  # type: ignore[attr-defined]
        construction = construction_seed_of(config)
        draw_seed = kernels.derive_seed(construction or self.seed, "devices", path if construction else "")
        noise_seed = kernels.derive_seed(self.seed, "noise")
        if isinstance(device, UnitCell):
            return device.make_cell(config.update, shape, draw_seed, noise_seed)
        if isinstance(device, PulsedDevice) and config.update.pulse_type is not PulseType.NONE:
            return SingleDeviceCell(device, config.update, shape, draw_seed, noise_seed)
        return ExactCell()

    # --- periphery --------------------------------------------------------------------------------------------------

    @property
    def _directions(self) -> tuple[IOParameters, IOParameters]:
        config = self.rpu_config
        if isinstance(config, AnalogRPUConfig):
            return config.forward, config.backward
        return _PERFECT, _PERFECT

    def _draw_periphery(self) -> None:
        shape = (self.out_size, self.in_size)
        asymmetry = kernels.derive_seed(self.seed, "read asymmetry")
        for name, io, outputs in zip(("forward", "backward"), self._directions, shape, strict=True):
            frozen = draw_frozen(io, outputs, shape, kernels.derive_seed(self.seed, name), asymmetry)
            # Negative before the first batch.
            average = torch.full((1,), -1.0) if io.noise_management is NoiseManagementType.AVERAGE_ABS_MAX else None
            for field, value in zip(_FROZEN, (*frozen.as_tuple(), average), strict=True):
                self.register_buffer(f"{name}_{field}", value)

    def _make_reads(self) -> tuple[Reads, Reads]:
        """Both directions as the kernels take them; made on demand because they cannot be stored."""
        shape, (forward, backward) = (self.out_size, self.in_size), self._directions
        rank = self.replicas[1] if self.replicas else 0
        seed = kernels.derive_seed(self.seed, "replica", rank) if rank else self.seed
        bounded = forward.out_bound > 0 and forward.out_clip and not forward.is_perfect
        compiled = (
            compile_io(forward, self.forward_nonlinearity, backward=False),
            compile_io(backward, self.backward_nonlinearity, backward=True),
        )
        seeds = seed, kernels.derive_seed(seed, "backward")
        if kernels.on_gpu(self.weight):
            self._reads = self._make_gpu_reads(compiled, seeds, bounded)
            return self._reads
        self._reads = (
            kernels.TileReads(compiled[0], shape, transposed=False, seed=seeds[0], keep_saturated=bounded),
            kernels.TileReads(compiled[1], shape, transposed=True, seed=seeds[1], keep_saturated=False),
        )
        return self._reads

    def _make_gpu_reads(
        self, compiled: tuple[kernels.ReadSettings, kernels.ReadSettings], seeds: tuple[int, int], bounded: bool
    ) -> tuple[gpu.GpuReads, gpu.GpuReads]:
        shape, weight, (forward, backward) = (self.out_size, self.in_size), self.weight.detach(), self.position
        return (
            gpu.GpuReads(
                compiled[0], shape, transposed=False, seed=seeds[0], keep_saturated=bounded, position=forward,
                like=weight,
            ),
            gpu.GpuReads(
                compiled[1], shape, transposed=True, seed=seeds[1], keep_saturated=False, position=backward,
                like=weight,
            ),
        )  # fmt: skip

    @property
    def passes(self) -> list[int]:
        """Passes of the array by the products forward and backward: bound management repeats some."""
        held = (0, 0) if self._reads is None else [reads.passes for reads in self._reads]
        return [before + now for before, now in zip(self._passes, held, strict=True)]

    def _read(self, direction: int, x: Tensor) -> tuple[Tensor, int]:
        """Product of a batch (samples, ...) in a direction, and how many results hit the bound of the ADC."""
        reads = (self._reads or self._make_reads())[direction]
        buffers: dict[str, Any] = self._buffers
        if self._drawn[direction]:
            reads.freeze([buffers[name] for name in _FROZEN_NAMES[direction]])
        weight: Any = self._parameters["weight"]
        if type(weight) is AnalogWeight and weight._version != weight.trusted:
            self.settle()
        y, saturated = reads(weight, x, self.position[direction], self.training)
        self.position[direction] += y.shape[0]
        lost = self._strict[direction] and reads.lost_inputs  # waits for a GPU, where it is asked for
        if lost:
            raise ValueError(
                f"{lost} of {y.shape[0]} vectors have no positive entry, and noise_management Max "
                "scales by the largest entry; use AbsMax, or max_strict = False to get 0 for them"
            )
        return y, saturated

    # --- copies and checkpoints -------------------------------------------------------------------------------------

    def _link(self) -> None:
        weight = self._parameters["weight"]
        if not isinstance(weight, AnalogWeight):  # loading with assign=True, and the like, put a plain parameter here
            assert weight is not None
            self._parameters["weight"] = weight = AnalogWeight(weight.detach(), weight.requires_grad)
        weight.tile = self
        weight.settle()

    def settle(self) -> None:
        """Set the devices to what was written into the raw weight by hand, see :class:`AnalogWeight`.

        Raises:
            ValueError: entries that are not finite.
        """
        weight = self._parameters["weight"]
        if not isinstance(weight, AnalogWeight):  # torch.func.functional_call has put another tensor here for a while
            return
        if weight.written:
            with torch.no_grad():
                values = weight.detach()
                if not bool(torch.isfinite(values).all()):
                    raise ValueError("nan or infinite entries were written into the weight of a tile")
                self.cell.set_weights(values, values.clone())
        weight.settle()

    @contextmanager
    def _devices(self) -> Iterator[Tensor]:
        """The raw weight, for what changes it together with its devices."""
        self.settle()
        weight: Any = self._parameters["weight"]
        try:
            yield weight.detach()
        finally:
            if isinstance(weight, AnalogWeight):
                weight.settle()

    def __getstate__(self) -> dict[str, object]:
        self.settle()
        counted = {"_passes": self.passes, "position": self.positions()}
        return {**self.__dict__, **counted, "_reads": None, "_quick_step": None, "pending": [], "replicas": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._link()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # What .to(), .double(), .cuda() and the like call. Counters and running maxima keep their own types.
        became = fn(torch.empty(0))
        if became.dtype is not torch.float32:
            raise TypeError(
                f"tiles compute in float32 and cannot become {became.dtype}; convert the digital layers only"
            )
        self._check_move(became.device)

        def keeping_types(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype is tensor.dtype else tensor

        self._forget_reads()
        self.settle()
        super()._apply(keeping_types, recurse)  # type: ignore[no-untyped-call]
        self._link()
        return self

    def _check_move(self, device: torch.device) -> None:
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError(f"tiles cannot move to {device}: there are kernels for the CPU and for CUDA")
        if device.type == "cuda" and (problem := gpu.problem()):
            raise RuntimeError(f"tiles cannot move to {device}: {problem}")

    def _forget_reads(self) -> None:
        """Before the reads are made anew: keep what they counted. Waits for a GPU."""
        self.position, self._passes = self.positions(), self.passes
        self._reads = None

    def positions(self) -> list[int]:
        """Products done forward and backward; those on a GPU are numbered there, and this waits for it."""
        reads = self._reads or ()
        on_gpu = [one.position for one in reads if isinstance(one, gpu.GpuReads)]
        return on_gpu or list(self.position)

    def get_extra_state(self) -> Tensor:
        """Position in the random numbers, and what was counted."""
        return torch.tensor([self.seed, *self.positions(), *self.passes, *self.updated], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of :meth:`get_extra_state`."""
        self.seed, *counts = (int(v) for v in state)
        self.position, self._passes, self.updated = counts[:2], counts[2:4] or [0, 0], counts[4:6] or [0, 0]
        self._reads = None

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        self.settle()
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + _CONFIGURATION] = encode_configuration(self.rpu_config)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool, *found: list[str]
    ) -> None:
        saved = state_dict.pop(prefix + _CONFIGURATION, None)
        differences = "" if saved is None else describe_differences(saved, self.rpu_config)
        if differences:
            own = {prefix + name: value.shape for name, value in self.state_dict().items() if name != _CONFIGURATION}
            given = {name: value.shape for name, value in state_dict.items() if name.startswith(prefix)}
            own, given = (_without_counters(shapes) for shapes in (own, given))
            if own != given:  # weight, devices and digital memory belong together: all of them or none
                raise RuntimeError(
                    f"{prefix[:-1] or 'the tile'} was saved from another configuration, whose state does not fit here; "
                    f"saved -> here: {differences}"
                )
            warnings.warn(
                f"loaded into tiles of another configuration, which is kept; saved -> here: {differences}",
                ConfigurationWarning,
                stacklevel=2,
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, *found)
        self._link()

    def extra_repr(self) -> str:
        """Size and configuration."""
        return f"{self.out_size} x {self.in_size}, {type(self.rpu_config).__name__}"

    # --- weights ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def set_weights(self, weights: Tensor, omega: float | None = None) -> None:
        """Set logical weights (outputs, inputs): scaled as the mapping says, then clipped by the devices.

        Args:
            weights: what to set.
            omega: largest analog weight, instead of the mapping's ``weight_scaling_omega``.

        Raises:
            ValueError: shapes or values that do not fit, or ``omega`` for a mapping without scales.
        """
        wanted = torch.as_tensor(weights, dtype=torch.float32, device=self.weight.device).detach()
        if wanted.shape != (self.out_size, self.in_size):
            raise ValueError(f"weights must have shape {(self.out_size, self.in_size)}, found {tuple(wanted.shape)}")
        if not bool(torch.isfinite(wanted).all()):
            raise ValueError("weights must be finite; the given matrix holds nan or infinite entries")
        mapping = self.rpu_config.mapping
        if omega is not None and (self.mapping_scales is None or not 0 < omega < float("inf")):
            raise ValueError(
                f"omega = {omega}: needs a positive number, and a mapping with scales (weight_scaling_omega above 0)"
            )
        if self.mapping_scales is not None:
            largest = wanted.abs().amax(dim=1) if mapping.weight_scaling_columnwise else wanted.abs().amax().reshape(1)
            scale = largest / (mapping.weight_scaling_omega if omega is None else omega)
            self.mapping_scales.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)))
            wanted = wanted / self.mapping_scales[:, None]
        if self.out_scaling is not None:
            self.out_scaling.fill_(1.0)
        with self._devices() as weight:
            self.cell.set_weights(weight, wanted)

    @torch.no_grad()
    def get_weights(self) -> Tensor:
        """Logical weights (outputs, inputs), a copy; exact, not read through the periphery."""
        self.settle()
        weights = self.weight.detach().clone()
        for scale in (self.mapping_scales, self.out_scaling):
            if scale is not None:
                weights *= scale[:, None]
        return weights

    def set_hidden_update_index(self, index: int) -> None:
        """Select the member of a vector or reference cell that is set and, under ``SingleFixed``, updated."""
        self._vector_cell().select(index)

    def get_hidden_update_index(self) -> int:
        """The member of a vector or reference cell in turn."""
        return self._vector_cell().index

    def _vector_cell(self) -> VectorCell:
        if not isinstance(self.cell, VectorCell):
            raise ValueError(f"{type(self.cell).__name__} has no members to select; only vector and reference cells do")
        return self.cell

    # --- products and update ----------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """``x W^T`` through the periphery; x (..., inputs) to (..., outputs). No gradient: layers add it."""
        return self.product(x)[0]

    def product(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Forward product and the mask of saturated outputs (None when none is)."""
        flat = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
        y, hits = self._read(0, flat)
        saturated = self._reads[0].saturated(y.shape[0]) if hits and self._reads is not None else None
        scales = self._buffers["mapping_scales"]
        if scales is not None:
            y *= scales
        return (y if flat is x else y.reshape(*x.shape[:-1], self.out_size)), saturated

    def backward(self, d: Tensor) -> Tensor:
        """``d W`` through the backward periphery; d (..., outputs) to (..., inputs)."""
        flat = d if d.dim() == 2 else d.reshape(-1, d.shape[-1])
        scales = self._buffers["mapping_scales"]
        g, _ = self._read(1, flat if scales is None else flat.detach() * scales)
        return g if flat is d else g.reshape(*d.shape[:-1], self.in_size)

    @torch.no_grad()
    def observe(self, x: Tensor) -> ProductReport:
        """A forward product (..., inputs) with what happened inside; counts as a product like any other."""
        self.settle()
        flat = x.reshape(-1, x.shape[-1])
        reads = (self._reads or self._make_reads())[0]
        reads.freeze([self._buffers[name] for name in _FROZEN_NAMES[0]])
        y, alpha, rho, passes, clipped = reads.observe(self.weight.detach(), flat, self.position[0])
        self.position[0] += flat.shape[0]
        exact = flat @ self.weight.detach().t() * self._directions[0].out_scale
        scales = self.mapping_scales
        return ProductReport(
            output=y if scales is None else y * scales,
            exact=exact if scales is None else exact * scales,
            alpha=alpha,
            rho=rho,
            passes=passes,
            dac_clipped=clipped.inputs / max(1, clipped.passes * self.in_size),
            adc_clipped=clipped.outputs / max(1, y.numel()),
        )

    def update(self, x: Tensor, d: Tensor, lr: float) -> None:
        """Move the logical weights by ``-lr * sum_b outer(d_b, x_b)`` in expectation; not divided by the batch.

        Raises:
            ValueError: negative learning rate or shapes that do not fit.
        """
        pause_point()
        # The parameter, not a detached view: cells record no gradients, and a view takes longer than a small update.
        weight: Any = self._parameters["weight"]
        quick_step = self._quick_step
        if quick_step is not None:
            samples = quick_step(weight, x, d, lr, torch.get_num_threads())
            if samples > 0:
                updated = self.updated
                updated[0] += samples
                updated[1] += 1
                return
        if not 0 <= lr < _INFINITY and not isinstance(lr, DeviceRate):
            raise ValueError(f"lr must be a finite number that is not negative, found {lr}")
        samples = kernels.samples_of(x, self.in_size, d, self.out_size)
        if samples < 0:
            x, d = self._vectors(x, d)
            samples = x.shape[0]
        scales = self._buffers["mapping_scales"]
        if scales is not None:
            factor = 1.0 / float(scales.mean()) if self.rpu_config.mapping.weight_scaling_lr_compensation else 1.0
            d, lr = d / (scales * factor), lr * factor
        if lr != 0:
            self.updated[0] += samples
            self.updated[1] += 1
        if type(weight) is AnalogWeight and weight._version != weight.trusted:
            self.settle()
        rate = lr if isinstance(lr, float) else float(lr)  # one that lives on a GPU stays there
        cell: Any = self._modules["cell"]
        cell.update(weight, x, d, rate)
        if type(weight) is AnalogWeight:
            weight.follow()
        self._quick_step = cell.quick_step() if scales is None else None

    def _vectors(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and errors with their leading dimensions made one, or an error."""
        for name, value in (("x", x), ("d", d)):
            if value.dtype is not torch.float32:
                raise TypeError(f"{name} must be float32, found {value.dtype}; convert it with .float()")
        x, d = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
        if x.shape[1] != self.in_size or d.shape[1] != self.out_size or x.shape[0] != d.shape[0]:
            raise ValueError(
                f"x must be (batch, {self.in_size}) and d (batch, {self.out_size}), "
                f"found {tuple(x.shape)} and {tuple(d.shape)}"
            )
        return x, d

    def replicate(self, group: Any, rank: int, count: int) -> None:
        """Make this tile one of ``count`` replicas, see :func:`tilewright.nn.prepare_for_ddp`.

        Updates are the same in all of them; noise of products is drawn anew for each rank.
        """
        self.replicas = group, rank, count
        self._forget_reads()

    # --- training ---------------------------------------------------------------------------------------------------

    def record(self, x: Tensor, d: Tensor) -> None:
        """Keep a pair of inputs and errors until the optimiser's step."""
        if x.requires_grad:
            x = x.detach()
        if d.requires_grad:
            d = d.detach()
        if x.dim() != 2:
            x, d = x.reshape(-1, self.in_size), d.reshape(-1, self.out_size)
        self.pending.append((x, d))
        if len(self.pending) == _MANY_RECORDS:
            warnings.warn(
                f"a tile keeps the errors of {_MANY_RECORDS} products without a step: give its layer to AnalogSGD, "
                "call zero_grad(), or freeze it with requires_grad_(False)",
                stacklevel=2,
            )

    def apply_pending(self, lr: float) -> None:
        """Update with everything recorded since the last step, as one mini-batch."""
        if not self.pending:
            return
        pairs = list(self.pending)
        self.pending.clear()  # quicker than setting an attribute of a module
        if len(pairs) == 1:
            x, d = pairs[0]
        else:
            x, d = torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
        self.update(x, d, lr)

    def pass_time(self) -> None:
        """Diffusion and decay of one optimiser step."""
        weight: Any = self._parameters["weight"]
        self._modules["cell"].pass_time(weight.detach())  # type: ignore[union-attr,operator]
        if type(weight) is AnalogWeight:
            weight.follow()

    def drift_weights(self, delta_t: float = 1.0) -> None:
        """Let the devices drift for ``delta_t`` seconds since the last call, as their ``drift`` says."""
        with self._devices() as weight:
            self.cell.drift_weights(weight, delta_t)

    def program_reference(self, array: str = "A", **search: Any) -> SymmetrySearch:
        """Pulse an array of the cell to its symmetry points and store what was found in its reference.

        Args:
            array: its name, as :meth:`~tilewright.cells.cell.Cell.pulsed_arrays` lists them; ``A`` or ``P`` is the
                fast array of a transfer algorithm, ``W`` a single device.
            search: pulses, method, reads and noise, as for :func:`tilewright.devices.program_reference`.

        Returns:
            What was found, and its cost in pulses and reads.

        Raises:
            ValueError: no array of that name, or devices without a reference.
        """
        arrays = self.cell.pulsed_arrays()
        if array not in arrays:
            raise ValueError(f"the cell has no array {array!r}; it has {', '.join(arrays) or 'none'}")
        found: list[SymmetrySearch] = []

        def program(member: DeviceArray, visible: Tensor) -> bool:
            if member is not arrays[array]:
                return False
            found.append(program_reference(member, visible, **search))
            return True

        with self._devices() as weight:
            self.cell.act_on_arrays(weight, program)
        return found[0]

    def reset_columns(self, start: int = 0, count: int = -1, probability: float = 1.0) -> None:
        """Reset devices to their reset level.

        Args:
            start: first input column.
            count: number of columns, wrapping round at the end; -1 is all.
            probability: of each device.

        Raises:
            ValueError: a column that does not exist or a probability outside 0 to 1.
        """
        if not -self.in_size <= start < self.in_size:
            raise ValueError(f"start must be a column of the {self.in_size} there are, found {start}")
        if not -1 <= count <= self.in_size:
            raise ValueError(f"count must lie within 0 and {self.in_size}, or be -1 for all; found {count}")
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must lie within 0 and 1, found {probability}")
        columns = (start + torch.arange(self.in_size if count < 0 else count)) % self.in_size
        with self._devices() as weight:
            self.cell.reset_columns(weight, columns, probability)

    def count_pulses(self) -> None:
        """Count the up and down pulses of each crosspoint of all arrays from now on, as ``count_pulses`` does."""
        for array in self.cell.pulsed_arrays().values():
            array.count_pulses()

    def pulse_counts(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Up and down pulses (outputs, inputs) of each array of the cell that counts them."""
        return self.cell.pulse_counts()


def forget_records(module: nn.Module) -> None:
    """Let all tiles of a module forget the inputs and errors they keep for the next update."""
    for tile in module.modules():
        if isinstance(tile, AnalogTile):
            tile.pending.clear()
