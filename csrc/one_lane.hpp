// One lane: plain numbers under the names that vector.hpp has for eight, for kernels whose threads each keep one.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__CUDACC__)
#include <cuda_runtime.h>
#endif

#include "lanes.hpp"

namespace tilewright::TW_ISA {
namespace {

template <class V>
struct LaneTypes;
template <>
struct LaneTypes<float> {
    using Bits = uint32_t;
    using Whole = int32_t;
};
template <>
struct LaneTypes<uint32_t> {
    using Number = float;
};

TW_INLINE uint32_t as_bits(float v) {
#if defined(__CUDA_ARCH__)
    return __float_as_uint(v);
#else
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    return bits;
#endif
}
TW_INLINE float as_float(uint32_t bits) {
#if defined(__CUDA_ARCH__)
    return __uint_as_float(bits);
#else
    float v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
#endif
}
TW_INLINE float to_float(int32_t v) { return (float)v; }
TW_INLINE int32_t to_int(float v) { return (int32_t)v; }

TW_INLINE float blend(bool mask, float yes, float no) { return mask ? yes : no; }
TW_INLINE float minimum(float a, float b) { return a < b ? a : b; }
TW_INLINE float maximum(float a, float b) { return a > b ? a : b; }
TW_INLINE float magnitude(float v) { return as_float(as_bits(v) & 0x7fffffffu); }
TW_INLINE float square_root(float v) { return ::sqrtf(v); }
TW_INLINE float round_even(float v) { return ::rintf(v); }
TW_INLINE float whole_part(float v) { return to_float(to_int(v)); }
TW_INLINE float gather(const float* table, float place) { return table[to_int(place)]; }
TW_INLINE float fused(float a, float b, float c) { return ::fmaf(a, b, c); }

TW_INLINE void multiply_wide(uint32_t a, uint32_t b, uint32_t& high, uint32_t& low) {
    const uint64_t product = (uint64_t)a * b;
    high = (uint32_t)(product >> 32);
    low = (uint32_t)product;
}

// The number of the lane that is `first` places into its line.
template <class U>
TW_INLINE U places(uint32_t first) {
    return first;
}

}  // namespace
}  // namespace tilewright::TW_ISA
