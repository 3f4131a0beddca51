// Sixteen lanes: one register where the machine has such, two halves of eight elsewhere.
#pragma once
#include <type_traits>

#include "lanes.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kWide = 16;

// Two halves that go through the same operations, one instruction of each in turn: the waits of one are filled by the other.
template <class T>
struct Two {
    T first, second;
    TW_INLINE Two() : first{}, second{} {}
    TW_INLINE Two(T a, T b) : first(a), second(b) {}
    template <class F>
    TW_INLINE explicit Two(const Two<F>& v) : first((T)v.first), second((T)v.second) {}
};
template <class T>
struct ElementType {
    using type = std::remove_cvref_t<decltype(T{}[0])>;
};
template <class T>
struct ElementType<Two<T>> : ElementType<T> {};
template <class T>
using ElementOf = typename ElementType<T>::type;
template <class T>
    requires requires { typename LaneTypes<T>::Bits; }
struct LaneTypes<Two<T>> {
    using Bits = Two<typename LaneTypes<T>::Bits>;
    using Whole = Two<typename LaneTypes<T>::Whole>;
};
template <class T>
    requires requires { typename LaneTypes<T>::Number; }
struct LaneTypes<Two<T>> {
    using Number = Two<typename LaneTypes<T>::Number>;
};

#define TW_TWO_OPERATOR(sign)                                                                                            \
    template <class T>                                                                                                   \
    TW_INLINE auto operator sign(const Two<T>& a, const Two<T>& b) {                                                     \
        return Two<decltype(a.first sign b.first)>(a.first sign b.first, a.second sign b.second);                        \
    }                                                                                                                    \
    template <class T, class S>                                                                                          \
        requires std::is_arithmetic_v<S>                                                                                 \
    TW_INLINE auto operator sign(const Two<T>& a, S b) {                                                                 \
        const T both = T{} + (ElementOf<T>)b;                                                                            \
        return a sign Two<T>(both, both);                                                                                \
    }                                                                                                                    \
    template <class T, class S>                                                                                          \
        requires std::is_arithmetic_v<S>                                                                                 \
    TW_INLINE auto operator sign(S a, const Two<T>& b) {                                                                 \
        const T both = T{} + (ElementOf<T>)a;                                                                            \
        return Two<T>(both, both) sign b;                                                                                \
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

#if defined(__AVX512F__)
typedef float f16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16 __attribute__((vector_size(64)));
template <>
struct LaneTypes<f16> {
    using Bits = u16;
    using Whole = i16;
};
template <>
struct LaneTypes<u16> {
    using Number = f16;
};

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
// Elements of one array where the sign is set, of another elsewhere, by their addresses.
TW_INLINE f16 load_either(const float* negative, const float* other, u16 sign, u16 index) {
    const __mmask16 first = _mm512_movepi32_mask((__m512i)sign);
    const __m512i yes = _mm512_set1_epi64((long long)negative), no = _mm512_set1_epi64((long long)other);
    const auto eight = [&](u8 i, __mmask8 mask) {
        const __m512i from = _mm512_mask_mov_epi64(no, mask, yes);
        return (f8)_mm512_i64gather_ps(_mm512_add_epi64(from, _mm512_slli_epi64(_mm512_cvtepu32_epi64((__m256i)i), 2)), nullptr, 1);
    };
    return joined(eight(low(index), (__mmask8)first), eight(high(index), (__mmask8)(first >> 8)));
}
TW_INLINE uint32_t lane_mask(i16 mask) { return (uint32_t)_mm512_movepi32_mask((__m512i)mask); }
TW_INLINE uint32_t lanes_not_zero(u16 v) { return (uint32_t)_mm512_test_epi32_mask((__m512i)v, (__m512i)v); }
TW_INLINE bool any(u16 v) { return _mm512_test_epi32_mask((__m512i)v, (__m512i)v) != 0; }

// Lanes chosen, in a register of masks.
struct Chosen {
    __mmask16 lanes;
};
TW_INLINE Chosen where_common(u16 a, u16 b) { return {_mm512_test_epi32_mask((__m512i)a, (__m512i)b)}; }  // bits
TW_INLINE Chosen where_not_zero(u16 v) { return where_common(v, v); }
TW_INLINE f16 blend(Chosen c, f16 yes, f16 no) { return (f16)_mm512_mask_mov_ps((__m512)no, c.lanes, (__m512)yes); }
TW_INLINE u16 blend(Chosen c, u16 yes, u16 no) { return (u16)_mm512_mask_mov_epi32((__m512i)no, c.lanes, (__m512i)yes); }
TW_INLINE uint32_t max_lanes_u(u16 v) { return _mm512_reduce_max_epu32((__m512i)v); }
TW_INLINE uint32_t min_lanes_u(u16 v) { return _mm512_reduce_min_epu32((__m512i)v); }
#else
// Elements of one array where the sign is set, of another elsewhere.
TW_INLINE f8 load_either(const float* negative, const float* other, u8 sign, u8 index) {
    return blend((i8)((i8)sign < 0), load_at(negative, index), load_at(other, index));
}
using f16 = Two<f8>;
using i16 = Two<i8>;
using u16 = Two<u8>;

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
TW_INLINE uint32_t lane_mask(i16 mask) { return lane_mask(mask.first) | lane_mask(mask.second) << kLanes; }
TW_INLINE i8 where_common(u8 a, u8 b) { return (i8)((a & b) != 0u); }
TW_INLINE i8 where_not_zero(u8 v) { return (i8)(v != 0u); }
TW_INLINE u8 blend(i8 mask, u8 yes, u8 no) { return (u8)blend(mask, (f8)yes, (f8)no); }
TW_INLINE uint32_t lanes_not_zero(u16 v) { return lane_mask((i16)(v != 0u)); }
TW_INLINE uint32_t max_lanes_u(u16 v) { return max_lanes_u((u8)(v.first > v.second ? v.first : v.second)); }
TW_INLINE uint32_t min_lanes_u(u16 v) { return min_lanes_u((u8)(v.first < v.second ? v.first : v.second)); }
#endif

template <class T>
TW_INLINE Two<T> fused(const Two<T>& a, const Two<T>& b, const Two<T>& c) {
    return Two<T>(fused(a.first, b.first, c.first), fused(a.second, b.second, c.second));
}
template <class T>
TW_INLINE auto as_float(const Two<T>& v) {
    return Two<decltype(as_float(v.first))>(as_float(v.first), as_float(v.second));
}
template <class T>
TW_INLINE auto as_bits(const Two<T>& v) {
    return Two<decltype(as_bits(v.first))>(as_bits(v.first), as_bits(v.second));
}
template <class T>
TW_INLINE auto to_float(const Two<T>& v) {
    return Two<decltype(to_float(v.first))>(to_float(v.first), to_float(v.second));
}
template <class T>
TW_INLINE auto to_int(const Two<T>& v) {
    return Two<decltype(to_int(v.first))>(to_int(v.first), to_int(v.second));
}
template <class M, class T>
TW_INLINE Two<T> blend(const Two<M>& mask, const Two<T>& yes, const Two<T>& no) {
    return Two<T>(blend(mask.first, yes.first, no.first), blend(mask.second, yes.second, no.second));
}
template <class U>
TW_INLINE auto where_common(const Two<U>& a, const Two<U>& b) {
    return Two<decltype(where_common(a.first, b.first))>(where_common(a.first, b.first), where_common(a.second, b.second));
}
template <class U>
TW_INLINE auto where_not_zero(const Two<U>& v) {
    return Two<decltype(where_not_zero(v.first))>(where_not_zero(v.first), where_not_zero(v.second));
}
template <class T>
TW_INLINE Two<T> minimum(const Two<T>& a, const Two<T>& b) {
    return Two<T>(minimum(a.first, b.first), minimum(a.second, b.second));
}
template <class T>
TW_INLINE Two<T> maximum(const Two<T>& a, const Two<T>& b) {
    return Two<T>(maximum(a.first, b.first), maximum(a.second, b.second));
}
template <class T>
TW_INLINE Two<T> magnitude(const Two<T>& v) {
    return Two<T>(magnitude(v.first), magnitude(v.second));
}
template <class T>
TW_INLINE Two<T> square_root(const Two<T>& v) {
    return Two<T>(square_root(v.first), square_root(v.second));
}
template <class T>
TW_INLINE Two<T> round_even(const Two<T>& v) {
    return Two<T>(round_even(v.first), round_even(v.second));
}
template <class T>
TW_INLINE Two<T> gather(const float* table, const Two<T>& place) {
    return Two<T>(gather(table, place.first), gather(table, place.second));
}
template <class U>
TW_INLINE auto load_at(const float* p, const Two<U>& index) {
    return Two<decltype(load_at(p, index.first))>(load_at(p, index.first), load_at(p, index.second));
}
template <class U>
TW_INLINE auto load_either(const float* negative, const float* other, const Two<U>& sign, const Two<U>& index) {
    using F = decltype(load_at(other, index.first));
    return Two<F>(load_either(negative, other, sign.first, index.first), load_either(negative, other, sign.second, index.second));
}
template <class V>
constexpr int64_t kLanesOf = sizeof(V) / sizeof(float);
template <class U, class V>
TW_INLINE void store_at(float* p, const Two<U>& index, const Two<V>& v, int64_t n) {
    store_at(p, index.first, v.first, n);
    if (n > kLanesOf<V>) store_at(p, index.second, v.second, n - kLanesOf<V>);
}
template <class U>
TW_INLINE bool any(const Two<U>& v) {
    return any(v.first | v.second);
}
TW_INLINE u16 load_u_wide(const uint32_t* p) { return joined(load_u(p), load_u(p + kLanes)); }
TW_INLINE void store_u_wide(uint32_t* p, u16 v) {
    store_u(p, low(v));
    store_u(p + kLanes, high(v));
}
TW_INLINE f16 splat_wide(float v) { return f16{} + v; }
TW_INLINE f8 fold(f16 v) { return low(v) + high(v); }
#if defined(__AVX512F__)
TW_INLINE f16 whole_part(f16 v) { return to_float(to_int(v)); }
#endif
template <class T>
TW_INLINE Two<T> whole_part(const Two<T>& v) {
    return to_float(to_int(v));
}
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

// N times sixteen lanes in lockstep.
template <int N>
struct Several {
    using F = Two<typename Several<N / 2>::F>;
    using U = Two<typename Several<N / 2>::U>;
    using I = Two<typename Several<N / 2>::I>;
};
template <>
struct Several<1> {
    using F = f16;
    using U = u16;
    using I = i16;
};

// Calls body(part) for each sixteen lanes in order.
template <class V, class Body>
TW_INLINE void for_sixteens(V& v, const Body& body) {
    if constexpr (kLanesOf<V> == kWide) {
        body(v);
    } else {
        for_sixteens(v.first, body);
        for_sixteens(v.second, body);
    }
}
template <class U>
TW_INLINE uint64_t lanes_not_zero_of(const U& v) {
    if constexpr (kLanesOf<U> == kWide) return lanes_not_zero(v);
    else return lanes_not_zero_of(v.first) | lanes_not_zero_of(v.second) << (kLanesOf<U> / 2);
}

template <class U>
TW_INLINE void load_several(U& v, const uint32_t* p) {
    for_sixteens(v, [&](u16& part) {
        part = load_u_wide(p);
        p += kWide;
    });
}
template <class U>
TW_INLINE void store_several(uint32_t* p, U& v) {
    for_sixteens(v, [&](u16& part) {
        store_u_wide(p, part);
        p += kWide;
    });
}

// Stores the lanes of the mask one behind the other, and may write as many as sixteen. Returns how many they are.
TW_INLINE int64_t store_chosen(uint32_t* p, u16 v, uint32_t mask) {
#if defined(__AVX512F__)
    store_u_wide(p, (u16)_mm512_maskz_compress_epi32((__mmask16)mask, (__m512i)v));
#else
    uint32_t lanes[kWide];
    store_u_wide(lanes, v);
    int64_t n = 0;
    for (uint32_t rest = mask; rest; rest &= rest - 1) p[n++] = lanes[__builtin_ctz(rest)];
#endif
    return __builtin_popcount(mask);
}

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
