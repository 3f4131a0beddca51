// Arithmetic of the converters around an array, for whole products and for reads of single lines.
#pragma once
#include "kernel_table.hpp"
#include "counters.hpp"

namespace tilewright::TW_ISA {
namespace {

// Which random numbers a conversion draws.
struct Draw {
    uint32_t pass;
    uint64_t sample;
};

// Rounds to whole steps, halves to even or at random; 0 steps leave the value as it is.
template <class V>
TW_INLINE V to_steps(V v, float step, bool stochastic, Key key, int64_t index, Draw draw) {
    if (step <= 0) return v;
    V steps = v / step;
    if (stochastic) {
        const auto bits = philox(key, places<typename LaneTypes<V>::Bits>((uint32_t)index), draw.pass, draw.sample).w[0];
        steps = steps + (unit_uniform(bits) - 0.5f);
    }
    return round_even(steps) * step;
}

template <class V>
TW_INLINE V weakened_if_negative(V v, float asymmetry) {
    return asymmetry != 0 ? blend(v < 0.0f, v * (1.0f - asymmetry), v) : v;
}

template <class V>
TW_INLINE V within(V v, float bound) {
    return minimum(maximum(v, V{} - bound), V{} + bound);
}

// From the current of the array to the number of the ADC, before its bound.
template <class V>
TW_INLINE V digitised(const ReadArgs& io, V current, V noise, Key rounding, int64_t index, Draw draw) {
    const V a = weakened_if_negative(current, io.out_asymmetry) + noise;
    return to_steps(a, io.adc_step, io.out_sto_round, rounding, index, draw);
}

}  // namespace
}  // namespace tilewright::TW_ISA
