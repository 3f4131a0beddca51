// Arithmetic of the converters around an array, for whole products and for reads of single lines.
#pragma once
#include "kernel_table.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

// Which random numbers a conversion draws.
struct Draw {
    uint32_t pass;
    uint64_t sample;
};

// Rounds to whole steps, halves to even or at random; 0 steps leave the value as it is.
TW_INLINE f8 to_steps(f8 v, float step, bool stochastic, Key key, int64_t index, Draw draw) {
    if (step <= 0) return v;
    f8 steps = v / step;
    if (stochastic) {
        const u8 bits = philox(key, lane_index() + splat_u((uint32_t)index), draw.pass, draw.sample).w[0];
        steps = steps + (unit_uniform(bits) - 0.5f);
    }
    return round_even(steps) * step;
}

TW_INLINE f8 weakened_if_negative(f8 v, float asymmetry) {
    return asymmetry != 0 ? blend(v < 0.0f, v * (1.0f - asymmetry), v) : v;
}

TW_INLINE f8 within(f8 v, float bound) { return minimum(maximum(v, splat(-bound)), splat(bound)); }

// From the current of the array to the number of the ADC, before its bound.
TW_INLINE f8 digitised(const ReadArgs& io, f8 current, f8 noise, Key rounding, int64_t index, Draw draw) {
    const f8 a = weakened_if_negative(current, io.out_asymmetry) + noise;
    return to_steps(a, io.adc_step, io.out_sto_round, rounding, index, draw);
}

}  // namespace
}  // namespace tilewright::TW_ISA
