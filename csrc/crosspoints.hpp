// Eight neighbouring crosspoints of an array at a time, brought into registers and shown again.
#pragma once
#include "devices.hpp"
#include "wide.hpp"

namespace tilewright::TW_ISA {
namespace {

TW_INLINE f8 plane_at(const Plane& p, int64_t index, int64_t lanes) {
    return p.uniform ? splat(*p.data) : load_first(p.data + index, lanes);
}

// The values of a parameter at eight neighbouring crosspoints.
struct NeighboursAt {
    int64_t index, lanes;
    TW_INLINE f8 operator()(const Plane& p) const { return plane_at(p, index, lanes); }
};

// Eight neighbouring crosspoints of an array.
template <class Device>
TW_INLINE Crosspoints<f8> load_crosspoints(const DeviceArgs& a, int64_t index, int64_t lanes) {
    const f8 state = load_first((a.persistent ? a.persistent : a.visible) + index, lanes);
    return crosspoints_of<Device>(a, state, NeighboursAt{index, lanes});
}

TW_INLINE Crosspoints<f16> joined(const Crosspoints<f8>& a, const Crosspoints<f8>& b) {
    return {joined(a.state, b.state),           joined(a.up, b.up),
            joined(a.down, b.down),             joined(a.max_bound, b.max_bound),
            joined(a.min_bound, b.min_bound),   joined(a.slope_up, b.slope_up),
            joined(a.slope_down, b.slope_down), joined(a.inverse_range, b.inverse_range)};
}

// The weight the network sees: state less reference, plus fresh write noise where the mask says so.
template <class Noise>
TW_INLINE f8 visible_weight(const DeviceArgs& a, f8 state, int64_t index, int64_t lanes, uint32_t mask, Noise& noise) {
    f8 w = state;
    if (a.reference.data) w = w - plane_at(a.reference, index, lanes);
    if (a.write_noise > 0) w = w + a.write_noise * noise.take(mask);
    return w;
}

}  // namespace
}  // namespace tilewright::TW_ISA
