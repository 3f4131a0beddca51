// The analog product of one sample, as a thread of a graphics processor takes its part in it: scale and DAC, single sums,
// errors of the array, noise and ADC, and when to repeat. Each is done as the processor does it and to the same bits.
#pragma once
#include "../converter.hpp"
#include "entries.hpp"
#include "noise.hpp"

namespace tilewright::TW_ISA {
namespace {

struct SampleState {
    float alpha, rho, worst_alpha;
    int32_t passes, active, worst_case;
    TW_INLINE float factor() const { return alpha > 0 ? alpha * rho : rho; }
};

enum class Sum : int { Current = 0, Variance = 1, Load = 2, Loss = 3 };  // weights and inputs, their sizes and squares, ...

// Sums over all inputs of a part.
struct InputSums {
    float plain[2], squares[2];
};

struct ProductMemory {
    float* inputs;       // (samples, parts, inputs)
    float* sums[4];      // by Sum: (samples, parts, outputs); null where it is not needed, and for currents
    SampleState* state;  // (samples)
    InputSums* input_sums;      // (samples); null where they are not needed
    int32_t *clipped, *over;    // (samples) of the first pass: outputs clipped, and whether one asks for a smaller input
    int64_t* start;      // the clock as the product found it; its last kernel moves the clock on
    float* average;      // scale of AverageAbsMax, and the largest inputs it is made of (samples)
    float* maxima;
};

// Eight strands that meet in a fixed tree.
TW_INLINE float tree(const float* v) {
    const float t0 = v[0] + v[4], t1 = v[1] + v[5], t2 = v[2] + v[6], t3 = v[3] + v[7];
    return (t0 + t2) + (t1 + t3);
}

struct ProductJob {
    DeviceProduct job;
    ProductMemory memory;
    const int64_t* start;  // number of the first sample: on the clock in the first kernel, then as that one has kept it

    TW_INLINE const ProductArgs& args() const { return job.product; }
    TW_INLINE const ReadArgs& io() const { return job.product.io; }
    TW_INLINE int64_t n_in() const { return args().transposed ? args().rows : args().cols; }
    TW_INLINE int64_t n_out() const { return args().transposed ? args().cols : args().rows; }
    TW_INLINE bool split() const { return io().mode >= ProductMode::PosNegSeparate; }
    TW_INLINE int parts() const { return split() ? 2 : 1; }
    TW_INLINE uint64_t number(int64_t sample) const {
        return args().first_sample + (start ? (uint64_t)*start : 0) + (uint64_t)sample;
    }
    TW_INLINE void count(ProductCount what, int64_t value) const {
        if (job.counts && value) add_to(job.counts + what, value);
    }
    TW_INLINE bool reads_noise() const { return io().w_noise_kind == WeightNoise::PCMRead && io().w_noise > 0; }
    TW_INLINE bool adds_noise() const { return io().w_noise_kind == WeightNoise::AdditiveConstant && io().w_noise > 0; }
    TW_INLINE bool offsets() const { return io().offset_values || io().r_series > 0; }

    // --- sums ------------------------------------------------------------------------------------------------------------

    // Weight k as inputs of a part meet it.
    TW_INLINE float weight(Sum sum, int part, int64_t k) const {
        float w = args().weight[k];
        if (split() && part == 0 && io().asymmetry_values) w = w * io().asymmetry_values[k];
        return sum == Sum::Variance || sum == Sum::Load ? magnitude(w) : w;
    }
    TW_INLINE float input(Sum sum, const float* v, int64_t j) const {
        if (sum == Sum::Variance) return v[j] * v[j];
        if (sum == Sum::Load) return magnitude(v[j]);
        if (sum == Sum::Loss) {  // weighted with the place along the wire, whose losses grow towards the far end
            const float q = 1.0f - (float)(io().ir_drop_first ? n_in() - 1 - j : j) / (float)n_in();
            return v[j] * (1.0f - q * q);
        }
        return v[j];
    }
    TW_INLINE const float* inputs_of(int64_t sample, int part) const {
        return memory.inputs + (sample * parts() + part) * n_in();
    }

    // One sum by one thread, in the order of the processor: sixteen strands of a row, or stretches of a column.
    TW_INLINE float sum_alone(Sum sum, int64_t sample, int part, int64_t i) const {
        const float* v = inputs_of(sample, part);
        const int64_t n = n_in();
        if (args().transposed) {
            float total = 0;
            for (int64_t first = 0; first < n; first += kStretch) {
                float stretch = 0;
                for (int64_t r = first; r < n && r < first + kStretch; ++r)
                    stretch = fused(weight(sum, part, r * args().cols + i), input(sum, v, r), stretch);
                total = first > 0 ? total + stretch : stretch;
            }
            return total;
        }
        float strand[16] = {};
        for (int64_t first = 0; first < n; first += 16)
#pragma unroll
            for (int l = 0; l < 16; ++l)
                if (first + l < n)
                    strand[l] = fused(weight(sum, part, i * args().cols + first + l), input(sum, v, first + l), strand[l]);
#pragma unroll
        for (int l = 0; l < 8; ++l) strand[l] = strand[l] + strand[l + 8];
        return tree(strand);
    }

    // --- scale and DAC ---------------------------------------------------------------------------------------------------

    // Largest entry, by magnitude and by value, and the sums of positive and of negative entries.
    struct Extent {
        float largest, top, up, down;
    };
    TW_INLINE float scale(NoiseManagement kind, const Extent& x) const {
        const ReadArgs& r = io();
        if (kind == NoiseManagement::None) return 1;
        if (kind == NoiseManagement::Constant) return r.nm_thres > 0 ? r.nm_thres : 1;
        if (kind == NoiseManagement::AverageAbsMax) return *memory.average;
        const float chosen = kind == NoiseManagement::Max ? x.top : x.largest;
        const float capped = r.nm_thres > 0 && chosen > r.nm_thres ? r.nm_thres : chosen;
        if (kind != NoiseManagement::AbsMaxNPSum) return capped;
        float needed = (x.up > x.down ? x.up : x.down) * r.nm_assumed_wmax / (r.out_bound > 0 ? r.out_bound : 1.0f);
        if (r.dac_step > 0) {
            const float limit = capped * r.max_bm_res / r.dac_step;
            needed = needed < limit ? needed : limit;
        }
        return capped > needed ? capped : needed;
    }

    // Inputs of a thread; returns how many of them the DAC clipped.
    TW_INLINE int32_t convert_inputs(int64_t sample, const SampleState& state, uint32_t round, Place at) const {
        const ReadArgs& r = io();
        const float factor = (state.alpha > 0 ? 1.0f / state.alpha : 1.0f) / state.rho;
        const Draw draw{round, number(sample)};
        const Key rounding = make_key(args().seed, kInputRounding), noise_key = make_key(args().seed, kInputNoise);
        const float* x = args().x + sample * n_in();
        float* v = memory.inputs + sample * parts() * n_in();
        int32_t clipped = 0;
        for (int64_t j = at.thread; j < n_in(); j += at.threads) {
            float a = to_steps(x[j] * factor, r.dac_step, r.inp_sto_round, rounding, j, draw);
            const float kept = r.inp_bound > 0 ? within(a, r.inp_bound) : a;
            clipped += kept != a;
            a = kept;
            if (r.inp_noise > 0) a = a + r.inp_noise * normal_at(noise_key, (uint64_t)j, draw.pass, draw.sample);
            a = weakened_if_negative(a, r.inp_asymmetry);
            if (split()) {
                v[j] = minimum(a, 0.0f);
                v[n_in() + j] = maximum(a, 0.0f);
            } else {
                v[j] = a;
            }
        }
        return clipped;
    }

    // --- errors of the array, and ADC ------------------------------------------------------------------------------------

    TW_INLINE bool needs_input_sums() const { return offsets() || adds_noise(); }

    // The current of an output with what wires, references and read noise make of it.
    TW_INLINE float current(float y, int64_t sample, int part, int64_t i, uint32_t round, const InputSums* inputs) const {
        const ReadArgs& r = io();
        const int64_t k = (sample * parts() + part) * n_out() + i;
        if (r.ir_drop > 0) {
            const float h = (float)n_in() / r.ir_drop_g_ratio * memory.sums[(int)Sum::Load][k];
            y -= r.ir_drop * (h * (0.05f * h * h - 0.2f * h + 0.5f)) * memory.sums[(int)Sum::Loss][k];
        }
        if (offsets()) y = offset(y, r.offset_values ? r.offset_values[i] : 0.0f, -r.v_offset_w_min * inputs->plain[part]);
        if (reads_noise() || adds_noise()) {
            const float spread = square_root(reads_noise() ? memory.sums[(int)Sum::Variance][k] : inputs->squares[part]);
            y = y + r.w_noise * spread * normal_at(make_key(args().seed, kWeightNoise), (uint64_t)i, round * 2 + (uint32_t)part, number(sample));
        }
        return y;
    }
    TW_INLINE float loaded(float a) const {
        const float rs = io().r_series > 0 ? io().r_series : 0, drop = rs * magnitude(a);
        return a / (1.0f + (io().r_series_cap > 0 ? minimum(drop, io().r_series_cap) : drop));
    }
    TW_INLINE float offset(float a, float o, float reference) const {
        const ReadArgs& r = io();
        if (r.v_offset_w_min == 0) return (1.0f - o) * loaded(a);
        if (!(r.r_series > 0)) return (1.0f - o) * a - 2.0f * o * reference;
        return (1.0f - o) * loaded(a + reference) - (1.0f + o) * loaded(reference);
    }

    struct Converted {
        float value;
        int32_t clipped;  // how often the ADC did
        bool over;        // asks for a smaller input
    };

    // Nonlinearity, asymmetry, noise, ADC and its bound.
    TW_INLINE Converted digital(float a, int64_t i, float factor, Draw draw) const {
        const ReadArgs& r = io();
        float noise = 0;
        if (r.nonlinearity_values) a = a * r.nonlinearity_gain / (1.0f + r.nonlinearity_values[i] * magnitude(a));
        if (r.out_noise > 0)
            noise = (r.out_noise_values ? r.out_noise_values[i] : r.out_noise) *
                    normal_at(make_key(args().seed, kOutputNoise), (uint64_t)i, draw.pass, draw.sample);
        a = digitised(r, a, noise, make_key(args().seed, kOutputRounding), i, draw);
        if (!(r.out_bound > 0 && magnitude(a) > r.out_bound)) return {a * factor, 0, false};
        return {within(a, r.out_bound) * factor, 1, r.test_negative_bound || a > r.out_bound};
    }

    // An output of a pass, from the sums of its parts.
    TW_INLINE Converted convert_output(int64_t sample, const SampleState& state, int64_t i, float low, float high, uint32_t round,
                                       const InputSums* inputs) const {
        const float factor = io().out_scale * state.factor();
        const Draw first{round * 2, number(sample)}, second{round * 2 + 1, number(sample)};
        low = current(low, sample, 0, i, round, inputs);
        if (!split()) return digital(low, i, factor, first);
        high = current(high, sample, 1, i, round, inputs);
        if (io().mode == ProductMode::PosNegSeparate) return digital(low + high, i, factor, first);
        const Converted a = digital(low, i, 1, first), b = digital(high, i, 1, second);
        return {(a.value + b.value) * factor, a.clipped + b.clipped, a.over || b.over};
    }

    TW_INLINE void store(int64_t sample, int64_t i, float value, bool at_bound) const {
        args().y[sample * n_out() + i] = value;
        if (args().saturated) args().saturated[sample * n_out() + i] = at_bound;
    }

    // --- passes ----------------------------------------------------------------------------------------------------------

    TW_INLINE bool bounded() const { return io().bound_management != BoundManagement::None; }
    // Of a sample that is not repeated, whatever comes out.
    TW_INLINE void pass_once(int64_t sample, float alpha) const {
        count(kPasses, 1);
        report(sample, alpha, 1, 1);
    }
    // Whether the sample is to be repeated, with a smaller input.
    TW_INLINE bool reduce(SampleState& s) const {
        const ReadArgs& r = io();
        if (r.bound_management == BoundManagement::IterativeWorstCase && !s.worst_case) {
            s.worst_case = 1;
            s.alpha = s.worst_alpha;
            s.rho = 1;
            return true;
        }
        if (s.rho > r.max_bm_factor) return false;
        if (r.dac_step > 0 && s.rho > r.max_bm_res / r.dac_step) return false;
        s.rho *= 2;
        return true;
    }
    // After a pass; says whether there is another.
    TW_INLINE void conclude(int64_t sample, SampleState& s, bool over, int32_t clipped) const {
        ++s.passes;
        count(kPasses, 1);
        count(kClippedOutputs, clipped);
        s.active = over && reduce(s);
        if (s.active) return;
        count(kSaturatedOutputs, clipped);
        report(sample, s.alpha, s.rho, s.passes);
    }
    TW_INLINE void report(int64_t sample, float alpha, float rho, int32_t passes) const {
        if (args().alpha) args().alpha[sample] = alpha;
        if (args().rho) args().rho[sample] = rho;
        if (args().sample_passes) args().sample_passes[sample] = passes;
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
