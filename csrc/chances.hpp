// From the value of a line to the bits of its pulse train.
#pragma once
#include "counters.hpp"
#include "kernel_table.hpp"

namespace tilewright::TW_ISA {
namespace {

struct Side {  // the inputs or the errors of a chunk of samples
    const float* values;
    const int32_t* hot;
    int64_t lines;
    Purpose bits, rounding;
    bool errors;
};

template <class V, class Bits>
TW_INLINE V quantised(V p, float res, bool stochastic, Key key, Bits line, uint64_t sample) {
    if (res <= 0) return p;
    V steps = p / res;
    if (stochastic) steps = steps + (unit_uniform(philox(key, line, 0, sample).w[0]) - 0.5f);
    return round_even(steps) * res;
}

TW_INLINE float resolution_width(float res) { return res > 1 ? 1.0f / res : res; }

constexpr int64_t kQuad = 4;  // vectors of lines that are written together, and share the generator where trains are short
constexpr uint32_t kShortTrain = 0x80000000u;  // keeps the counters of short trains apart from those of long ones

// Lines of a sample, about to be turned into bits: a line fires where 31 random bits are below the threshold.
template <class V>
struct ChancesOf {
    typename LaneTypes<V>::Whole threshold, always;
    typename LaneTypes<V>::Bits negative;
};
template <class V, class Bits>
TW_INLINE ChancesOf<V> chances(V p, Bits negative) {
    const typename LaneTypes<V>::Whole always = p >= 1.0f;
    return {to_int(blend(always, V{}, p) * 2147483648.0f), always, negative & 1u};
}
template <class V, class Bits>
TW_INLINE Bits fires(const ChancesOf<V>& c, Bits random) {
    return (Bits)(((typename LaneTypes<V>::Whole)(random >> 1) < c.threshold) | c.always) & 1u;
}

}  // namespace
}  // namespace tilewright::TW_ISA
