from collections.abc import Sequence

from torch import Tensor

# Types of the compiled module. Addresses and sizes in, nothing owned; use it through tilewright.kernels.

class StepShape:
    def __init__(
        self,
        *,
        slope: float = 0,
        offset: float = 0,
        amplitude_up: float = 0,
        amplitude_down: float = 0,
        rate_up: float = 0,
        rate_down: float = 0,
        noise_add: float = 0,
        noise_slope: float = 0,
        nodes: Sequence[float] = ...,
        jumps: Sequence[float] = ...,
        n_scores: int = 0,
        score_span: float = 1,
    ) -> None: ...

class DeviceModel:
    def __init__(
        self, *, kind: int, mult_noise: bool, cycle_noise: float, write_noise: float, shape: StepShape
    ) -> None: ...
    def tables(self) -> tuple[list[float], list[float]]: ...

class UpdateSettings:
    raise_only: bool
    def __init__(
        self,
        *,
        granularity: float,
        desired_bl: int,
        fixed_bl: bool,
        length_management: bool,
        balance: bool,
        um_grad_scale: float,
        res: float,
        x_res: float,
        d_res: float,
        sto_round: bool,
        kind: int,
    ) -> None: ...

class UpdateStats:
    pulses: int
    truncated: int
    empty: int
    slots: int

class ArrayProgress:
    """Where an array stands in its random numbers, and what its updates have sent so far."""

    calls: int
    samples: int
    pulses: int
    truncated: int
    empty: int
    slots: int
    def __init__(
        self, calls: int = 0, samples: int = 0, pulses: int = 0, truncated: int = 0, empty: int = 0, slots: int = 0
    ) -> None: ...
    def took(self, stats: UpdateStats, vectors: int) -> None: ...

class Updates:
    def __init__(
        self,
        model: DeviceModel,
        settings: UpdateSettings,
        tensors: dict[str, Tensor | None],
        names: tuple[str, ...],
        rows: int,
        cols: int,
        seed: int,
        progress: ArrayProgress,
    ) -> None: ...
    def step(self, visible: Tensor, x: Tensor, d: Tensor, lr: float, threads: int) -> int: ...
    def step_parameter(self, parameter: Tensor, x: Tensor, d: Tensor, lr: object, threads: int) -> int: ...
    def retire(self) -> None: ...

class Snapshots:
    def __init__(
        self,
        count: int = 0,
        line: int = 0,
        after: int = 0,
        out: int = 0,
        rows: bool = False,
        reset_state: int = 0,
        reset_visible: int = 0,
    ) -> None: ...

class ReadSettings:
    inp_bound: float
    dac_step: float
    inp_noise: float
    inp_asymmetry: float
    inp_sto_round: bool
    out_bound: float
    adc_step: float
    out_noise: float
    out_scale: float
    out_asymmetry: float
    out_sto_round: bool
    nonlinearity_gain: float
    nm_thres: float
    nm_assumed_wmax: float
    nm_decay: float
    zero_silent: bool
    max_bm_factor: float
    max_bm_res: float
    test_negative_bound: bool
    w_noise: float
    ir_drop: float
    ir_drop_g_ratio: float
    ir_drop_first: bool
    v_offset_w_min: float
    r_series: float
    r_series_cap: float
    def set_kinds(self, mode: int, noise_management: int, bound_management: int, weight_noise: int) -> None: ...

class ProductStats:
    passes: int
    clipped_outputs: int
    clipped_inputs: int
    saturated_outputs: int
    lost_inputs: int

class Reads:
    def __init__(
        self, io: ReadSettings, rows: int, cols: int, transposed: bool, seed: int, keep_saturated: bool
    ) -> None: ...
    def freeze(self, values: tuple[int, ...]) -> None: ...
    def run(
        self, weight: int, x: int, y: int, samples: int, first_sample: int, threads: int, learn_average: bool
    ) -> int: ...
    def product(
        self, weight: Tensor, x: Tensor, y: Tensor, first_sample: int, threads: int, learn_average: bool
    ) -> int: ...
    def observe(
        self,
        weight: int,
        x: int,
        y: int,
        samples: int,
        first_sample: int,
        threads: int,
        per_sample: tuple[int, ...],
    ) -> ProductStats: ...
    def copy_saturated(self, out: int) -> None: ...
    @property
    def stats(self) -> ProductStats: ...
    @property
    def passes(self) -> int: ...

class TransferPlan:
    def __init__(
        self,
        *,
        columns: bool,
        auto_scale: bool,
        auto_momentum: float,
        largest_step: float,
        in_chop_prob: float,
        out_chop_prob: float,
        in_chop_random: bool,
        dynamic: bool,
    ) -> None: ...

class BufferedTransfers:
    def __init__(
        self,
        *,
        plan: TransferPlan,
        chopped: bool,
        rows: int,
        cols: int,
        fast: DeviceModel,
        slow: DeviceModel,
        fast_settings: UpdateSettings,
        slow_settings: UpdateSettings,
        slow_lr: float,
        io: ReadSettings,
        read_input: float,
        momentum: float,
        forget: bool,
        restart: bool,
        max_pulses: int,
        cap: float,
        mean_rate: float,
    ) -> None: ...
    def bind(
        self, fast: tuple[int, ...], fast_counts: int, slow: tuple[int, ...], slow_counts: int, state: list[int]
    ) -> None: ...
    def run(
        self,
        x: int,
        d: int,
        samples: int,
        batch: int,
        period: int,
        lr: float,
        gain: tuple[float, float, float],
        seed: int,
        fast: tuple[int, int, int],
        slow: tuple[int, int, int],
        threads: int,
    ) -> tuple[UpdateStats, UpdateStats, int]: ...

class LineTransfers:
    def __init__(
        self,
        *,
        columns: bool,
        rows: int,
        cols: int,
        fast: DeviceModel,
        slow: DeviceModel,
        fast_settings: UpdateSettings,
        slow_settings: UpdateSettings,
        io: ReadSettings,
        read_input: float,
    ) -> None: ...
    def bind(self, fast: tuple[int, ...], fast_counts: int, slow: tuple[int, ...], slow_counts: int) -> None: ...
    def run(
        self,
        x: int,
        d: int,
        samples: int,
        lr: float,
        line: int,
        events: int,
        slow_lr: float,
        read_seed: int,
        first_read: int,
        fast: tuple[int, int, int],
        slow: tuple[int, int, int],
        threads: int,
    ) -> tuple[UpdateStats, UpdateStats]: ...

def read_tensors_through(interface: object) -> None: ...
def samples_of(x: Tensor, inputs: int, d: Tensor, outputs: int) -> int: ...
def instruction_sets() -> list[str]: ...
def instruction_set() -> str: ...
def compiler() -> str: ...
def openmp() -> bool: ...
def mix(a: int, b: int) -> int: ...
def update(
    model: DeviceModel,
    arrays: tuple[int, ...],
    rows: int,
    cols: int,
    settings: UpdateSettings,
    x: int,
    x_hot: bool,
    d: int,
    d_hot: bool,
    samples: int,
    lr: int,
    lr_uniform: bool,
    seed: int,
    first_sample: int,
    call: int,
    threads: int,
    snapshots: Snapshots,
    counts: int,
) -> UpdateStats: ...
def trace(
    model: DeviceModel,
    arrays: tuple[int, ...],
    devices: int,
    pulses: int,
    n_pulses: int,
    out: int,
    seed: int,
    first: int,
    threads: int,
) -> None: ...
def whiten(
    damping: int,
    kick_variance: int,
    slow_memory: float,
    slow_variance: float,
    white_variance: float,
    n: int,
    values: int,
    out: int,
    columns: int,
) -> float: ...
def nominal_response(
    kind: int,
    shape: StepShape,
    up: float,
    down: float,
    max_bound: float,
    min_bound: float,
    slope_up: float,
    slope_down: float,
    pulses: int,
    n: int,
    start: float,
    out: int,
) -> None: ...
def scaled_rates(
    settings: TransferPlan,
    x: int,
    d: int,
    samples: int,
    inputs: int,
    outputs: int,
    lr: float,
    maxima: int,
    rates: int,
) -> None: ...
def refresh_pair(
    members: tuple[tuple[object, ...], tuple[object, ...]],
    rows: int,
    cols: int,
    upper: float,
    lower: float,
    chosen: int,
    threads: int,
) -> tuple[int, list[int], list[UpdateStats]]: ...
def buffer(
    io: ReadSettings,
    read_input: float,
    events: int,
    length: int,
    lines: int,
    line: int,
    buffer: int,
    line_stride: int,
    element_stride: int,
    gain: int,
    momentum: float,
    forget: bool,
    max_pulses: int,
    cap: float,
    pulses: int,
    sent_event: int,
    seed: int,
    first_event: int,
) -> int: ...
def read_lines(
    io: ReadSettings,
    read_input: float,
    events: int,
    length: int,
    lines: int,
    out: int,
    seed: int,
    first_event: int,
) -> None: ...
def follow(
    io: ReadSettings,
    read_input: float,
    events: int,
    length: int,
    lines: int,
    line: int,
    mean: int,
    mean_rate: float,
    line_stride: int,
    element_stride: int,
    frozen: int,
    threshold: float,
    out: int,
    seed: int,
    first_event: int,
) -> None: ...
def accumulate(
    accumulator: int, rows: int, cols: int, x: int, d: int, samples: int, lr: float, threads: int
) -> None: ...
def carry(
    accumulator: int, cols: int, rows: int, n_rows: int, step: float, most_steps: float, steps: int, sent_row: int
) -> int: ...
def normals(out: int, rows: int, n: int, seed: int, counter: int, uniform: bool) -> None: ...
def rate(kind: int, buffer: int, n: int) -> float: ...
