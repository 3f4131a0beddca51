// The analog product, as the processor does it and to the same bits: scale and DAC, sums, noise and ADC, and repetition of
// saturated samples. One block has a sample's vectors, and the sums share out outputs; samples that have to be repeated
// are, in a block each and until they pass, so that nothing has to be known on the host.
#pragma once
#include "../converter.hpp"
#include "entries.hpp"
#include "launch.hpp"
#include "noise.hpp"

namespace tilewright::TW_ISA {
namespace {

struct SampleState {
    float alpha, rho, worst_alpha;
    int32_t passes, active, worst_case;
    TW_INLINE float factor() const { return alpha > 0 ? alpha * rho : rho; }
};

enum class Sum : int { Current = 0, Variance = 1, Load = 2, Loss = 3 };  // weights and inputs, their sizes and squares, ...

struct ProductMemory {
    float* inputs;       // (samples, parts, inputs)
    float* sums[4];      // by Sum: (samples, parts, outputs); null where it is not needed
    SampleState* state;  // (samples)
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

    TW_INLINE const ProductArgs& args() const { return job.product; }
    TW_INLINE const ReadArgs& io() const { return job.product.io; }
    TW_INLINE int64_t n_in() const { return args().transposed ? args().rows : args().cols; }
    TW_INLINE int64_t n_out() const { return args().transposed ? args().cols : args().rows; }
    TW_INLINE bool split() const { return io().mode >= ProductMode::PosNegSeparate; }
    TW_INLINE int parts() const { return split() ? 2 : 1; }
    TW_INLINE uint64_t number(int64_t sample) const {
        return args().first_sample + (job.clock.samples ? (uint64_t)*job.clock.samples : 0) + (uint64_t)sample;
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

    // One output by one thread, in the order of the processor: sixteen strands of a row, or down a column.
    TW_INLINE float sum_alone(Sum sum, int64_t sample, int part, int64_t i) const {
        const float* v = inputs_of(sample, part);
        const int64_t n = n_in();
        if (args().transposed) {
            float total = 0;
            for (int64_t r = 0; r < n; ++r) total = fused(weight(sum, part, r * args().cols + i), input(sum, v, r), total);
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

    // Sums over all inputs of a part.
    struct InputSums {
        float plain[2], squares[2];
    };
    TW_INLINE bool needs_input_sums() const { return offsets() || adds_noise(); }

    // The current of an output with what wires, references and read noise make of it.
    TW_INLINE float current(int64_t sample, int part, int64_t i, uint32_t round, const InputSums& inputs) const {
        const ReadArgs& r = io();
        const int64_t k = (sample * parts() + part) * n_out() + i;
        float y = memory.sums[(int)Sum::Current][k];
        if (r.ir_drop > 0) {
            const float h = (float)n_in() / r.ir_drop_g_ratio * memory.sums[(int)Sum::Load][k];
            y -= r.ir_drop * (h * (0.05f * h * h - 0.2f * h + 0.5f)) * memory.sums[(int)Sum::Loss][k];
        }
        if (offsets()) y = offset(y, r.offset_values ? r.offset_values[i] : 0.0f, -r.v_offset_w_min * inputs.plain[part]);
        if (reads_noise() || adds_noise()) {
            const float spread = square_root(reads_noise() ? memory.sums[(int)Sum::Variance][k] : inputs.squares[part]);
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

    enum Flag : int32_t { kOver = 1 };

    // Nonlinearity, asymmetry, noise, ADC and its bound.
    TW_INLINE float digital(float a, int64_t i, float factor, Draw draw, int32_t& clipped, int32_t& flags, bool& at_bound) const {
        const ReadArgs& r = io();
        float noise = 0;
        if (r.nonlinearity_values) a = a * r.nonlinearity_gain / (1.0f + r.nonlinearity_values[i] * magnitude(a));
        if (r.out_noise > 0)
            noise = (r.out_noise_values ? r.out_noise_values[i] : r.out_noise) *
                    normal_at(make_key(args().seed, kOutputNoise), (uint64_t)i, draw.pass, draw.sample);
        a = digitised(r, a, noise, make_key(args().seed, kOutputRounding), i, draw);
        if (r.out_bound > 0 && magnitude(a) > r.out_bound) {
            if (r.test_negative_bound || a > r.out_bound) flags |= kOver;
            ++clipped;
            at_bound = true;
            a = within(a, r.out_bound);
        }
        return a * factor;
    }

    // Outputs of a thread.
    TW_INLINE void convert_outputs(int64_t sample, const SampleState& state, uint32_t round, const InputSums& inputs, Place at,
                                   int32_t* clipped, int32_t* flags) const {
        const float factor = io().out_scale * state.factor();
        const Draw first{round * 2, number(sample)}, second{round * 2 + 1, number(sample)};
        int32_t own_clipped = 0, own_flags = 0;
        for (int64_t i = at.thread; i < n_out(); i += at.threads) {
            bool at_bound = false;
            float result;
            if (io().mode == ProductMode::PosNegSeparateDigitalSum) {
                const float low = digital(current(sample, 0, i, round, inputs), i, 1, first, own_clipped, own_flags, at_bound);
                const float high = digital(current(sample, 1, i, round, inputs), i, 1, second, own_clipped, own_flags, at_bound);
                result = (low + high) * factor;
            } else {
                float y = current(sample, 0, i, round, inputs);
                if (split()) y = y + current(sample, 1, i, round, inputs);
                result = digital(y, i, factor, first, own_clipped, own_flags, at_bound);
            }
            args().y[sample * n_out() + i] = result;
            if (args().saturated) args().saturated[sample * n_out() + i] = at_bound;
        }
        if (own_clipped) add_to(clipped, own_clipped);
        if (own_flags) mark(flags, own_flags);
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
        s.active = over && io().bound_management != BoundManagement::None && reduce(s);
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

// The largest inputs of each sample, for their mean.
struct MaximaBody {
    static constexpr int kThreads = 128;
    using Own = Nothing;
    struct Shared {
        uint32_t largest;
    };
    ProductJob p;

    TW_INLINE bool phase(int step, Place at, Own&, Shared& shared) const {
        if (step == 0) {
            if (at.thread == 0) shared.largest = 0;
        } else if (step == 1) {
            raise_to(&shared.largest, largest_of(p.args().x + at.block * p.n_in(), p.n_in(), at));
        } else {
            if (at.thread == 0) p.memory.maxima[at.block] = as_float(shared.largest);
            return false;
        }
        return true;
    }
};

// Moves the running mean of the largest inputs when learning, and settles the scale.
struct AverageBody : OnePhase<AverageBody, 1> {
    ProductJob p;
    explicit AverageBody(const ProductJob& job) : p(job) {}

    TW_INLINE void each(Place) const {
        double sum = 0;
        for (int64_t s = 0; s < p.args().samples; ++s) sum += p.memory.maxima[s];
        const float now = (float)(sum / (double)p.args().samples);
        float* average = p.args().average;
        float scale = now;
        if (average) {
            const bool known = *average >= 0;
            if (p.args().learn_average) *average = known ? (1 - p.io().nm_decay) * *average + p.io().nm_decay * now : now;
            if (known || p.args().learn_average) scale = *average;
        }
        *p.memory.average = scale;
    }
};

// Scale and inputs of the first pass; samples without a scale, or with inputs that are no numbers, are done.
struct PrepareBody {
    static constexpr int kThreads = 128;
    using Own = Nothing;
    struct Shared {
        uint32_t largest, top;
        float positive[8], negative[8];
        int32_t clipped, lost;
        SampleState state;
    };
    ProductJob p;

    TW_INLINE bool phase(int step, Place at, Own&, Shared& shared) const {
        const int64_t sample = at.block, n = p.n_in();
        const float* x = p.args().x + sample * n;
        if (step == 0) {
            if (at.thread == 0) {
                shared.largest = shared.top = 0;
                shared.clipped = shared.lost = 0;
            }
        } else if (step == 1) {
            measure(x, n, at, shared);
        } else if (step == 2) {
            if (at.thread == 0) settle(sample, shared);
        } else if (step == 3) {
            if (shared.state.active) {
                const int32_t clipped = p.convert_inputs(sample, shared.state, 0, at);
                if (clipped) add_to(&shared.clipped, clipped);
            } else {
                fill(sample, shared.lost ? __builtin_nanf("") : 0.0f, at);
            }
        } else {
            if (at.thread == 0) p.count(kClippedInputs, shared.clipped);
            return false;
        }
        return true;
    }

  private:
    TW_INLINE bool sums() const {
        return p.io().noise_management == NoiseManagement::AbsMaxNPSum ||
               p.io().bound_management == BoundManagement::IterativeWorstCase;
    }
    TW_INLINE void measure(const float* x, int64_t n, Place at, Shared& shared) const {
        raise_to(&shared.largest, largest_of(x, n, at));
        for (int64_t j = at.thread; j < n; j += at.threads) {
            const float v = x[j];
            if (v != v) mark(&shared.lost, 1);
            else if (p.io().noise_management == NoiseManagement::Max) raise_to(&shared.top, ordered(v));
        }
        if (!sums() || at.thread >= 8) return;
        float positive = 0, negative = 0;
        for (int64_t j = at.thread; j < n; j += 8) {
            positive += maximum(x[j], 0.0f);
            negative -= minimum(x[j], 0.0f);
        }
        shared.positive[at.thread] = positive;
        shared.negative[at.thread] = negative;
    }
    TW_INLINE void settle(int64_t sample, Shared& shared) const {
        if (shared.lost) {  // no converter delivers nan, and noise and clipping would make a plausible number of it
            p.memory.state[sample] = shared.state = SampleState{0, 1, 0, 0, 0, 0};
            p.report(sample, __builtin_nanf(""), 1, 0);
            return;
        }
        ProductJob::Extent x{as_float(shared.largest), from_ordered(shared.top), 0, 0};
        if (sums()) {
            x.up = tree(shared.positive);
            x.down = tree(shared.negative);
        }
        const float alpha = p.scale(p.io().noise_management, x);
        const bool silent = alpha <= 0 && p.io().zero_silent;
        SampleState& s = shared.state;
        s = SampleState{alpha, 1, 0, 0, silent ? 0 : 1, 0};
        if (p.io().bound_management == BoundManagement::IterativeWorstCase) s.worst_alpha = p.scale(NoiseManagement::AbsMaxNPSum, x);
        p.memory.state[sample] = s;
        if (!silent) return;
        p.count(kLostInputs, x.largest > 0);
        p.report(sample, alpha, 1, 0);
    }
    // The outputs of a sample that is done.
    TW_INLINE void fill(int64_t sample, float value, Place at) const {
        for (int64_t i = at.thread; i < p.n_out(); i += at.threads) {
            p.args().y[sample * p.n_out() + i] = value;
            if (p.args().saturated) p.args().saturated[sample * p.n_out() + i] = 0;
        }
        const int64_t width = p.parts() * p.n_in();  // the sums pass over it all the same
        for (int64_t j = at.thread; j < width; j += at.threads) p.memory.inputs[sample * width + j] = 0;
    }
};

// Sums of all samples. Rows of the weight: sixteen threads an output, whose strands meet in shared memory; columns: a
// thread an output. Each thread has S rows of inputs and, of a row's outputs, kOutputs.
template <int S, bool Plain>
struct SumsBody {
    static constexpr int kThreads = 128, kOutputs = 2, kGroups = kThreads / 16;
    using Own = Nothing;
    struct Shared {
        float strands[kOutputs][S][kThreads];
    };
    ProductJob p;
    Sum sum;
    const float* inputs;  // (rows, n_in)
    float* out;           // (rows, n_out)
    int64_t rows;         // samples times parts
    float factor;

    int64_t across() const { return blocks_for(p.n_out(), p.args().transposed ? kThreads : kOutputs * kGroups); }
    int64_t blocks() const { return across() * blocks_for(rows, S); }

    TW_INLINE bool phase(int step, Place at, Own&, Shared& shared) const {
        const int64_t wide = p.args().transposed ? kThreads : kOutputs * kGroups;
        const int64_t columns = (p.n_out() + wide - 1) / wide;
        const int64_t first_row = at.block / columns * S, first_out = at.block % columns * wide;
        if (p.args().transposed) {
            down_column(first_row, first_out + at.thread);
            return false;
        }
        if (step == 0) {
            strands(first_row, first_out + at.thread / 16, at.thread, shared);
            return true;
        }
        for (int item = at.thread; item < kOutputs * kGroups * S; item += kThreads) {
            const int output = item % (kOutputs * kGroups), s = item / (kOutputs * kGroups);
            if (first_row + s < rows && first_out + output < p.n_out())
                out[(first_row + s) * p.n_out() + first_out + output] = meet(shared.strands[output / kGroups][s] + output % kGroups * 16) * factor;
        }
        return false;
    }

  private:
    TW_INLINE float weight(int64_t row, int64_t k) const {
        return Plain ? p.args().weight[k] : p.weight(sum, (int)(row % p.parts()), k);
    }
    TW_INLINE float input(int64_t row, int64_t j) const {
        const float* v = inputs + row * p.n_in();
        return Plain ? v[j] : p.input(sum, v, j);
    }
    TW_INLINE static float meet(const float* strand) {
        float v[8];
#pragma unroll
        for (int l = 0; l < 8; ++l) v[l] = strand[l] + strand[l + 8];
        return tree(v);
    }

    TW_INLINE void strands(int64_t first_row, int64_t output, int thread, Shared& shared) const {
        float total[kOutputs][S] = {};
        const int64_t n = p.n_in(), last_row = rows - 1, last_out = p.n_out() - 1;
        for (int64_t j = thread % 16; j < n; j += 16) {
            float v[S];
#pragma unroll
            for (int s = 0; s < S; ++s) v[s] = input(first_row + s < last_row ? first_row + s : last_row, j);
#pragma unroll
            for (int k = 0; k < kOutputs; ++k) {
                const int64_t o = output + k * kGroups < last_out ? output + k * kGroups : last_out;
                const float w = weight(first_row, o * n + j);
#pragma unroll
                for (int s = 0; s < S; ++s) total[k][s] = fused(w, v[s], total[k][s]);
            }
        }
#pragma unroll
        for (int k = 0; k < kOutputs; ++k)
#pragma unroll
            for (int s = 0; s < S; ++s) shared.strands[k][s][thread] = total[k][s];
    }

    TW_INLINE void down_column(int64_t first_row, int64_t j) const {
        if (j >= p.n_out()) return;
        float total[S] = {};
        const int64_t last_row = rows - 1;
#pragma unroll 8
        for (int64_t i = 0; i < p.n_in(); ++i) {
            const float w = weight(first_row, i * p.args().cols + j);
#pragma unroll
            for (int s = 0; s < S; ++s) total[s] = fused(w, input(first_row + s < last_row ? first_row + s : last_row, i), total[s]);
        }
#pragma unroll
        for (int s = 0; s < S; ++s)
            if (first_row + s < rows) out[(first_row + s) * p.n_out() + j] = total[s] * factor;
    }
};

// From the sums of a pass to digital results.
struct FinishShared {
    SampleState state;
    float plain[2][8], squares[2][8];
    ProductJob::InputSums sums;
    int32_t clipped_inputs, clipped, flags;
};

TW_INLINE void sum_inputs(const ProductJob& p, int64_t sample, Place at, FinishShared& shared) {
    if (!p.needs_input_sums() || at.thread >= 8 * p.parts()) return;
    const int part = at.thread / 8, strand = at.thread % 8;
    const float* v = p.inputs_of(sample, part);
    float plain = 0, squares = 0;
    for (int64_t j = strand; j < p.n_in(); j += 8) {
        plain += v[j];
        squares += v[j] * v[j];
    }
    shared.plain[part][strand] = plain;
    shared.squares[part][strand] = squares;
}
TW_INLINE void meet_inputs(const ProductJob& p, FinishShared& shared) {
    shared.clipped = shared.flags = 0;
    if (!p.needs_input_sums()) return;
    for (int part = 0; part < p.parts(); ++part) {
        shared.sums.plain[part] = tree(shared.plain[part]);
        shared.sums.squares[part] = tree(shared.squares[part]);
    }
}

struct FinishBody {
    static constexpr int kThreads = 128;
    using Own = Nothing;
    using Shared = FinishShared;
    ProductJob p;

    TW_INLINE bool phase(int step, Place at, Own&, Shared& shared) const {
        const int64_t sample = at.block;
        if (step == 0) {
            if (at.thread == 0) shared.state = p.memory.state[sample];
            return true;
        }
        if (!shared.state.active) return false;
        if (step == 1) sum_inputs(p, sample, at, shared);
        if (step == 2 && at.thread == 0) meet_inputs(p, shared);
        if (step == 3) p.convert_outputs(sample, shared.state, 0, shared.sums, at, &shared.clipped, &shared.flags);
        if (step < 4) return true;
        if (at.thread == 0) {
            SampleState state = shared.state;
            p.conclude(sample, state, shared.flags & ProductJob::kOver, shared.clipped);
            p.memory.state[sample] = state;
        }
        return false;
    }
};

// All further passes of a sample, where bound management asks for them.
struct RepeatBody {
    static constexpr int kThreads = 256;
    using Own = Nothing;
    using Shared = FinishShared;
    ProductJob p;

    TW_INLINE bool phase(int step, Place at, Own&, Shared& shared) const {
        const int64_t sample = at.block;
        if (step == 0) {
            if (at.thread == 0) {
                shared.state = p.memory.state[sample];
                shared.clipped_inputs = 0;
            }
            return true;
        }
        const uint32_t round = 1 + (uint32_t)(step - 1) / 5;
        switch ((step - 1) % 5) {
            case 0: {
                if (!shared.state.active) return false;
                const int32_t clipped = p.convert_inputs(sample, shared.state, round, at);
                if (clipped) add_to(&shared.clipped_inputs, clipped);
                break;
            }
            case 1:
                sum_inputs(p, sample, at, shared);
                sum_outputs(sample, at);
                break;
            case 2:
                if (at.thread == 0) {
                    p.count(kClippedInputs, shared.clipped_inputs);
                    shared.clipped_inputs = 0;
                    meet_inputs(p, shared);
                }
                break;
            case 3: p.convert_outputs(sample, shared.state, round, shared.sums, at, &shared.clipped, &shared.flags); break;
            default:
                if (at.thread == 0) p.conclude(sample, shared.state, shared.flags & ProductJob::kOver, shared.clipped);
        }
        return true;
    }

  private:
    TW_INLINE void sum_outputs(int64_t sample, Place at) const {
        const int64_t items = p.parts() * p.n_out();
        for (int kind = 0; kind < 4; ++kind) {
            if (!p.memory.sums[kind]) continue;
            for (int64_t item = at.thread; item < items; item += at.threads)
                p.memory.sums[kind][sample * items + item] =
                    p.sum_alone((Sum)kind, sample, (int)(item / p.n_out()), item % p.n_out());
        }
    }
};

// A perfect product has no passes to speak of.
struct PerfectBody : OnePhase<PerfectBody, 128> {
    ProductJob p;
    explicit PerfectBody(const ProductJob& job) : p(job) {}

    TW_INLINE void each(Place at) const {
        const int64_t item = at.index();
        if (p.args().saturated && item < p.args().samples * p.n_out()) p.args().saturated[item] = 0;
        if (item < p.args().samples) p.report(item, 1, 1, 1);
        if (item == 0) p.count(kPasses, p.args().samples);
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
