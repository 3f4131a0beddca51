"""Recurrent layers on analog tiles: for each layer and direction one tile for the input and one for the state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from tilewright.configs import RPUConfig
from tilewright.nn.layer import refuse_placement
from tilewright.nn.linear import AnalogLinear, AnalogLinearMapped
from tilewright.tile import AnalogTile, forget_records

_PARTS = {"weight_ih": "ih", "bias_ih": "ih", "weight_hh": "hh", "bias_hh": "hh", "weight_hr": "hr"}


class AnalogRecurrent(nn.Module):
    """What the recurrent layers share: sequences, layers, directions, initial states.

    The input product of a whole sequence is one batched call; the product of the state is one call a time step. All
    steps since the last optimiser step are one mini-batch of the update. Weights and biases read under torch's names
    (``weight_ih_l0``, ``bias_hh_l0_reverse``, ...).

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers on top of each other.
        bias: whether both products of a cell add a bias.
        batch_first: input and output are (batch, time, features) instead of (time, batch, features).
        dropout: probability of dropout between layers, while training.
        bidirectional: read the sequence from both ends.
        rpu_config: tile configuration; None is one constant-step device per crosspoint.
        path: place in the model, so that layers with one construction seed get different devices.
        device: None or the CPU.
        dtype: None or float32.
    """

    digital_class: ClassVar[type[nn.RNNBase]]
    linear_class: ClassVar[type[AnalogLinear]] = AnalogLinear
    has_cell_state: ClassVar[bool] = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        rpu_config: RPUConfig | None = None,
        path: str = "",
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        refuse_placement(type(self).__name__, device, dtype)
        make: Any = self.digital_class
        digital = make(
            input_size, hidden_size, num_layers=num_layers, bias=bias, batch_first=batch_first, dropout=dropout,
            bidirectional=bidirectional, **options,
        )  # fmt: skip
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, int(digital.proj_size)
        for suffix in self.suffixes():
            for part in ("ih", "hh", "hr")[: 3 if self.proj_size else 2]:
                weight = getattr(digital, f"weight_{part}{suffix}")
                name = f"{part}{suffix}"
                place = f"{path}.{name}"
                linear = self.linear_class(weight.shape[1], weight.shape[0], bias and part != "hr", rpu_config, place)
                linear.set_weights(weight, getattr(digital, f"bias_{name}") if bias and part != "hr" else None)
                self.add_module(name, linear)

    # --- parts ------------------------------------------------------------------------------------------------------

    def suffixes(self) -> Iterator[str]:
        """``_l0``, ``_l0_reverse``, ``_l1``, ... as torch names its weights."""
        for layer in range(self.num_layers):
            yield f"_l{layer}"
            if self.bidirectional:
                yield f"_l{layer}_reverse"

    def __getattr__(self, name: str) -> Any:
        kind, _, suffix = name.partition("_l")
        if kind in _PARTS and suffix:
            linear = self.__dict__.get("_modules", {}).get(f"{_PARTS[kind]}_l{suffix}")
            if linear is not None:
                return getattr(linear, kind.partition("_")[0])
        return super().__getattr__(name)

    def _part(self, part: str, suffix: str) -> AnalogLinear:
        # Straight from the dictionary: this is asked for at every time step.
        return self._modules[part + suffix]  # type: ignore[return-value]

    def tiles(self) -> list[AnalogTile]:
        """The tiles of this layer."""
        return [tile for tile in self.modules() if isinstance(tile, AnalogTile)]

    @property
    def rpu_config(self) -> RPUConfig:
        """Configuration of the tiles."""
        first: AnalogLinear = self.ih_l0
        return first.rpu_config

    def reset_parameters(self) -> None:
        """New random weights and biases, as the torch counterpart draws them."""
        twin = self.empty_twin()
        for suffix in self.suffixes():
            for part in ("ih", "hh", "hr")[: 3 if self.proj_size else 2]:
                bias = getattr(twin, f"bias_{part}{suffix}") if self.bias and part != "hr" else None
                self._part(part, suffix).set_weights(getattr(twin, f"weight_{part}{suffix}"), bias)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients, and what tiles recorded since the last step."""
        super().zero_grad(set_to_none)
        forget_records(self)

    def flatten_parameters(self) -> None:
        """Accepted for torch's sake; there is nothing to flatten."""

    # --- sequences --------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor | PackedSequence, state: Any = None) -> tuple[Any, Any]:
        """Run a sequence.

        Args:
            x: (time, batch, features), (batch, time, features) with ``batch_first``, (time, features) without a
                batch, or a packed sequence.
            state: initial state (layers * directions, batch, features), for an LSTM a pair of them; None is zero.

        Returns:
            output in the form of ``x``, and the last state in the form of ``state``.
        """
        if isinstance(x, PackedSequence):
            return self._run_packed(x, state)
        if x.dim() not in (2, 3):
            raise ValueError(f"{type(self).__name__} takes a sequence of 2 or 3 dimensions, found {tuple(x.shape)}")
        batched = x.dim() == 3
        if not batched:
            x = x[:, None]
            state = self._each(state, lambda s: s[:, None])
        elif self.batch_first:
            x = x.transpose(0, 1)
        steps, batch = x.shape[:2]
        if steps == 0:
            raise ValueError(f"{type(self).__name__} takes sequences of at least one step")
        output, last = self._run(x.flatten(0, 1), [batch] * steps, self._checked(state, batch))
        output = output.view(steps, batch, output.shape[-1])
        if not batched:
            return output[:, 0], self._each(last, lambda s: s[:, 0])
        return (output.transpose(0, 1) if self.batch_first else output), last

    def _run_packed(self, x: PackedSequence, state: Any) -> tuple[PackedSequence, Any]:
        sizes = x.batch_sizes.tolist()
        state = self._checked(state, sizes[0])
        if x.sorted_indices is not None:
            state = self._each(state, lambda s: s.index_select(1, x.sorted_indices))
        data, last = self._run(x.data, sizes, state)
        if x.unsorted_indices is not None:
            last = self._each(last, lambda s: s.index_select(1, x.unsorted_indices))
        return PackedSequence(data, x.batch_sizes, x.sorted_indices, x.unsorted_indices), last

    def _each(self, state: Any, change: Any) -> Any:
        if state is None:
            return None
        return tuple(change(s) for s in state) if self.has_cell_state else change(state)

    def _checked(self, state: Any, batch: int) -> Any:
        """The initial state, zero when there is none."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        shapes = [(count, batch, self.proj_size or self.hidden_size), (count, batch, self.hidden_size)]
        if state is None:
            device = next(self.parameters()).device
            zeros = tuple(torch.zeros(shape, device=device) for shape in shapes)
            return zeros if self.has_cell_state else zeros[0]
        given = list(state) if self.has_cell_state else [state]
        if len(given) != (2 if self.has_cell_state else 1):
            raise ValueError(f"{type(self).__name__} takes a pair of initial states, found {len(given)}")
        for shape, value in zip(shapes, given, strict=False):
            if tuple(value.shape) != shape:
                raise ValueError(f"an initial state must have shape {shape}, found {tuple(value.shape)}")
        return state

    def _run(self, data: Tensor, sizes: Sequence[int], state: Any) -> tuple[Tensor, Any]:
        """All layers over packed data: the rows of each step below each other, ``sizes[t]`` at step t."""
        if data.shape[1] != self.input_size:
            raise ValueError(f"{type(self).__name__} takes {self.input_size} features, found {data.shape[1]}")
        finals = []
        suffixes = list(self.suffixes())
        directions = 2 if self.bidirectional else 1
        for layer in range(self.num_layers):
            outputs = []
            for index in range(layer * directions, (layer + 1) * directions):
                start = self._each(state, lambda s, index=index: s[index])
                output, final = self._direction(data, sizes, start, suffixes[index])
                outputs.append(output)
                finals.append(final)
            data = outputs[0] if directions == 1 else torch.cat(outputs, dim=1)
            if self.dropout > 0 and layer + 1 < self.num_layers:
                data = F.dropout(data, self.dropout, self.training)
        if self.has_cell_state:
            return data, tuple(torch.stack(part) for part in zip(*finals, strict=True))
        return data, torch.stack(finals)

    def _direction(self, data: Tensor, sizes: Sequence[int], start: Any, suffix: str) -> tuple[Tensor, Any]:
        """One layer in one direction. Sequences are sorted by length: the rows of step t are the first ``sizes[t]``."""
        steps = self._part("ih", suffix)(data).split(list(sizes))
        backward = suffix.endswith("_reverse")
        outputs: list[Tensor] = []
        ended: list[Any] = []
        state = self._each(start, lambda s: s[: sizes[-1] if backward else sizes[0]])
        for t in reversed(range(len(sizes))) if backward else range(len(sizes)):
            held = self._rows(state)
            if held < sizes[t]:  # shorter sequences enter at their last step
                more = self._each(start, lambda s, t=t, held=held: s[held : sizes[t]])
                state = self._joined([state, more])
            elif held > sizes[t]:
                ended.insert(0, self._each(state, lambda s, t=t: s[sizes[t] :]))
                state = self._each(state, lambda s, t=t: s[: sizes[t]])
            state = self._cell(steps[t], state, suffix)
            outputs.append(state[0] if self.has_cell_state else state)
        if backward:
            outputs.reverse()
        return torch.cat(outputs), self._joined([state, *ended])

    def _rows(self, state: Any) -> int:
        first: Tensor = state[0] if self.has_cell_state else state
        return first.shape[0]

    def _joined(self, parts: list[Any]) -> Any:
        if len(parts) == 1:
            return parts[0]
        return tuple(map(torch.cat, zip(*parts, strict=True))) if self.has_cell_state else torch.cat(parts)

    def _cell(self, x: Tensor, state: Any, suffix: str) -> Any:
        """The next state from the input product (batch, gates * hidden) and the state (batch, hidden)."""
        raise NotImplementedError

    # --- digital ----------------------------------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        return {}

    def empty_twin(self) -> nn.RNNBase:
        """A digital layer of this shape."""
        make: Any = self.digital_class
        twin: nn.RNNBase = make(
            self.input_size, self.hidden_size, num_layers=self.num_layers, bias=self.bias,
            batch_first=self.batch_first, dropout=self.dropout, bidirectional=self.bidirectional, **self._options(),
        )  # fmt: skip
        return twin

    def extra_repr(self) -> str:
        """Sizes and options."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        plain = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        parts += [f"{name}={getattr(self, name)}" for name, usual in plain.items() if getattr(self, name) != usual]
        return ", ".join([*parts, *(f"{name}={value!r}" for name, value in self._options().items())])


class AnalogRNN(AnalogRecurrent):
    """``nn.RNN`` on analog tiles: ``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``; see :class:`AnalogRecurrent`.

    ``nonlinearity`` is "tanh" or "relu".
    """

    digital_class = nn.RNN

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", *args: Any, **kw: Any
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, *args, nonlinearity=nonlinearity, **kw)
        self.nonlinearity = nonlinearity

    def _options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}

    def _cell(self, x: Tensor, state: Tensor, suffix: str) -> Tensor:
        total = x + self._part("hh", suffix)(state)
        return torch.tanh(total) if self.nonlinearity == "tanh" else torch.relu(total)


class AnalogLSTM(AnalogRecurrent):
    """``nn.LSTM`` on analog tiles; see :class:`AnalogRecurrent`.

    Gates are input, forget, cell, output: ``c = f c + i g``, ``h = o tanh(c)``. With ``proj_size`` the output is
    ``W_hr h``, a third tile.
    """

    digital_class = nn.LSTM
    has_cell_state = True

    def _options(self) -> dict[str, Any]:
        return {"proj_size": self.proj_size} if self.proj_size else {}

    def _cell(self, x: Tensor, state: tuple[Tensor, Tensor], suffix: str) -> tuple[Tensor, Tensor]:
        h, c = state
        gate_in, gate_forget, cell, gate_out = (x + self._part("hh", suffix)(h)).chunk(4, dim=1)
        c = torch.sigmoid(gate_forget) * c + torch.sigmoid(gate_in) * torch.tanh(cell)
        h = torch.sigmoid(gate_out) * torch.tanh(c)
        return (self._part("hr", suffix)(h) if self.proj_size else h), c


class AnalogGRU(AnalogRecurrent):
    """``nn.GRU`` on analog tiles; see :class:`AnalogRecurrent`.

    Gates are reset, update, new: ``n = tanh(i_n + r h_n)``, ``h = n + z (h - n)``.
    """

    digital_class = nn.GRU

    def _cell(self, x: Tensor, state: Tensor, suffix: str) -> Tensor:
        x_reset, x_update, x_new = x.chunk(3, dim=1)
        h_reset, h_update, h_new = self._part("hh", suffix)(state).chunk(3, dim=1)
        new = torch.tanh(x_new + torch.sigmoid(x_reset + h_reset) * h_new)
        return new + torch.sigmoid(x_update + h_update) * (state - new)


class AnalogRNNMapped(AnalogRNN):
    """:class:`AnalogRNN` that always sits on tile arrays."""

    linear_class = AnalogLinearMapped


class AnalogLSTMMapped(AnalogLSTM):
    """:class:`AnalogLSTM` that always sits on tile arrays."""

    linear_class = AnalogLinearMapped


class AnalogGRUMapped(AnalogGRU):
    """:class:`AnalogGRU` that always sits on tile arrays."""

    linear_class = AnalogLinearMapped
