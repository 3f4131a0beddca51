// What this machine can do at most: bandwidth and rates, measured with the very vectors and generators of the kernels.
#include "entries.hpp"
#include "kernel_table.hpp"
#include "random.hpp"
#include "wide.hpp"

namespace tilewright::TW_ISA {
namespace {

#if defined(__AVX512F__)
typedef f16 Widest;
TW_INLINE f8 narrowed(f16 v) { return fold(v); }
#else
typedef f8 Widest;
TW_INLINE f8 narrowed(f8 v) { return v; }
#endif

// Ten chains in the widest registers, so that neither multiplication nor addition waits for its predecessor.
inline float multiply_add(int64_t n) {
    constexpr int kChains = 10, kWidth = sizeof(Widest) / sizeof(float);
    Widest sum[kChains];
    for (int c = 0; c < kChains; ++c) sum[c] = Widest{} + (1.0f + 0.01f * (float)c);
    const Widest factor = Widest{} + 0.999999f, term = Widest{} + 1e-6f;
    for (int64_t i = 0; i < n; i += kChains * kWidth * 2)
        for (int c = 0; c < kChains; ++c) sum[c] = fused(sum[c], factor, term);
    Widest all = sum[0];
    for (int c = 1; c < kChains; ++c) all = all + sum[c];
    return sum_lanes(narrowed(all));
}

inline float read_all(const float* a, int64_t n) {
    f8 sum[4] = {};
    for (int64_t i = 0; i + 4 * kLanes <= n; i += 4 * kLanes)
        for (int c = 0; c < 4; ++c) sum[c] = sum[c] + load(a + i + c * kLanes);
    return sum_lanes(sum[0] + sum[1] + sum[2] + sum[3]);
}

inline float change_all(float* a, int64_t n) {
    for (int64_t i = 0; i + kLanes <= n; i += kLanes) store(a + i, magnitude(load(a + i)));
    return a[0];
}

inline float write_all(float* a, int64_t n) {
    const f8 value = splat(1.0f);
    for (int64_t i = 0; i + kLanes <= n; i += kLanes) {
        store(a + i, value);
        asm volatile("" ::: "memory");  // stores, not a call of memset
    }
    return a[0];
}

inline float normals_taken(int64_t n) {
    NormalStream noise(1, 0, 0, 0);
    f8 sum = {};
    for (int64_t i = 0; i < n; i += kLanes) sum = sum + noise.take(0xffu);
    return sum_lanes(sum);
}

inline float words_drawn(int64_t n) {
    const Key key = make_key(1, kInputLine);
    u8 all = {};
    for (int64_t i = 0; i < n; i += 4 * kLanes) {
        const Words words = philox(key, lane_index(), (uint32_t)(i / 4), 0);
        for (int k = 0; k < 4; ++k) all ^= words.w[k];
    }
    return (float)all[0];
}

}  // namespace

float rate(const RateArgs& r) {
    switch (r.kind) {
        case RateKind::MultiplyAdd: return multiply_add(r.n);
        case RateKind::Read: return read_all(r.buffer, r.n);
        case RateKind::Change: return change_all(r.buffer, r.n);
        case RateKind::Write: return write_all(r.buffer, r.n);
        case RateKind::Normals: return normals_taken(r.n);
        case RateKind::Words: return words_drawn(r.n);
    }
    return 0;
}

}  // namespace tilewright::TW_ISA
