"""Kernels for graphics processors; see csrc/gpu/bindings.cpp and bindings_transfers.cpp."""

from tilewright._cpu import DeviceModel, ReadSettings, TransferPlan, UpdateSettings

def toolkit() -> str: ...
def architectures() -> str: ...
def devices() -> list[tuple[str, int, int]]: ...
def versions() -> tuple[int, int]: ...
def why_no_device() -> str: ...
def use_device(device: int) -> None: ...
def run_backwards(on: bool) -> None: ...
def field(out: int, rows: int, n: int, seed: int, counter: int, uniform: bool, more: int, stream: int) -> None: ...
def accumulate(
    accumulator: int, rows: int, cols: int, x: int, d: int, samples: int, lr: float, rate: int, stream: int
) -> None: ...
def next_lines(
    counters: int,
    array: int,
    vectors: int,
    lines: int,
    transfers: int,
    reads: int,
    soonest: int,
    period: int,
    line: int,
    after: int,
    first: int,
    stream: int,
) -> None: ...
def read_lines(
    settings: ReadSettings,
    read_input: float,
    events: int,
    length: int,
    lines: int,
    out: int,
    seed: int,
    first_event: int,
    first: int,
    stream: int,
) -> None: ...
def follow(
    settings: ReadSettings,
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
    first: int,
    stream: int,
) -> None: ...
def buffer_memory(events: int, length: int) -> int: ...
def buffer(
    settings: ReadSettings,
    read_input: float,
    events: int,
    length: int,
    lines: int,
    line: int,
    signs: tuple[int, int],
    buffer_at: int,
    line_stride: int,
    element_stride: int,
    gain: int,
    momentum: float,
    forget: bool,
    restart: bool,
    max_pulses: int,
    cap: float,
    relative: tuple[int, int, int, int],
    mean_rate: float,
    pulses: int,
    sent_event: int,
    live: int,
    seed: int,
    first_event: int,
    first: int,
    memory: int,
    stream: int,
) -> None: ...
def plan_transfers(
    plan: TransferPlan,
    x: int,
    d: int,
    samples: int,
    inputs: int,
    outputs: int,
    period: int,
    lr: float,
    rate: int,
    seed: int,
    state: tuple[int, ...],
    results: tuple[int, ...],
    events: int,
    maxima: int,
    before: int,
    stream: int,
) -> None: ...
def carry_memory(rows: int, cols: int) -> int: ...
def carry(
    accumulator: int,
    cols: int,
    rows: int,
    n_rows: int,
    step: float,
    most_steps: float,
    steps: int,
    sent_row: int,
    live: int,
    memory: int,
    stream: int,
) -> None: ...
def advance(clock: int, samples: int, calls: int, live: int, stream: int) -> None: ...
def trace(
    model: DeviceModel,
    arrays: tuple[int, ...],
    tables: tuple[int, int],
    devices: int,
    pulses: int,
    n_pulses: int,
    out: int,
    seed: int,
    first: int,
    stream: int,
) -> None: ...

class Updates:
    def __init__(self, model: DeviceModel, settings: UpdateSettings, rows: int, cols: int) -> None: ...
    def bind(
        self, arrays: tuple[int, ...], tables: tuple[int, int], pulse_counts: int, clock: int, counts: int
    ) -> None: ...
    def grows(self) -> bool: ...
    def memory(self, samples: int, lr: float) -> int: ...
    def run(
        self,
        x: int,
        x_hot: bool,
        d: int,
        d_hot: bool,
        samples: int,
        rates: int,
        one_rate: bool,
        lr: float,
        seed: int,
        snapshots: tuple[int, int, int, int, int],
        events: int,
        snapshot_rows: bool,
        live: int,
        memory: int,
        stream: int,
    ) -> None: ...

class Reads:
    def __init__(self, settings: ReadSettings, rows: int, cols: int, transposed: bool, seed: int) -> None: ...
    def freeze(self, values: tuple[int, ...]) -> None: ...
    def bind(self, clock: int, counts: int) -> None: ...
    def memory(self, samples: int) -> int: ...
    def run(
        self,
        weight: int,
        x: int,
        y: int,
        saturated: int,
        samples: int,
        learn: bool,
        per_sample: tuple[int, int, int],
        memory: int,
        stream: int,
    ) -> None: ...
