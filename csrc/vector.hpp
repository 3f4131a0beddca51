// Eight lanes, whatever the machine: the same operations in the same order on every instruction set, so that results
// agree to the last bit. Only data movement differs between builds.
#pragma once
#include <cstdint>
#include <cstring>

#include "lanes.hpp"
#include "out_of_memory.hpp"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kLanes = 8;

typedef float f4 __attribute__((vector_size(16)));
typedef float f8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef uint32_t u8 __attribute__((vector_size(32)));
typedef uint64_t q4 __attribute__((vector_size(32)));
typedef int64_t l8 __attribute__((vector_size(64)));

// The words and the whole numbers that go with a lane type.
template <class V>
struct LaneTypes;
template <>
struct LaneTypes<f8> {
    using Bits = u8;
    using Whole = i8;
};
template <>
struct LaneTypes<u8> {
    using Number = f8;
};

TW_INLINE f8 splat(float v) { return f8{} + v; }
TW_INLINE u8 splat_u(uint32_t v) { return u8{} + v; }
TW_INLINE i8 splat_i(int32_t v) { return i8{} + v; }

// The numbers of eight neighbouring lanes, the first of them `first` places into its line.
template <class U>
TW_INLINE U places(uint32_t first) {
    return U{0, 1, 2, 3, 4, 5, 6, 7} + first;
}

TW_INLINE f8 load(const float* p) {
    f8 v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
TW_INLINE u8 load_u(const uint32_t* p) {
    u8 v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
TW_INLINE void store(float* p, f8 v) { std::memcpy(p, &v, sizeof v); }
TW_INLINE void store_u(uint32_t* p, u8 v) { std::memcpy(p, &v, sizeof v); }

// The first n lanes; the others read as zero and are not written.
TW_INLINE f8 load_first(const float* p, int64_t n) {
    if (n >= kLanes) return load(p);
    f8 v = {};
    for (int64_t i = 0; i < n; ++i) v[i] = p[i];
    return v;
}
TW_INLINE void store_first(float* p, f8 v, int64_t n) {
    if (n >= kLanes) {
        store(p, v);
        return;
    }
    for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}

// Elements at any places.
TW_INLINE f8 load_at(const float* p, u8 index) {
#if defined(__AVX2__)
    return (f8)_mm256_i32gather_ps(p, (__m256i)index, 4);
#else
    f8 v;
    for (int i = 0; i < kLanes; ++i) v[i] = p[index[i]];
    return v;
#endif
}
TW_INLINE void store_at(float* p, u8 index, f8 v, int64_t n) {
    uint32_t at[kLanes];
    float value[kLanes];
    store_u(at, index);
    store(value, v);
    if (n >= kLanes) {
        for (int i = 0; i < kLanes; ++i) p[at[i]] = value[i];
    } else {
        for (int64_t i = 0; i < n; ++i) p[at[i]] = value[i];
    }
}

// Counters of two things in one word: adds the first n lanes to its low and to its high half.
TW_INLINE void add_halves(int64_t* p, u8 low, u8 high, int64_t n) {
    const l8 both = __builtin_convertvector(low, l8) + (__builtin_convertvector(high, l8) << 32);
    if (n >= kLanes) {
        l8 sum;
        std::memcpy(&sum, p, sizeof sum);
        sum += both;
        std::memcpy(p, &sum, sizeof sum);
        return;
    }
    for (int64_t i = 0; i < n; ++i) p[i] += both[i];
}

// a b + c, rounded once. Machines without the instruction compute the same bits from doubles.
#if defined(__FMA__)
TW_INLINE f8 fused(f8 a, f8 b, f8 c) { return (f8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#elif defined(__ARM_FEATURE_FMA)
TW_INLINE f8 fused(f8 a, f8 b, f8 c) {
    for (int i = 0; i < kLanes; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}
#else
typedef double d4 __attribute__((vector_size(32)));
typedef int64_t l4 __attribute__((vector_size(32)));
TW_INLINE f4 fused(f4 a, f4 b, f4 c) {
    const d4 product = __builtin_convertvector(a, d4) * __builtin_convertvector(b, d4);  // exact
    const d4 term = __builtin_convertvector(c, d4), sum = product + term;
    const d4 back = sum - product, rest = (product - (sum - back)) + (term - back);  // sum + rest is exact
    // Rounding to the odd neighbour, so that rounding to single precision next is as if nothing had been rounded.
    const l4 bits = (l4)sum, inexact = (l4)((rest > 0.0) | (rest < 0.0)), inwards = (l4)((rest < 0.0) ^ (sum < 0.0));
    const l4 step = inexact & ((bits & 1) ^ 1);
    return __builtin_convertvector((d4)(bits + ((step ^ inwards) - inwards)), f4);
}
TW_INLINE f8 fused(f8 a, f8 b, f8 c) {
    const f4 low = fused(__builtin_shufflevector(a, a, 0, 1, 2, 3), __builtin_shufflevector(b, b, 0, 1, 2, 3),
                         __builtin_shufflevector(c, c, 0, 1, 2, 3));
    const f4 high = fused(__builtin_shufflevector(a, a, 4, 5, 6, 7), __builtin_shufflevector(b, b, 4, 5, 6, 7),
                          __builtin_shufflevector(c, c, 4, 5, 6, 7));
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
}
#endif

TW_INLINE f8 as_float(u8 v) { return (f8)v; }
TW_INLINE u8 as_bits(f8 v) { return (u8)v; }
TW_INLINE f8 to_float(i8 v) { return __builtin_convertvector(v, f8); }
TW_INLINE i8 to_int(f8 v) { return __builtin_convertvector(v, i8); }

TW_INLINE f8 blend(i8 mask, f8 yes, f8 no) {
#if defined(__AVX2__)
    return (f8)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask);
#else
    return (f8)(((u8)mask & (u8)yes) | (~(u8)mask & (u8)no));
#endif
}
TW_INLINE f8 minimum(f8 a, f8 b) {
#if defined(__AVX2__)
    return (f8)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return blend(a < b, a, b);
#endif
}
TW_INLINE f8 maximum(f8 a, f8 b) {
#if defined(__AVX2__)
    return (f8)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return blend(a > b, a, b);
#endif
}
TW_INLINE f8 magnitude(f8 v) { return (f8)((u8)v & 0x7fffffffu); }
TW_INLINE f8 square_root(f8 v) {
#if defined(__AVX2__)
    return (f8)_mm256_sqrt_ps((__m256)v);
#else
    f8 r;
    for (int i = 0; i < kLanes; ++i) r[i] = __builtin_sqrtf(v[i]);
    return r;
#endif
}
// Round to the nearest whole number, halves to even.
TW_INLINE f8 round_even(f8 v) {
#if defined(__AVX2__)
    return (f8)_mm256_round_ps((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    f8 r;
    for (int i = 0; i < kLanes; ++i) r[i] = __builtin_rintf(v[i]);
    return r;
#endif
}
// The whole part of numbers that are not negative.
TW_INLINE f8 whole_part(f8 v) { return to_float(to_int(v)); }
// Entries of a table at whole-numbered places.
TW_INLINE f8 gather(const float* table, f8 place) { return load_at(table, (u8)to_int(place)); }
TW_INLINE uint32_t lane_mask(i8 mask) {
#if defined(__AVX2__)
    return (uint32_t)_mm256_movemask_ps((__m256)mask);
#else
    uint32_t m = 0;
    for (int i = 0; i < kLanes; ++i) m |= ((uint32_t)mask[i] >> 31) << i;
    return m;
#endif
}
TW_INLINE bool any(u8 v) {
#if defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)v, (__m256i)v);
#else
    uint32_t m = 0;
    for (int i = 0; i < kLanes; ++i) m |= v[i];
    return m != 0;
#endif
}
TW_INLINE f8 permute(f8 v, u8 index) { return __builtin_shuffle(v, (i8)index); }

// Number of set bits of each byte.
TW_INLINE u8 count_bits_of_bytes(u8 v) {
#if defined(__AVX2__)
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = (__m256i)(v & 0x0f0f0f0fu), high = (__m256i)((v >> 4) & 0x0f0f0f0fu);
    return (u8)_mm256_add_epi8(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
#else
    v = v - ((v >> 1) & 0x55555555u);
    v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
    return (v + (v >> 4)) & 0x0f0f0f0fu;
#endif
}
TW_INLINE u8 sum_bytes(u8 v) {  // of each lane
    v = (v & 0x00ff00ffu) + ((v >> 8) & 0x00ff00ffu);
    return (v & 0xffffu) + (v >> 16);
}
TW_INLINE u8 count_bits(u8 v) { return sum_bytes(count_bits_of_bytes(v)); }

// The bits of v that the mask selects, moved together at the low end of each lane.
TW_INLINE u8 pack_bits(u8 v, u8 mask) {
    uint32_t from[kLanes], take[kLanes];
    store_u(from, v);
    store_u(take, mask);
#if defined(__BMI2__)
    return u8{_pext_u32(from[0], take[0]), _pext_u32(from[1], take[1]), _pext_u32(from[2], take[2]), _pext_u32(from[3], take[3]),
              _pext_u32(from[4], take[4]), _pext_u32(from[5], take[5]), _pext_u32(from[6], take[6]), _pext_u32(from[7], take[7])};
#else
    u8 packed = {};
    for (int i = 0; i < kLanes; ++i) {
        uint32_t to = 1;
        for (uint32_t m = take[i]; m; m &= m - 1, to <<= 1)
            if (from[i] & m & (0u - m)) packed[i] |= to;
    }
    return packed;
#endif
}
TW_INLINE uint32_t max_lanes_u(u8 v) {
    uint32_t m[kLanes];
    store_u(m, v);
    for (int k = kLanes / 2; k > 0; k /= 2)
        for (int i = 0; i < k; ++i) m[i] = m[i] < m[i + k] ? m[i + k] : m[i];
    return m[0];
}
TW_INLINE uint32_t sum_lanes_u(u8 v) {
    uint32_t n = 0;
    for (int i = 0; i < kLanes; ++i) n += v[i];
    return n;
}
TW_INLINE uint32_t min_lanes_u(u8 v) {
    uint32_t m[kLanes];
    store_u(m, v);
    for (int k = kLanes / 2; k > 0; k /= 2)
        for (int i = 0; i < k; ++i) m[i] = m[i] > m[i + k] ? m[i + k] : m[i];
    return m[0];
}

// A fixed tree, ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)), so that a sum does not depend on the build.
TW_INLINE f4 half_sums(f8 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7); }
TW_INLINE float sum_lanes(f8 v) {
    const f4 t = half_sums(v);
    return (t[0] + t[2]) + (t[1] + t[3]);
}
// The sums of four vectors, by the same tree.
TW_INLINE void store_sums(float* p, f8 v0, f8 v1, f8 v2, f8 v3) {
    const f4 t0 = half_sums(v0), t1 = half_sums(v1), t2 = half_sums(v2), t3 = half_sums(v3);
    const f4 a = __builtin_shufflevector(t0, t1, 0, 4, 1, 5) + __builtin_shufflevector(t0, t1, 2, 6, 3, 7);
    const f4 b = __builtin_shufflevector(t2, t3, 0, 4, 1, 5) + __builtin_shufflevector(t2, t3, 2, 6, 3, 7);
    const f4 sums = __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
    std::memcpy(p, &sums, sizeof sums);
}
TW_INLINE float max_lanes(f8 v) {
    float m = v[0];
    for (int i = 1; i < kLanes; ++i) m = m < v[i] ? v[i] : m;
    return m;
}

inline float absolute_maximum(const float* v, int64_t n) {
    f8 m = splat(0.0f);
    int64_t j = 0;
    for (; j + kLanes <= n; j += kLanes) m = maximum(magnitude(load(v + j)), m);
    if (j < n) m = maximum(magnitude(load_first(v + j, n - j)), m);
    return max_lanes(m);
}

// Products of 32-bit lanes to 64 bits: high and low halves.
TW_INLINE void multiply_wide(u8 a, uint32_t b, u8& high, u8& low) {
#if defined(__AVX2__)
    const __m256i av = (__m256i)a, bv = _mm256_set1_epi32((int32_t)b);
    const __m256i even = _mm256_mul_epu32(av, bv);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(av, 32), bv);
    low = (u8)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    high = (u8)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
    for (int i = 0; i < kLanes; ++i) {
        const uint64_t product = (uint64_t)a[i] * b;
        high[i] = (uint32_t)(product >> 32);
        low[i] = (uint32_t)product;
    }
#endif
}

TW_INLINE void multiply_wide(uint32_t a, uint32_t b, uint32_t& high, uint32_t& low) {
    const uint64_t product = (uint64_t)a * b;
    high = (uint32_t)(product >> 32);
    low = (uint32_t)product;
}

// Temporary storage of one call; freed when it leaves scope. Reserve it outside of parallel loops: it may throw.
template <class T>
struct Scratch {
    T* data;
    explicit Scratch(int64_t n) : data((T*)__builtin_malloc((size_t)(n > 0 ? n : 1) * sizeof(T))) {
        if (!data) out_of_memory(n, sizeof(T));
    }
    ~Scratch() { __builtin_free(data); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    T& operator[](int64_t i) const { return data[i]; }
    void clear(int64_t n) { std::memset(data, 0, (size_t)n * sizeof(T)); }
};

}  // namespace
}  // namespace tilewright::TW_ISA
