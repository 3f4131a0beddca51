// The sums of an analog product, of all samples and outputs at once, and what becomes of them in its first pass.
#pragma once
#include "block_sums.hpp"
#include "launch.hpp"

namespace tilewright::TW_ISA {
namespace {

// A block has some vectors and outputs. Its sums are currents, which it makes digital, or a part of their errors, for later.
template <class Sums>
struct SumsBody {
    static constexpr int kThreads = Sums::kThreads;
    using Shared = typename Sums::Shared;
    Operands of;
    float* out;  // (rows, n_out) sums that are kept; null where they are currents

    int64_t across() const { return blocks_for(of.p.n_out(), Sums::outputs_of(of)); }
    int64_t blocks() const { return across() * blocks_for(of.rows, Sums::kRows); }

    TW_INLINE bool phase(int step, Place at, Shared& shared) const {
        const ProductJob& p = of.p;
        const int wide = Sums::outputs_of(of);
        const int64_t columns = (p.n_out() + wide - 1) / wide;
        const int64_t first_row = at.block / columns * Sums::kRows, first_out = at.block % columns * wide;
        if (step < Sums::steps(of)) {
            Sums::step(of, step, first_row, first_out, at.thread, shared);
            return true;
        }
        if (!out && at.index() == 0) p.job.clock.advance(p.args().samples, 0);
        const int parts = out ? 1 : p.parts();
        for (int item = at.thread; item < wide * (Sums::kRows / parts); item += at.threads) {
            const int output = item % wide, row = item / wide * parts;
            if (first_row + row >= of.rows || first_out + output >= p.n_out()) continue;
            const float low = Sums::total(of, row, output, shared);
            if (out) out[(first_row + row) * p.n_out() + first_out + output] = low;
            else deliver((first_row + row) / parts, first_out + output, low, parts == 2 ? Sums::total(of, row + 1, output, shared) : 0);
        }
        return false;
    }

  private:
    TW_INLINE void deliver(int64_t sample, int64_t i, float low, float high) const {
        const ProductJob& p = of.p;
        if (p.io().mode == ProductMode::Perfect) {
            p.store(sample, i, low * p.io().out_scale, false);
            if (i == 0) p.pass_once(sample, 1);
            return;
        }
        const SampleState state = p.memory.state[sample];
        if (!state.active) return;
        const ProductJob::Converted y = p.convert_output(sample, state, i, low, high, 0, p.memory.input_sums + sample);
        p.store(sample, i, y.value, y.clipped > 0);
        if (p.bounded()) {  // what comes next is for another kernel
            if (y.clipped) add_to(p.memory.clipped + sample, y.clipped);
            if (y.over) mark(p.memory.over + sample, 1);
            return;
        }
        if (y.clipped) {
            p.count(kClippedOutputs, y.clipped);
            p.count(kSaturatedOutputs, y.clipped);
        }
        if (i == 0) p.pass_once(sample, state.alpha);
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
