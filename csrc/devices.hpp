// The step of each device model, written once for vectors of crosspoints, for single ones on a graphics processor, and in
// double precision. kSums says that steps do not depend on the weight, so that many may be taken as their sum; kCostly that a
// step takes many times longer to compute than to add.
#pragma once
#include "elementary.hpp"
#include "kernel_table.hpp"

namespace tilewright::TW_ISA {
namespace {

#if !defined(__CUDACC__)
// The same operations on one number in double precision, for the nominal response.
TW_INLINE double blend(bool mask, double yes, double no) { return mask ? yes : no; }
TW_INLINE double minimum(double a, double b) { return a < b ? a : b; }
TW_INLINE double maximum(double a, double b) { return a > b ? a : b; }
TW_INLINE double magnitude(double v) { return __builtin_fabs(v); }
TW_INLINE double binary_power(double v) { return __builtin_exp2(v); }
TW_INLINE double power(double base, double exponent) { return __builtin_pow(base, exponent); }
TW_INLINE double gather(const double* table, double index) { return table[(int)index]; }
TW_INLINE double whole_part(double v) { return __builtin_floor(v); }
#endif

// State and parameters of one crosspoint (V = float or double) or eight (V = f8). The slopes of a power step are its exponents.
template <class V>
struct Crosspoints {
    V state, up, down, max_bound, min_bound, slope_up, slope_down, inverse_range;
};

// Steps down as negative ones: a change of sign passes through every step to the last bit, and as a parameter it costs nothing.
template <class V>
TW_INLINE Crosspoints<V> downward(Crosspoints<V> c) {
    c.down = -c.down;
    return c;
}

// Moves the state by a step and clips it to the bounds.
template <class Device, bool Mult, class V, class M, class S>
TW_INLINE V pulse(const Crosspoints<V>& c, M up, V noise, const StepShape<S>& shape) {
    const V change = Device::template noisy_size<Mult>(downward(c), up, noise, shape);
    return minimum(maximum(c.state + change, c.min_bound), c.max_bound);
}
template <class Device, class V, class M, class S>
TW_INLINE V quiet_pulse(const Crosspoints<V>& c, M up, const StepShape<S>& shape) {
    const V change = Device::size(downward(c), up, shape);
    return minimum(maximum(c.state + change, c.min_bound), c.max_bound);
}

// Constant step: s (1 + sigma xi).
struct ConstantStep {
    static constexpr bool kSlope = false, kRange = false, kSums = true, kCostly = false;
    template <class V, class M, class S>
    static TW_INLINE V size(const Crosspoints<V>& c, M up, const StepShape<S>&) {
        return blend(up, c.up, c.down);
    }
    template <bool Mult, class V, class M, class S>
    static TW_INLINE V noisy_size(const Crosspoints<V>& c, M up, V noise, const StepShape<S>& shape) {
        const V s = size(c, up, shape);
        return s + s * noise;
    }
};

// Step linear in the weight: s (1 - k w), soft bounds being k = 1 / bound. Cycle noise multiplies the current step
// (Mult) or adds in units of the step at weight 0.
struct LinearStep {
    static constexpr bool kSlope = true, kRange = false, kSums = false, kCostly = false;
    template <class V, class M, class S>
    static TW_INLINE V size(const Crosspoints<V>& c, M up, const StepShape<S>&) {
        const V s = blend(up, c.up, c.down), k = blend(up, c.slope_up, c.slope_down);
        return s - s * (k * c.state);
    }
    template <bool Mult, class V, class M, class S>
    static TW_INLINE V noisy_size(const Crosspoints<V>& c, M up, V noise, const StepShape<S>& shape) {
        const V now = size(c, up, shape);
        return now + (Mult ? now : blend(up, c.up, c.down)) * noise;
    }
};

// Exponential step: s max(0, 1 - A exp(+-gamma z)) with z linear in the weight. Cycle noise multiplies the step (Mult), or
// follows it, plus a constant and a part in proportion to the weight.
struct ExpStep {
    static constexpr bool kSlope = false, kRange = true, kSums = false, kCostly = true;
    template <class V, class M, class S>
    static TW_INLINE V size(const Crosspoints<V>& c, M up, const StepShape<S>& h) {
        const V none = V{};
        const V z = c.inverse_range * h.slope * c.state + h.offset;
        const S log2_e = S(1.4426950408889634);
        const V rate = blend(up, none + h.rate_up * log2_e, none - h.rate_down * log2_e);
        const V amplitude = blend(up, none + h.amplitude_up, none + h.amplitude_down);
        const V relative = maximum(1 - amplitude * binary_power(rate * z), none);
        return blend(up, c.up, c.down) * relative;
    }
    template <bool Mult, class V, class M, class S>
    static TW_INLINE V noisy_size(const Crosspoints<V>& c, M up, V noise, const StepShape<S>& h) {
        const V now = size(c, up, h);
        if (Mult) return now + now * noise;
        const V spread = magnitude(now) + (magnitude(c.state) * h.noise_slope + h.noise_add);
        return now + blend(up, spread, -spread) * noise;
    }
};

// Power step: s (distance to the bound ahead / range) ^ gamma.
struct PowStep {
    static constexpr bool kSlope = true, kRange = true, kSums = false, kCostly = true;
    template <class V, class M, class S>
    static TW_INLINE V size(const Crosspoints<V>& c, M up, const StepShape<S>&) {
        const V ahead = blend(up, c.max_bound - c.state, c.state - c.min_bound) * c.inverse_range;
        const V none = V{};
        return blend(up, c.up, c.down) * power(maximum(ahead, none), blend(up, c.slope_up, c.slope_down));
    }
    template <bool Mult, class V, class M, class S>
    static TW_INLINE V noisy_size(const Crosspoints<V>& c, M up, V noise, const StepShape<S>& shape) {
        const V now = size(c, up, shape);
        return now + now * noise;
    }
};

// Tabulated step: s times the table between the two nodes around the weight. With Jumps the noise is a normal score
// that picks the deviation of this jump from a second table.
template <bool Jumps>
struct TableStep {
    static constexpr bool kSlope = false, kRange = true, kSums = false, kCostly = true;
    template <class V>
    struct Place {
        V node, fraction;
    };
    template <class V, class S>
    static TW_INLINE Place<V> place(const Crosspoints<V>& c, const StepShape<S>& h) {
        const V none = V{};
        const V q = minimum(maximum((c.state - c.min_bound) * c.inverse_range * S(h.n_nodes - 1), none), none + S(h.n_nodes - 1));
        const V node = minimum(whole_part(q), none + S(h.n_nodes - 2));
        return {node, q - node};
    }
    template <class V, class M, class S>
    static TW_INLINE V size(const Crosspoints<V>& c, M up, const StepShape<S>& h) {
        const Place<V> p = place(c, h);
        const V none = V{};
        const V first = blend(up, p.node, p.node + S(h.n_nodes)) + none;
        const V low = gather(h.nodes, first), high = gather(h.nodes, first + S(1));
        return blend(up, c.up, c.down) * (low + (high - low) * p.fraction);
    }
    template <bool Mult, class V, class M, class S>
    static TW_INLINE V noisy_size(const Crosspoints<V>& c, M up, V noise, const StepShape<S>& h) {
        const V now = size(c, up, h);
        if (!Jumps) return now + now * noise;
        const Place<V> p = place(c, h);
        const V none = V{};
        const S last = S(h.n_scores - 1);
        const V q = minimum(maximum((noise + h.score_span) * (last / (2 * h.score_span)), none), none + last);
        const V score = minimum(whole_part(q), none + (last - S(1)));
        const V along = q - score;
        const V at = blend(up, p.node, p.node + S(h.n_nodes)) * S(h.n_scores) + score, next = at + S(h.n_scores);
        const V low = gather(h.jumps, at), high = gather(h.jumps, next);
        const V low_more = gather(h.jumps, at + S(1)), high_more = gather(h.jumps, next + S(1));
        const V here = low + (low_more - low) * along, there = high + (high_more - high) * along;
        return now + blend(up, c.up, c.down) * (here + (there - here) * p.fraction);
    }
};

template <class V, class M>
TW_INLINE V inverse_or_zero(V v, M valid) {
    return blend(valid, 1.0f / blend(valid, v, V{} + 1.0f), V{});
}

// State and parameters of crosspoints of an array; at(plane) gives the values of a parameter there.
template <class Device, class V, class At>
TW_INLINE Crosspoints<V> crosspoints_of(const DeviceArgs& a, V state, const At& at) {
    Crosspoints<V> c;
    c.state = state;
    c.up = at(a.up);
    c.down = at(a.down);
    c.max_bound = at(a.max_bound);
    c.min_bound = at(a.min_bound);
    c.slope_up = c.slope_down = V{};
    if (Device::kRange) c.inverse_range = inverse_or_zero(c.max_bound - c.min_bound, c.max_bound > c.min_bound);
    if (Device::kSlope) {
        if (a.kind == DeviceKind::SoftBounds) {  // a bound on the wrong side of zero leaves the step constant
            c.slope_up = inverse_or_zero(c.max_bound, c.max_bound > 0.0f);
            c.slope_down = inverse_or_zero(c.min_bound, c.min_bound < 0.0f);
        } else {
            c.slope_up = at(a.slope_up);
            c.slope_down = at(a.slope_down);
        }
    }
    return c;
}

// The same, of only the direction in which each lane is pulsed next: up where the sign is set. at.either(a, b, sign) gives
// the values of one plane in these lanes, of the other elsewhere.
template <class Device, class V, class U, class At>
TW_INLINE Crosspoints<V> crosspoints_towards(const DeviceArgs& a, V state, U sign, const At& at) {
    Crosspoints<V> c;
    c.state = state;
    c.up = c.down = at.either(a.up, a.down, sign);
    c.max_bound = at(a.max_bound);
    c.min_bound = at(a.min_bound);
    c.slope_up = c.slope_down = V{};
    if (Device::kRange) c.inverse_range = inverse_or_zero(c.max_bound - c.min_bound, c.max_bound > c.min_bound);
    if (Device::kSlope) {
        if (a.kind == DeviceKind::SoftBounds) {
            const auto up = (typename LaneTypes<V>::Whole)sign < 0;
            const V bound = blend(up, c.max_bound, c.min_bound);
            c.slope_up = c.slope_down = inverse_or_zero(bound, (up & (bound > 0.0f)) | (~up & (bound < 0.0f)));
        } else {
            c.slope_up = c.slope_down = at.either(a.slope_up, a.slope_down, sign);
        }
    }
    return c;
}

// Calls body<Device, mult_noise>() for the array's model.
template <class Body>
inline __attribute__((always_inline)) void with_device(const DeviceArgs& a, const Body& body) {
    switch (a.kind) {
        case DeviceKind::ConstantStep: return body.template run<ConstantStep, true>();
        case DeviceKind::ExpStep:
            return a.shape.noise_add != 0 || a.shape.noise_slope != 0 ? body.template run<ExpStep, false>() : body.template run<ExpStep, true>();
        case DeviceKind::PowStep: return body.template run<PowStep, true>();
        case DeviceKind::TableStep:
            return a.shape.n_scores ? body.template run<TableStep<true>, true>() : body.template run<TableStep<false>, true>();
        case DeviceKind::LinearStep:
        case DeviceKind::SoftBounds:
            return a.mult_noise ? body.template run<LinearStep, true>() : body.template run<LinearStep, false>();
    }
}

}  // namespace
}  // namespace tilewright::TW_ISA
