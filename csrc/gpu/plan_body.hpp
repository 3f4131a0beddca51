// The schedule of a transfer cell with choppers, settled on the device: rates, reads and flips of a mini-batch, as the
// processor settles them (transfer_plan.cpp) vector by vector. Which reads there are and what flips with them follows from
// where the cell stands at the beginning, so that each read, and each sign, is settled by itself.
#pragma once
#include "../transfer_plan.hpp"
#include "launch.hpp"
#include "noise.hpp"

namespace tilewright::TW_ISA {
namespace {

// Largest input and error of each vector, a block each.
struct LargestBody {
    static constexpr int kThreads = 128;
    struct Shared {
        uint32_t x, d;
    };
    TransferPlanArgs a;
    float *x_max, *d_max;

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        if (p == 0) {
            if (at.thread == 0) shared.x = shared.d = 0;
        } else if (p == 1) {
            raise_to(&shared.x, largest_of(a.x + at.block * a.inputs, a.inputs, at));
            raise_to(&shared.d, largest_of(a.d + at.block * a.outputs, a.outputs, at));
        } else {
            if (at.thread == 0) {
                x_max[at.block] = as_float(shared.x);
                d_max[at.block] = as_float(shared.d);
            }
            return false;
        }
        return true;
    }
};

// Reads of a mini-batch by their number: after which vector, of which line, and what flips with them.
struct Reads {
    enum Counter { kVectors = 0, kNextLine = 1, kSweeps = 2, kReads = 3 };

    const TransferPlanArgs& a;
    int64_t vectors, next_line, sweeps, first;  // where the cell stood before

    TW_INLINE explicit Reads(const TransferPlanArgs& args)
        : a(args), vectors(args.counters[kVectors]), next_line(args.counters[kNextLine]), sweeps(args.counters[kSweeps]),
          first(args.counters[kReads]) {}

    TW_INLINE int64_t lines() const { return a.columns ? a.inputs : a.outputs; }
    TW_INLINE int64_t length() const { return a.columns ? a.outputs : a.inputs; }
    TW_INLINE int64_t soonest() const { return a.period - 1 - vectors % a.period; }
    TW_INLINE int64_t count() const { return a.samples > soonest() ? (a.samples - 1 - soonest()) / a.period + 1 : 0; }
    TW_INLINE int64_t after(int64_t e) const { return soonest() + e * a.period; }
    TW_INLINE int64_t line(int64_t e) const { return (next_line + e) % lines(); }
    TW_INLINE int64_t sweeps_before(int64_t e) const { return sweeps + (next_line + e) / lines(); }

    TW_INLINE int64_t chop_period() const {
        if (!(a.in_chop_prob > 0)) return 0;
        const int64_t period = (int64_t)__builtin_ceil(1 / a.in_chop_prob);
        return period < 2 ? 2 : period;
    }
    // The chopper of the line flips after the read.
    TW_INLINE bool flips(int64_t e) const {
        const int64_t period = chop_period();
        if (period == 0) return false;
        if (a.in_chop_random && drawn(first + e, 0, a.in_chop_prob)) return true;
        return (a.dynamic || !a.in_chop_random) && sweeps_before(e) % period + 1 == period;
    }
    TW_INLINE int64_t first_sweep_end() const { return lines() - 1 - next_line; }
    // Choppers of outputs flip at the end of a sweep: their sign before read e, from the one after the mini-batch.
    TW_INLINE int out_sign(int64_t e, int64_t i) const {
        int sign = a.out_chop[i];
        if (!(a.out_chop_prob > 0)) return sign;
        int64_t end = first_sweep_end();
        if (end < e) end += (e - end + lines() - 1) / lines() * lines();
        for (; end < count(); end += lines())
            if (drawn(first + end, (uint32_t)(i + 1), a.out_chop_prob)) sign = -sign;
        return sign;
    }

  private:
    TW_INLINE bool drawn(int64_t read, uint32_t which, double probability) const {
        const uint32_t word = philox(make_key(a.seed, kField), which, 1, (uint64_t)read).w[0];
        return (double)word * 2.3283064365386963e-10 < probability;  // 2^-32
    }
};

// Rates and reads; then choppers and counters move on. One block.
struct TransferPlanBody {
    static constexpr int kThreads = 256;
    using Shared = Nothing;
    TransferPlanArgs a;
    const double* rate;          // instead of a.lr; null where that counts
    const float *x_max, *d_max;  // (samples) largest inputs and errors; used with automatic scaling
    int64_t* before;             // where the cell stood, by Reads::Counter

    TW_INLINE bool phase(int p, Place at, Shared&) const {
        if (p == 2) {
            if (at.thread == 0) move_on(Reads(a));
            return false;
        }
        const Reads reads(a);
        if (p == 0) {
            for (int64_t e = at.thread; e < reads.count(); e += at.threads) read(reads, e);
            if (at.thread == 0) {
                settle_rates();
                for (int k = 0; k < 4; ++k) before[k] = a.counters[k];
            }
        } else {
            for (int64_t e = at.thread; e < reads.count(); e += at.threads) finish(reads, e);
            if (!(a.out_chop_prob > 0)) return true;
            for (int64_t i = at.thread; i < reads.length(); i += at.threads) a.out_chop[i] = (int8_t)reads.out_sign(0, i);
        }
        return true;
    }

  private:
    TW_INLINE void follow(double& mean, double value) const {
        const double rate = (1 - a.auto_momentum) / (double)(a.samples > 0 ? a.samples : 1);
        if (mean <= 0) mean = value;
        else if (value > 0) mean = (1 - rate) * mean + rate * value;
    }
    TW_INLINE void move_on(const Reads& reads) const {
        const int64_t count = reads.count();
        a.counters[Reads::kVectors] += a.samples;
        a.counters[Reads::kNextLine] = reads.line(count);
        a.counters[Reads::kSweeps] = reads.sweeps_before(count);
        a.counters[Reads::kReads] += count;
    }
    // Of each vector, in order: running maxima follow them.
    TW_INLINE void settle_rates() const {
        const double given = rate ? *rate : a.lr;
        double x = a.maxima[0], d = a.maxima[1];
        for (int64_t s = 0; s < a.samples; ++s) {
            double lr = given;
            if (a.auto_scale) {
                follow(x, x_max[s]);
                follow(d, d_max[s]);
                lr *= a.largest_step;
                if (x > 0 && d > 0) lr /= x * d;
            }
            a.fast_lr[s] = (float)lr;
        }
        a.maxima[0] = x;
        a.maxima[1] = d;
    }

    TW_INLINE void read(const Reads& reads, int64_t e) const {
        const int64_t line = reads.line(e);
        a.event_after[e] = (int32_t)reads.after(e);
        a.event_line[e] = (int32_t)line;
        int sign = a.in_chop[line];
        for (int64_t k = e - reads.lines(); k >= 0; k -= reads.lines())
            if (reads.flips(k)) sign = -sign;
        a.event_sign[e] = (int8_t)sign;
        if (!a.dynamic) return;
        a.event_fresh[e] = e < reads.lines() ? a.switched[line] : (int8_t)reads.flips(e - reads.lines());
        a.event_writes[e] = reads.sweeps_before(e) > reads.chop_period();
    }
    // The rate of the read's vector; and the last read of a line leaves its chopper behind.
    TW_INLINE void finish(const Reads& reads, int64_t e) const {
        a.event_lr[e] = a.fast_lr[reads.after(e)];
        if (e + reads.lines() < reads.count()) return;
        const bool flips = reads.flips(e);
        const int64_t line = reads.line(e);
        a.in_chop[line] = (int8_t)(flips ? -a.event_sign[e] : a.event_sign[e]);
        if (a.dynamic) a.switched[line] = (int8_t)flips;
    }
};

// Vectors with the signs they meet, and those of the lines that are read. Choppers have moved on: a sign is found from what
// flips between then and the end of the mini-batch.
struct ChopBody : OnePhase<ChopBody, 256> {
    TransferPlanArgs a;
    int64_t* before;  // where the cell stood
    int64_t most;     // room for reads
    ChopBody(const TransferPlanArgs& args, int64_t* stood, int64_t room) : a(args), before(stood), most(room) { a.counters = before; }

    TW_INLINE void each(Place at) const {
        const Reads reads(a);
        const int64_t inputs = a.x_chopped ? a.samples * a.inputs : 0, errors = a.x_chopped ? a.samples * a.outputs : 0;
        int64_t item = at.index();
        if (item < inputs) {
            a.x_chopped[item] = a.x[item] * sign(reads, item / a.inputs, item % a.inputs, a.columns);
            return;
        }
        item -= inputs;
        if (item < errors) {
            a.d_chopped[item] = a.d[item] * sign(reads, item / a.outputs, item % a.outputs, !a.columns);
            return;
        }
        item -= errors;
        if (item < reads.count() * reads.length())
            a.event_out_sign[item] = (int8_t)reads.out_sign(item / reads.length(), item % reads.length());
    }
    int64_t blocks() const {
        const int64_t chopped = a.x_chopped ? a.samples * (a.inputs + a.outputs) : 0;
        return blocks_for(chopped + most * (a.columns ? a.outputs : a.inputs), kThreads);
    }

  private:
    // While vector s passes.
    TW_INLINE float sign(const Reads& reads, int64_t s, int64_t j, bool of_lines) const {
        const int64_t passed = s > reads.soonest() ? (s - 1 - reads.soonest()) / a.period + 1 : 0;  // reads before it
        if (!of_lines) return (float)reads.out_sign(passed, j);
        int64_t e = (j - reads.next_line + reads.lines()) % reads.lines();
        if (e < passed) e += (passed - e + reads.lines() - 1) / reads.lines() * reads.lines();
        return (float)(e < reads.count() ? a.event_sign[e] : a.in_chop[j]);
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
