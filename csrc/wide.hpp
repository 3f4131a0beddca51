// Sixteen lanes: one register where the machine has such, two halves of eight elsewhere.
#pragma once
#include <type_traits>

#include "lanes.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kWide = 16;
#if defined(__AVX512F__)
typedef float f16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16 __attribute__((vector_size(64)));

TW_INLINE f16 joined(f8 low, f8 high) { return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
TW_INLINE u16 joined(u8 low, u8 high) { return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
TW_INLINE f8 low(f16 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
TW_INLINE f8 high(f16 v) { return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }
TW_INLINE u8 low(u16 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
TW_INLINE u8 high(u16 v) { return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }

TW_INLINE f16 load_wide(const float* p) {
    f16 v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
TW_INLINE void store_wide(float* p, f16 v) { std::memcpy(p, &v, sizeof v); }
TW_INLINE f16 fused(f16 a, f16 b, f16 c) { return (f16)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }

TW_INLINE f16 as_float(u16 v) { return (f16)v; }
TW_INLINE u16 as_bits(f16 v) { return (u16)v; }
TW_INLINE f16 to_float(i16 v) { return __builtin_convertvector(v, f16); }
TW_INLINE i16 to_int(f16 v) { return __builtin_convertvector(v, i16); }
TW_INLINE f16 blend(i16 mask, f16 yes, f16 no) { return mask ? yes : no; }
TW_INLINE u16 blend(i16 mask, u16 yes, u16 no) { return mask ? yes : no; }
TW_INLINE f16 minimum(f16 a, f16 b) { return (f16)_mm512_min_ps((__m512)a, (__m512)b); }
TW_INLINE f16 maximum(f16 a, f16 b) { return (f16)_mm512_max_ps((__m512)a, (__m512)b); }
TW_INLINE f16 magnitude(f16 v) { return (f16)((u16)v & 0x7fffffffu); }
TW_INLINE f16 square_root(f16 v) { return (f16)_mm512_sqrt_ps((__m512)v); }
TW_INLINE f16 round_even(f16 v) { return (f16)_mm512_roundscale_ps((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
TW_INLINE f16 gather(const float* table, f16 place) { return (f16)_mm512_i32gather_ps((__m512i)to_int(place), table, 4); }
// Elements at any places.
TW_INLINE f16 load_at(const float* p, u16 index) { return (f16)_mm512_i32gather_ps((__m512i)index, p, 4); }
TW_INLINE void store_at(float* p, u16 index, f16 v, int64_t n) {
    const __mmask16 lanes = (__mmask16)(n >= kWide ? 0xffffu : (1u << n) - 1u);
    _mm512_mask_i32scatter_ps(p, lanes, (__m512i)index, (__m512)v, 4);
}
TW_INLINE uint32_t lane_mask(i16 mask) { return (uint32_t)_mm512_movepi32_mask((__m512i)mask); }
TW_INLINE bool any(u16 v) { return _mm512_test_epi32_mask((__m512i)v, (__m512i)v) != 0; }
TW_INLINE uint32_t max_lanes_u(u16 v) { return _mm512_reduce_max_epu32((__m512i)v); }
TW_INLINE uint32_t min_lanes_u(u16 v) { return _mm512_reduce_min_epu32((__m512i)v); }
#else
// Two halves that go through the same operations.
template <class T>
struct Two {
    T first, second;
    TW_INLINE Two() : first{}, second{} {}
    TW_INLINE Two(T a, T b) : first(a), second(b) {}
    template <class F>
    TW_INLINE explicit Two(const Two<F>& v) : first((T)v.first), second((T)v.second) {}
};
template <class T>
using ElementOf = std::remove_cvref_t<decltype(T{}[0])>;
using f16 = Two<f8>;
using i16 = Two<i8>;
using u16 = Two<u8>;

#define TW_TWO_OPERATOR(sign)                                                                                            \
    template <class T>                                                                                                   \
    TW_INLINE auto operator sign(const Two<T>& a, const Two<T>& b) {                                                     \
        return Two<decltype(a.first sign b.first)>(a.first sign b.first, a.second sign b.second);                        \
    }                                                                                                                    \
    template <class T, class S>                                                                                          \
        requires std::is_arithmetic_v<S>                                                                                 \
    TW_INLINE auto operator sign(const Two<T>& a, S b) {                                                                 \
        return a sign Two<T>(T{} + (ElementOf<T>)b, T{} + (ElementOf<T>)b);                                              \
    }                                                                                                                    \
    template <class T, class S>                                                                                          \
        requires std::is_arithmetic_v<S>                                                                                 \
    TW_INLINE auto operator sign(S a, const Two<T>& b) {                                                                 \
        return Two<T>(T{} + (ElementOf<T>)a, T{} + (ElementOf<T>)a) sign b;                                              \
    }
TW_TWO_OPERATOR(+)
TW_TWO_OPERATOR(-)
TW_TWO_OPERATOR(*)
TW_TWO_OPERATOR(/)
TW_TWO_OPERATOR(&)
TW_TWO_OPERATOR(|)
TW_TWO_OPERATOR(^)
TW_TWO_OPERATOR(<<)
TW_TWO_OPERATOR(>>)
TW_TWO_OPERATOR(<)
TW_TWO_OPERATOR(<=)
TW_TWO_OPERATOR(>)
TW_TWO_OPERATOR(>=)
TW_TWO_OPERATOR(==)
TW_TWO_OPERATOR(!=)
#undef TW_TWO_OPERATOR
template <class T>
TW_INLINE Two<T> operator-(const Two<T>& v) {
    return Two<T>(-v.first, -v.second);
}
template <class T>
TW_INLINE Two<T> operator~(const Two<T>& v) {
    return Two<T>(~v.first, ~v.second);
}

TW_INLINE f16 joined(f8 a, f8 b) { return f16(a, b); }
TW_INLINE u16 joined(u8 a, u8 b) { return u16(a, b); }
template <class T>
TW_INLINE T low(const Two<T>& v) {
    return v.first;
}
template <class T>
TW_INLINE T high(const Two<T>& v) {
    return v.second;
}
TW_INLINE f16 load_wide(const float* p) { return f16(load(p), load(p + kLanes)); }
TW_INLINE void store_wide(float* p, f16 v) {
    store(p, v.first);
    store(p + kLanes, v.second);
}
TW_INLINE f16 fused(f16 a, f16 b, f16 c) { return f16(fused(a.first, b.first, c.first), fused(a.second, b.second, c.second)); }

TW_INLINE f16 as_float(u16 v) { return f16(as_float(v.first), as_float(v.second)); }
TW_INLINE u16 as_bits(f16 v) { return u16(as_bits(v.first), as_bits(v.second)); }
TW_INLINE f16 to_float(i16 v) { return f16(to_float(v.first), to_float(v.second)); }
TW_INLINE i16 to_int(f16 v) { return i16(to_int(v.first), to_int(v.second)); }
TW_INLINE f16 blend(i16 mask, f16 yes, f16 no) {
    return f16(blend(mask.first, yes.first, no.first), blend(mask.second, yes.second, no.second));
}
TW_INLINE u16 blend(i16 mask, u16 yes, u16 no) { return (u16)blend(mask, (f16)yes, (f16)no); }
TW_INLINE f16 minimum(f16 a, f16 b) { return f16(minimum(a.first, b.first), minimum(a.second, b.second)); }
TW_INLINE f16 maximum(f16 a, f16 b) { return f16(maximum(a.first, b.first), maximum(a.second, b.second)); }
TW_INLINE f16 magnitude(f16 v) { return f16(magnitude(v.first), magnitude(v.second)); }
TW_INLINE f16 square_root(f16 v) { return f16(square_root(v.first), square_root(v.second)); }
TW_INLINE f16 round_even(f16 v) { return f16(round_even(v.first), round_even(v.second)); }
TW_INLINE f16 gather(const float* table, f16 place) { return f16(gather(table, place.first), gather(table, place.second)); }
TW_INLINE f16 load_at(const float* p, u16 index) { return f16(load_at(p, index.first), load_at(p, index.second)); }
TW_INLINE void store_at(float* p, u16 index, f16 v, int64_t n) {
    store_at(p, index.first, v.first, n);
    if (n > kLanes) store_at(p, index.second, v.second, n - kLanes);
}
TW_INLINE uint32_t lane_mask(i16 mask) { return lane_mask(mask.first) | lane_mask(mask.second) << kLanes; }
TW_INLINE bool any(u16 v) { return any(v.first | v.second); }
TW_INLINE uint32_t max_lanes_u(u16 v) { return max_lanes_u((u8)(v.first > v.second ? v.first : v.second)); }
TW_INLINE uint32_t min_lanes_u(u16 v) { return min_lanes_u((u8)(v.first < v.second ? v.first : v.second)); }
#endif
TW_INLINE u16 load_u_wide(const uint32_t* p) { return joined(load_u(p), load_u(p + kLanes)); }
TW_INLINE void store_u_wide(uint32_t* p, u16 v) {
    store_u(p, low(v));
    store_u(p + kLanes, high(v));
}
TW_INLINE f16 splat_wide(float v) { return f16{} + v; }
TW_INLINE f8 fold(f16 v) { return low(v) + high(v); }
TW_INLINE f16 whole_part(f16 v) { return to_float(to_int(v)); }
TW_INLINE u16 count_bits(u16 v) { return joined(count_bits(low(v)), count_bits(high(v))); }
TW_INLINE u16 pack_bits(u16 v, u16 mask) { return joined(pack_bits(low(v), low(mask)), pack_bits(high(v), high(mask))); }

TW_INLINE void multiply_wide(u16 a, uint32_t b, u16& high_half, u16& low_half) {
#if defined(__AVX512F__)
    const __m512i av = (__m512i)a, bv = _mm512_set1_epi32((int32_t)b);
    const __m512i even = _mm512_mul_epu32(av, bv), odd = _mm512_mul_epu32(_mm512_srli_epi64(av, 32), bv);
    low_half = (u16)_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    high_half = (u16)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
#else
    multiply_wide(a.first, b, high_half.first, low_half.first);
    multiply_wide(a.second, b, high_half.second, low_half.second);
#endif
}

template <>
struct LaneTypes<f16> {
    using Bits = u16;
    using Whole = i16;
};
template <>
struct LaneTypes<u16> {
    using Number = f16;
};

// The first n lanes, n from 1; the others read as zero and are not written.
TW_INLINE f16 load_first_wide(const float* p, int64_t n) {
    if (n >= kWide) return load_wide(p);
    float lanes[kWide] = {};
    std::memcpy(lanes, p, (size_t)n * sizeof(float));
    return load_wide(lanes);
}
TW_INLINE void store_first_wide(float* p, f16 v, int64_t n) {
    if (n >= kWide) return store_wide(p, v);
    float lanes[kWide];
    store_wide(lanes, v);
    std::memcpy(p, lanes, (size_t)n * sizeof(float));
}

}  // namespace
}  // namespace tilewright::TW_ISA
