// The step of each device model, written once for vectors of crosspoints and for single numbers.
#pragma once
#include "kernel_table.hpp"
#include "vector.hpp"

namespace tilewright::TW_ISA {
namespace {

TW_INLINE double blend(bool mask, double yes, double no) { return mask ? yes : no; }
TW_INLINE double minimum(double a, double b) { return a < b ? a : b; }
TW_INLINE double maximum(double a, double b) { return a > b ? a : b; }

// State and parameters of one crosspoint (V = double) or eight (V = f8).
template <class V>
struct Crosspoints {
    V state, up, down, max_bound, min_bound, slope_up, slope_down;
};

// Constant step: s (1 + sigma xi).
struct ConstantStep {
    static constexpr bool kSlope = false;
    template <bool Mult, class V, class M>
    static TW_INLINE V pulse(const Crosspoints<V>& c, M up, V noise) {
        const V s = blend(up, c.up, c.down);
        const V size = s + s * noise;
        return minimum(maximum(c.state + blend(up, size, -size), c.min_bound), c.max_bound);
    }
    template <bool Mult, class V, class M>
    static TW_INLINE V quiet_pulse(const Crosspoints<V>& c, M up) {
        return minimum(maximum(c.state + blend(up, c.up, -c.down), c.min_bound), c.max_bound);
    }
};

// Step linear in the weight: s (1 - k w), soft bounds being k = 1 / bound. Cycle noise multiplies the current step
// (Mult) or adds in units of the step at weight 0.
struct LinearStep {
    static constexpr bool kSlope = true;
    template <bool Mult, class V, class M>
    static TW_INLINE V pulse(const Crosspoints<V>& c, M up, V noise) {
        const V s = blend(up, c.up, c.down), k = blend(up, c.slope_up, c.slope_down);
        const V now = s - s * (k * c.state);
        const V size = now + (Mult ? now : s) * noise;
        return minimum(maximum(c.state + blend(up, size, -size), c.min_bound), c.max_bound);
    }
    template <bool Mult, class V, class M>
    static TW_INLINE V quiet_pulse(const Crosspoints<V>& c, M up) {
        const V s = blend(up, c.up, c.down), k = blend(up, c.slope_up, c.slope_down);
        const V now = s - s * (k * c.state);
        return minimum(maximum(c.state + blend(up, now, -now), c.min_bound), c.max_bound);
    }
};

TW_INLINE f8 plane_at(const Plane& p, int64_t index, int64_t lanes) {
    return p.uniform ? splat(*p.data) : load_first(p.data + index, lanes);
}
TW_INLINE f8 inverse_or_zero(f8 v, i8 valid) { return blend(valid, 1.0f / blend(valid, v, splat(1.0f)), splat(0.0f)); }

// Eight neighbouring crosspoints of an array.
template <class Device>
TW_INLINE Crosspoints<f8> load_crosspoints(const DeviceArgs& a, int64_t index, int64_t lanes) {
    Crosspoints<f8> c;
    c.state = load_first((a.persistent ? a.persistent : a.visible) + index, lanes);
    c.up = plane_at(a.up, index, lanes);
    c.down = plane_at(a.down, index, lanes);
    c.max_bound = plane_at(a.max_bound, index, lanes);
    c.min_bound = plane_at(a.min_bound, index, lanes);
    c.slope_up = c.slope_down = splat(0.0f);
    if (Device::kSlope) {
        if (a.kind == DeviceKind::SoftBounds) {  // a bound on the wrong side of zero leaves the step constant
            c.slope_up = inverse_or_zero(c.max_bound, c.max_bound > 0.0f);
            c.slope_down = inverse_or_zero(c.min_bound, c.min_bound < 0.0f);
        } else {
            c.slope_up = plane_at(a.slope_up, index, lanes);
            c.slope_down = plane_at(a.slope_down, index, lanes);
        }
    }
    return c;
}

// The weight the network sees: state less reference, plus fresh write noise where the mask says so.
template <class Noise>
TW_INLINE f8 visible_weight(const DeviceArgs& a, f8 state, int64_t index, int64_t lanes, uint32_t mask, Noise& noise) {
    f8 w = state;
    if (a.reference.data) w = w - plane_at(a.reference, index, lanes);
    if (a.write_noise > 0) w = w + a.write_noise * noise.take(mask);
    return w;
}

// Calls body<Device, mult_noise>() for the array's model.
template <class Body>
TW_INLINE void with_device(const DeviceArgs& a, const Body& body) {
    if (a.kind == DeviceKind::ConstantStep) body.template run<ConstantStep, true>();
    else if (a.mult_noise) body.template run<LinearStep, true>();
    else body.template run<LinearStep, false>();
}

}  // namespace
}  // namespace tilewright::TW_ISA
