// The analog product around its sums. One block has a sample's vectors; samples that have to be repeated are, in a block each
// and until they pass, so that nothing has to be known on the host.
#pragma once
#include "launch.hpp"
#include "product_job.hpp"

namespace tilewright::TW_ISA {
namespace {

// The largest inputs of each sample, for their mean.
struct MaximaBody {
    static constexpr int kThreads = 128;
    struct Shared {
        uint32_t largest;
    };
    ProductJob p;

    TW_INLINE bool phase(int step, Place at, Shared& shared) const {
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
    struct Shared {
        uint32_t largest, top;
        float positive[8], negative[8];
        int32_t clipped, lost;
        SampleState state;
    };
    ProductJob p;

    TW_INLINE bool phase(int step, Place at, Shared& shared) const {
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
            if (at.index() == 0) *p.memory.start = p.start ? *p.start : 0;
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

// From the sums to digital results, and, where bound management asks for them, all further passes of a sample.
struct FinishBody {
    static constexpr int kThreads = 256;
    struct Shared {
        SampleState state;
        float plain[2][8], squares[2][8];
        ProductJob::InputSums sums;
        int32_t clipped_inputs, clipped, flags;
    };
    ProductJob p;

    TW_INLINE bool phase(int step, Place at, Shared& shared) const {
        const int64_t sample = at.block;
        if (step == 0) {
            if (at.thread == 0) {
                shared.state = p.memory.state[sample];
                shared.clipped_inputs = 0;
            }
            if (at.index() == 0) p.job.clock.advance(p.args().samples, 0);
            return true;
        }
        const uint32_t round = (uint32_t)(step - 1) / 5;  // of the first one inputs and sums are there
        switch ((step - 1) % 5) {
            case 0:
                if (!shared.state.active) return false;
                if (round > 0) repeat_inputs(sample, round, at, shared);
                break;
            case 1:
                sum_inputs(sample, at, shared);
                if (round > 0) sum_outputs(sample, at);
                break;
            case 2:
                if (at.thread == 0) meet(shared);
                break;
            case 3: p.convert_outputs(sample, shared.state, round, shared.sums, at, &shared.clipped, &shared.flags); break;
            default:
                if (at.thread == 0) p.conclude(sample, shared.state, shared.flags & ProductJob::kOver, shared.clipped);
        }
        return true;
    }

  private:
    TW_INLINE void repeat_inputs(int64_t sample, uint32_t round, Place at, Shared& shared) const {
        const int32_t clipped = p.convert_inputs(sample, shared.state, round, at);
        if (clipped) add_to(&shared.clipped_inputs, clipped);
    }
    TW_INLINE void sum_inputs(int64_t sample, Place at, Shared& shared) const {
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
    TW_INLINE void sum_outputs(int64_t sample, Place at) const {
        const int64_t items = p.parts() * p.n_out();
        for (int kind = 0; kind < 4; ++kind) {
            if (!p.memory.sums[kind]) continue;
            for (int64_t item = at.thread; item < items; item += at.threads)
                p.memory.sums[kind][sample * items + item] =
                    p.sum_alone((Sum)kind, sample, (int)(item / p.n_out()), item % p.n_out());
        }
    }
    // What threads have summed and counted, and a clean sheet for the outputs.
    TW_INLINE void meet(Shared& shared) const {
        p.count(kClippedInputs, shared.clipped_inputs);
        shared.clipped_inputs = shared.clipped = shared.flags = 0;
        if (!p.needs_input_sums()) return;
        for (int part = 0; part < p.parts(); ++part) {
            shared.sums.plain[part] = tree(shared.plain[part]);
            shared.sums.squares[part] = tree(shared.squares[part]);
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
        if (item != 0) return;
        p.count(kPasses, p.args().samples);
        p.job.clock.advance(p.args().samples, 0);
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
