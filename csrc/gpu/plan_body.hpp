// The schedule of a transfer cell with choppers, settled on the device: rates, reads and flips of a mini-batch, as the
// processor settles them (transfer_plan.cpp). One block passes the vectors in order, since each may flip signs for the next.
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

struct TransferPlanBody {
    static constexpr int kThreads = 256;
    struct Shared {
        int64_t events, line, read;  // line -1: no read after this vector
        bool sweep_done;
    };
    TransferPlanArgs a;
    const double* rate;          // instead of a.lr; null where that counts
    const float *x_max, *d_max;  // (samples) largest inputs and errors; used with automatic scaling
    int64_t* first_read;         // number of the first read of this mini-batch

    enum Counter { kVectors = 0, kNextLine = 1, kSweeps = 2, kReads = 3 };

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        if (p == 0) {
            if (at.thread == 0) {
                shared.events = 0;
                *first_read = a.counters[kReads];
            }
            return true;
        }
        const int64_t s = (p - 1) / 3;
        if (s == a.samples) return false;
        switch ((p - 1) % 3) {
            case 0:
                if (a.x_chopped) chop(s, at);
                break;
            case 1:
                if (at.thread == 0) settle(s, shared);
                break;
            default:
                if (shared.line >= 0) out_signs(at, shared);
        }
        return true;
    }

  private:
    TW_INLINE int64_t lines() const { return a.columns ? a.inputs : a.outputs; }
    TW_INLINE int64_t length() const { return a.columns ? a.outputs : a.inputs; }

    TW_INLINE void chop(int64_t s, Place at) const {
        const int8_t *x_sign = a.columns ? a.in_chop : a.out_chop, *d_sign = a.columns ? a.out_chop : a.in_chop;
        for (int64_t j = at.thread; j < a.inputs; j += at.threads)
            a.x_chopped[s * a.inputs + j] = a.x[s * a.inputs + j] * (float)x_sign[j];
        for (int64_t i = at.thread; i < a.outputs; i += at.threads)
            a.d_chopped[s * a.outputs + i] = a.d[s * a.outputs + i] * (float)d_sign[i];
    }

    TW_INLINE void follow(double& mean, double value) const {
        const double rate = (1 - a.auto_momentum) / (double)(a.samples > 0 ? a.samples : 1);
        if (mean <= 0) mean = value;
        else if (value > 0) mean = (1 - rate) * mean + rate * value;
    }
    TW_INLINE bool drawn(uint64_t read, uint32_t which, double probability) const {
        const uint32_t word = philox(make_key(a.seed, kField), which, 1, read).w[0];
        return (double)word * 2.3283064365386963e-10 < probability;  // 2^-32
    }

    // The rate of a vector, and the read after it where one is due.
    TW_INLINE void settle(int64_t s, Shared& shared) const {
        double lr = rate ? *rate : a.lr;
        if (a.auto_scale) {
            follow(a.maxima[0], x_max[s]);
            follow(a.maxima[1], d_max[s]);
            lr *= a.largest_step;
            if (a.maxima[0] > 0 && a.maxima[1] > 0) lr /= a.maxima[0] * a.maxima[1];
        }
        a.fast_lr[s] = (float)lr;
        shared.line = -1;
        if (++a.counters[kVectors] % a.period != 0) return;
        int64_t chop_period = 0;
        if (a.in_chop_prob > 0) {
            chop_period = (int64_t)__builtin_ceil(1 / a.in_chop_prob);
            if (chop_period < 2) chop_period = 2;
        }
        const int64_t e = shared.events++, line = a.counters[kNextLine];
        shared.line = line;
        shared.sweep_done = line + 1 == lines();
        a.event_after[e] = (int32_t)s;
        a.event_line[e] = (int32_t)line;
        a.event_lr[e] = (float)lr;
        a.event_sign[e] = a.in_chop[line];
        const int64_t turn = chop_period > 0 ? a.counters[kSweeps] % chop_period + 1 : 0;
        if (a.dynamic) {
            a.event_fresh[e] = a.switched[line];
            a.event_writes[e] = a.counters[kSweeps] > chop_period;
            a.switched[line] = 0;
        }
        shared.read = a.counters[kReads]++;
        if (chop_period > 0) {
            const bool by_chance = a.in_chop_random && drawn((uint64_t)shared.read, 0, a.in_chop_prob);
            if (by_chance || ((a.dynamic || !a.in_chop_random) && turn == chop_period)) {
                a.in_chop[line] = (int8_t)-a.in_chop[line];
                if (a.dynamic) a.switched[line] = 1;
            }
        }
        a.counters[kNextLine] = (line + 1) % lines();
        if (shared.sweep_done) ++a.counters[kSweeps];
    }

    // Signs of the elements of the line that is read, and their flips after a sweep.
    TW_INLINE void out_signs(Place at, const Shared& shared) const {
        for (int64_t i = at.thread; i < length(); i += at.threads) {
            a.event_out_sign[(shared.events - 1) * length() + i] = a.out_chop[i];
            if (shared.sweep_done && a.out_chop_prob > 0 && drawn((uint64_t)shared.read, (uint32_t)(i + 1), a.out_chop_prob))
                a.out_chop[i] = (int8_t)-a.out_chop[i];
        }
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
