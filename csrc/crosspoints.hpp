// Neighbouring crosspoints of an array, eight or twice eight at a time, brought into registers and shown again.
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

// Two vectors of eight neighbours, wherever they lie; the second one may be missing, and reads as zeros.
template <bool Both>
struct TwiceEight {
    int64_t index[2], lanes[2];
    TW_INLINE f16 load(const float* p) const {
        const f8 first = load_first(p + index[0], lanes[0]);
        if constexpr (Both) return joined(first, load_first(p + index[1], lanes[1]));
        else return joined(first, f8{});
    }
    TW_INLINE void store(float* p, f16 v) const {
        store_first(p + index[0], low(v), lanes[0]);
        if constexpr (Both) store_first(p + index[1], high(v), lanes[1]);
    }
    TW_INLINE f16 operator()(const Plane& p) const { return p.uniform ? splat_wide(*p.data) : load(p.data); }
};

// The weight the network sees: state less reference, plus fresh write noise where the mask says so. `at` gives the values
// of a parameter at these crosspoints.
template <class At, class Noise>
TW_INLINE f16 visible_weight(const DeviceArgs& a, f16 state, const At& at, uint32_t mask, Noise& noise) {
    f16 w = state;
    if (a.reference.data) w = w - at(a.reference);
    if (a.write_noise > 0) w = w + a.write_noise * noise.take_wide(mask);
    return w;
}
template <class Noise>
TW_INLINE f8 visible_weight(const DeviceArgs& a, f8 state, int64_t index, int64_t lanes, uint32_t mask, Noise& noise) {
    f8 w = state;
    if (a.reference.data) w = w - plane_at(a.reference, index, lanes);
    if (a.write_noise > 0) w = w + a.write_noise * noise.take(mask);
    return w;
}

}  // namespace
}  // namespace tilewright::TW_ISA
