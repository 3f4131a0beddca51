"""``fit_measurements``: fit a device to pulse responses, from arrays, in one call."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.devices import trace_pulses
from tilewright.devices.pulsed import PulsedDevice
from tilewright.fitting.objective import Cancelled, Objective, Progress, Samples, Trace, Watch, minimise
from tilewright.fitting.result import FitError
from tilewright.fitting.specification import build_parameters, set_fields, silenced

METHODS = (
    "powell", "leastsq", "least_squares", "nelder", "differential_evolution", "lbfgsb", "cg", "cobyla", "bfgs", "tnc",
    "slsqp", "trust-constr", "basinhopping", "ampgo", "brute", "dual_annealing", "shgo",
)  # fmt: skip


def fit_measurements(
    parameters: Any,
    pulse_data: Any,
    response_data: Any,
    device_config: Any,
    suppress_device_noise: bool = True,
    max_pulses: int | None = 1,
    n_traces: int = 1,
    fit_weights: Any = None,
    method: str = "powell",
    verbose: bool = False,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    **fit_kwargs: Any,
) -> tuple[Any, Any, Any]:
    """Fit parameters of a device to measured pulse responses.

    Every record starts at its first sample, clipped to the bounds of the device. :func:`tilewright.fitting.fit_device`
    gives standard errors and fits the start as well.

    Args:
        parameters: field name to ``(init, min, max)``, to a value that is set but not varied, or to a dictionary
            with ``value``, ``min``, ``max``, ``vary``, ``expr``; or ``lmfit.Parameters``.
        pulse_data: (N,) or (N, devices) signed pulse counts, or a tuple of such arrays, one per record.
        response_data: of the same shapes; row k is the state before pulse k, so the last pulse is not used.
        device_config: a pulsed device, or a tile configuration whose ``device`` is one. It is copied, not changed.
        suppress_device_noise: set every field whose name ends in ``dtod`` or ``std`` to 0 in the copy.
        max_pulses: largest count in one entry of ``pulse_data``; None for no limit.
        n_traces: simulated devices to average, when noise is not suppressed.
        fit_weights: factor of the deviations, one entry or a tuple with one per record: a number, (devices,) or the
            shape of the response.
        method: an lmfit method.
        verbose: print the standard deviation of every evaluation.
        progress: told (evaluation, best rms, best values) while the fit runs.
        cancelled: asked at every evaluation; True stops the fit with :class:`FitCancelled`.
        fit_kwargs: passed on to ``lmfit.minimize``.

    Returns:
        (lmfit ``MinimizerResult``, fitted copy of ``device_config``, best model response in the shape of the response:
        an array, or a list of arrays when tuples were given).

    Raises:
        FitError: parameters, shapes, pulses or method that cannot be used; says which and why.
        FitCancelled: stopped by ``cancelled``.
    """
    if method not in METHODS:
        raise FitError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if n_traces < 1:
        raise FitError(f"n_traces must be at least 1, found {n_traces}")
    fitted = copy.deepcopy(device_config)
    device = _device_of(fitted)
    if suppress_device_noise:
        device = silenced(device)
    pulses, responses, several = _paired(pulse_data, response_data)
    weights = _weights(fit_weights, responses, several)
    kind = _quiet_trace if suppress_device_noise else _noisy_trace(n_traces)
    traces = [
        kind(p[:, j], r[:, j], w[:, j])
        for p, r, w in zip((_checked(p, max_pulses) for p in pulses), responses, weights, strict=True)
        for j in range(r.shape[1])
    ]
    varied, settings = build_parameters(parameters, device)
    set_fields(device, settings)
    watch = Watch(progress, cancelled)
    objective = Objective(device, traces, [float(trace.response[0]) for trace in traces], watch)

    def evaluate(current: Any) -> Samples:
        residual = objective(current)
        if verbose:
            print(f"{watch.evaluations}: {np.std(residual):.6g}")
        return residual

    result = minimise(evaluate, varied, method=method, **fit_kwargs)
    models = objective.model({name: float(item.value) for name, item in result.params.items()})
    best = []
    for response, given in zip(responses, response_data if several else (response_data,), strict=True):
        columns, models = models[: response.shape[1]], models[response.shape[1] :]
        best.append(np.stack(columns, axis=1).reshape(np.shape(given)))
    return result, _with_device(fitted, device), best if several else best[0]


def _device_of(config: Any) -> PulsedDevice:
    device = config if isinstance(config, PulsedDevice) else getattr(config, "device", None)
    if not isinstance(device, PulsedDevice):
        raise FitError(
            f"expected a pulsed device or a configuration that holds one, found {type(config).__name__}; "
            "give for example SoftBoundsReferenceDevice()"
        )
    return device


def _with_device(config: Any, device: PulsedDevice) -> Any:
    if isinstance(config, PulsedDevice):
        return device
    config.device = device
    return config


def _paired(pulse_data: Any, response_data: Any) -> tuple[list[NDArray[Any]], list[Samples], bool]:
    several = _is_records(response_data)
    if _is_records(pulse_data) != several:
        raise FitError("pulses and responses must both be tuples (one array per record) or both be arrays")
    pulse_list, response_list = (pulse_data, response_data) if several else ((pulse_data,), (response_data,))
    if len(pulse_list) != len(response_list) or not len(pulse_list):
        raise FitError(f"{len(pulse_list)} pulse arrays for {len(response_list)} responses")
    pulses, responses = [], []
    for number, (p, r) in enumerate(zip(pulse_list, response_list, strict=True), start=1):
        where = f"record {number}: " if several else ""
        pulse, response = np.asarray(p), np.asarray(r, dtype=np.float64)
        if response.ndim not in (1, 2) or pulse.ndim not in (1, 2) or pulse.shape[0] != response.shape[0]:
            raise FitError(
                f"{where}expected as many pulses as samples, (N,) or (N, devices); "
                f"found {pulse.shape} and {response.shape}"
            )
        if response.shape[0] < 2:
            raise FitError(f"{where}a fit needs at least 2 samples")
        if not np.all(np.isfinite(response)):
            raise FitError(f"{where}the response holds values that are not finite")
        response = response.reshape(len(response), -1)
        pulse = pulse.reshape(len(pulse), -1)
        if pulse.shape[1] == 1:
            pulse = np.broadcast_to(pulse, response.shape)
        if pulse.shape != response.shape:
            raise FitError(f"{where}{pulse.shape[1]} pulse columns for {response.shape[1]} devices")
        pulses.append(pulse)
        responses.append(response)
    return pulses, responses, several


def _is_records(data: Any) -> bool:
    return isinstance(data, tuple) and (len(data) == 0 or np.ndim(data[0]) > 0)


def _checked(pulses: NDArray[Any], max_pulses: int | None) -> NDArray[np.int8]:
    values = np.asarray(pulses, dtype=np.float64)
    if not np.all(values == np.round(values)) or np.any(np.abs(values) > 127):
        raise FitError("pulses must be whole numbers of at most 127 per entry")
    if max_pulses is not None and np.any(np.abs(values) > max_pulses):
        raise FitError(f"an entry holds {int(np.abs(values).max())} pulses; max_pulses allows {max_pulses}")
    return np.asarray(values, dtype=np.int8)


def _weights(fit_weights: Any, responses: list[Samples], several: bool) -> list[Samples]:
    entries = fit_weights if isinstance(fit_weights, tuple) else (fit_weights,) * len(responses)
    if len(entries) != len(responses):
        raise FitError(f"{len(entries)} fit weights for {len(responses)} records")
    made = []
    for entry, response in zip(entries, responses, strict=True):
        factor = np.asarray(1.0 if entry is None else entry, dtype=np.float64)
        if factor.ndim == 1 and factor.shape[0] == response.shape[0] != response.shape[1]:
            factor = factor[:, None]
        try:
            made.append(np.broadcast_to(factor, response.shape))
        except ValueError:
            raise FitError(
                f"fit weights of shape {factor.shape} do not fit a response of shape {response.shape}"
            ) from None
    return made


def _quiet_trace(pulses: NDArray[np.int8], response: Samples, weight: Samples) -> Trace:
    return Trace(np.ascontiguousarray(pulses), np.ascontiguousarray(response), weight)


def _noisy_trace(n_traces: int) -> Any:
    """Traces that average simulated noisy devices, with the same random numbers at every evaluation."""

    class NoisyTrace(Trace):
        def simulate(self, device: PulsedDevice, start: float) -> Samples:
            drawn = trace_pulses(device, self.pulses[:-1], n_traces=n_traces, seed=1, w0=start)
            return np.asarray(drawn.mean(axis=1), dtype=np.float64)

    return lambda pulses, response, weight: NoisyTrace(
        np.ascontiguousarray(pulses), np.ascontiguousarray(response), weight
    )
