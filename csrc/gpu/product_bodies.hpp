// The analog product around its sums. One block has a sample's vectors; samples that have to be repeated are, in a block each
// and until they pass, so that nothing has to be known on the host.
#pragma once
#include "block_sums.hpp"
#include "launch.hpp"

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

// Sums over a sample's inputs, in strands that a thread each takes.
struct InputStrands {
    float plain[2][8], squares[2][8];

    TW_INLINE void take(const ProductJob& p, int64_t sample, int thread) {
        if (thread >= 8 * p.parts()) return;
        const int part = thread / 8, strand = thread % 8;
        const float* v = p.inputs_of(sample, part);
        float sum = 0, square = 0;
        for (int64_t j = strand; j < p.n_in(); j += 8) {
            sum += v[j];
            square += v[j] * v[j];
        }
        plain[part][strand] = sum;
        squares[part][strand] = square;
    }
    TW_INLINE InputSums meet(const ProductJob& p) const {
        InputSums sums{};
        for (int part = 0; part < p.parts(); ++part) {
            sums.plain[part] = tree(plain[part]);
            sums.squares[part] = tree(squares[part]);
        }
        return sums;
    }
};

// Scale and inputs of the first pass; samples without a scale, or with inputs that are no numbers, are done.
template <int Threads>
struct PrepareBody {
    static constexpr int kThreads = Threads;
    struct Shared {
        uint32_t largest, top;
        float positive[8], negative[8];
        int32_t clipped, lost;
        SampleState state;
        InputStrands strands;
    };
    ProductJob p;

    TW_INLINE bool phase(int step, Place at, Shared& shared) const {
        const int64_t sample = at.block, n = p.n_in();
        const float* x = p.args().x + sample * n;
        switch (step) {
            case 0:
                if (at.thread == 0) {
                    shared.largest = shared.top = 0;
                    shared.clipped = shared.lost = 0;
                }
                return true;
            case 1: measure(x, n, at, shared); return true;
            case 2:
                if (at.thread == 0) settle(sample, shared);
                return true;
            case 3:
                if (shared.state.active) {
                    const int32_t clipped = p.convert_inputs(sample, shared.state, 0, at);
                    if (clipped) add_to(&shared.clipped, clipped);
                } else {
                    fill(sample, shared.lost ? __builtin_nanf("") : 0.0f, at);
                }
                return true;
            case 4:
                if (at.thread == 0) {
                    p.count(kClippedInputs, shared.clipped);
                    p.memory.clipped[sample] = p.memory.over[sample] = 0;
                }
                if (at.index() == 0) *p.memory.start = p.start ? *p.start : 0;
                if (!p.needs_input_sums()) return false;
                shared.strands.take(p, sample, at.thread);
                return true;
            default:
                if (at.thread == 0) p.memory.input_sums[sample] = shared.strands.meet(p);
                return false;
        }
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

// All further passes of samples that have outputs at their bound, where bound management asks for them; for the others
// nothing is left but to say so. A block sums the vectors of its sample as blocks of the first pass do, piece by piece.
template <class Sums>
struct RepeatBody {
    static constexpr int kThreads = Sums::kThreads, kResident = 1;
    struct Shared {
        typename Sums::Shared sums;
        SampleState state;
        InputStrands strands;
        InputSums inputs;
        int32_t clipped_inputs, clipped, over;
    };
    Operands of;

    TW_INLINE bool phase(int step, Place at, Shared& shared) const {
        const ProductJob& p = of.p;
        const int64_t sample = at.block;
        if (step == 0) {
            if (at.thread == 0) first_pass(sample, shared);
            return true;
        }
        const int wide = Sums::outputs_of(of);
        const int64_t pieces = (p.n_out() + wide - 1) / wide;
        const int64_t of_piece = Sums::steps(of) + 1, of_pass = 4 + pieces * of_piece;
        const uint32_t round = (uint32_t)((step - 1) / of_pass) + 1;
        const int64_t now = (step - 1) % of_pass;
        if (now == 0) {
            if (!shared.state.active) return false;
            const int32_t clipped = p.convert_inputs(sample, shared.state, round, at);
            if (clipped) add_to(&shared.clipped_inputs, clipped);
        } else if (now == 1) {
            if (p.needs_input_sums()) shared.strands.take(p, sample, at.thread);
            sum_errors(sample, at);
        } else if (now == 2) {
            if (at.thread == 0) meet(shared);
        } else if (now == of_pass - 1) {
            if (at.thread == 0) p.conclude(sample, shared.state, shared.over, shared.clipped);
        } else {
            const int64_t piece = (now - 3) / of_piece, part_of_it = (now - 3) % of_piece;
            if (part_of_it < of_piece - 1) Sums::step(of, (int)part_of_it, sample * p.parts(), piece * wide, at.thread, shared.sums);
            else convert(sample, piece * wide, round, at, shared);
        }
        return true;
    }

  private:
    TW_INLINE void first_pass(int64_t sample, Shared& shared) const {
        shared.state = of.p.memory.state[sample];
        shared.clipped_inputs = 0;
        if (shared.state.active) of.p.conclude(sample, shared.state, of.p.memory.over[sample], of.p.memory.clipped[sample]);
    }
    TW_INLINE void sum_errors(int64_t sample, Place at) const {
        const ProductJob& p = of.p;
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
        of.p.count(kClippedInputs, shared.clipped_inputs);
        shared.clipped_inputs = shared.clipped = shared.over = 0;
        if (of.p.needs_input_sums()) shared.inputs = shared.strands.meet(of.p);
    }
    TW_INLINE void convert(int64_t sample, int64_t first_out, uint32_t round, Place at, Shared& shared) const {
        const ProductJob& p = of.p;
        for (int output = at.thread; output < Sums::outputs_of(of) && first_out + output < p.n_out(); output += at.threads) {
            const float low = Sums::total(of, 0, output, shared.sums);
            const float high = p.split() ? Sums::total(of, 1, output, shared.sums) : 0;
            const ProductJob::Converted y = p.convert_output(sample, shared.state, first_out + output, low, high, round, &shared.inputs);
            p.store(sample, first_out + output, y.value, y.clipped > 0);
            if (y.clipped) add_to(&shared.clipped, y.clipped);
            if (y.over) mark(&shared.over, 1);
        }
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
