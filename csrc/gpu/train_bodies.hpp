// The first half of an update: the schedule of each sample, then the pulse trains of its lines, or the levels where
// pulses are counted. A train is the processor's, bit for bit.
#pragma once
#include "../chances.hpp"
#include "../schedule.hpp"
#include "entries.hpp"
#include "launch.hpp"
#include "noise.hpp"

namespace tilewright::TW_ISA {
namespace {

// What an update keeps on the device between its kernels.
struct UpdateMemory {
    Schedule* plan;           // (samples)
    uint32_t *x_bits, *d_bits;  // (samples, words, lines): slots in the low bits, the sign of the line in the last word's top bit
    float *x_level, *d_level;   // (samples, lines)
    int64_t* start;             // the clock as the call found it, samples and calls; its last kernel moves the clock on
    int words;
};

struct UpdateJob {
    DeviceUpdate job;
    UpdateMemory memory;

    TW_INLINE int64_t samples() const {
        const int64_t most = job.update.samples;
        return job.live && *job.live < most ? *job.live : most;
    }
    TW_INLINE float lr(int64_t sample) const {
        return job.update.lr ? job.update.lr[job.update.lr_uniform ? 0 : sample] : job.lr_value;
    }
    TW_INLINE uint64_t number(int64_t sample) const {
        return job.update.first_sample + (uint64_t)memory.start[0] + (uint64_t)sample;
    }
    TW_INLINE uint64_t call() const { return job.update.call + (uint64_t)memory.start[1]; }
    TW_INLINE void begin() const {
        memory.start[0] = job.clock.samples ? *job.clock.samples : 0;
        memory.start[1] = job.clock.calls ? *job.clock.calls : 0;
    }
    // Where no sample counts, there was no call.
    TW_INLINE void end() const {
        if (samples() > 0) job.clock.advance(samples(), 1);
    }
    TW_INLINE void count(UpdateCount what, int64_t value) const {
        if (job.counts && value) add_to(job.counts + what, value);
    }
};

// A block finds the largest input and error of its sample, and settles the train.
struct PlanBody {
    static constexpr int kThreads = 128;
    struct Shared {
        uint32_t x, d;
    };
    UpdateJob u;

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        const UpdateArgs& s = u.job.update;
        if (p == 0) {
            if (at.thread == 0) shared.x = shared.d = 0;
        } else if (p == 1) {
            if (at.block < u.samples()) {
                raise_to(&shared.x, largest(s.x, s.x_hot, u.job.array.cols, at));
                raise_to(&shared.d, largest(s.d, s.d_hot, u.job.array.rows, at));
            }
        } else {
            if (at.thread == 0) settle(at.block, as_float(shared.x), as_float(shared.d));
            if (at.index() == 0) u.begin();
            return false;
        }
        return true;
    }

  private:
    TW_INLINE static uint32_t largest(const float* values, const int32_t* hot, int64_t n, Place at) {
        return hot ? as_bits(1.0f) : largest_of(values + at.block * n, n, at);
    }

    TW_INLINE void settle(int64_t sample, double x_max, double d_max) const {
        Schedule plan;
        const bool live = sample < u.samples();
        const float lr = live ? u.lr(sample) : 0;
        if (u.job.update.kind == PulseKind::ExactClipped) {
            plan.bl = lr != 0 ? 1 : 0;
        } else if (live) {
            plan = schedule(u.job.update, lr, x_max, d_max);
            u.count(kTruncated, plan.truncated);
            u.count(kEmpty, plan.bl == 0);
            u.count(kSlots, plan.bl);
        }
        u.memory.plan[sample] = plan;
    }
};

// Value of a line, a one where the sample names its only active line.
TW_INLINE float line_value(const Side& side, int64_t sample, int64_t line) {
    if (side.hot) return side.hot[sample] == line ? 1.0f : 0.0f;
    return side.values[sample * side.lines + line];
}

// A thread for each line of each sample, inputs first.
template <class Derived>
struct LinesBody : OnePhase<Derived, 128> {
    UpdateJob u;
    explicit LinesBody(const UpdateJob& job) : u(job) {}

    TW_INLINE void each(Place at) const {
        const UpdateArgs& s = u.job.update;
        const int64_t inputs = s.samples * u.job.array.cols, errors = s.samples * u.job.array.rows;
        const Derived& derived = *static_cast<const Derived*>(this);
        int64_t item = at.index();
        if (item < inputs) {
            const Side side{s.x, s.x_hot, u.job.array.cols, kInputLine, kInputRound, false};
            derived.line(side, item / side.lines, item % side.lines);
            return;
        }
        item -= inputs;
        if (item >= errors) return;
        const Side side{s.d, s.d_hot, u.job.array.rows, kErrorLine, kErrorRound, true};
        derived.line(side, item / side.lines, item % side.lines);
    }
    int64_t blocks() const { return blocks_for(u.job.update.samples * (u.job.array.rows + u.job.array.cols), 128); }
};

struct TrainsBody : LinesBody<TrainsBody> {
    using LinesBody<TrainsBody>::LinesBody;

    TW_INLINE void line(const Side& side, int64_t sample, int64_t line) const {
        const UpdateArgs& s = u.job.update;
        const Schedule plan = u.memory.plan[sample];
        const int words = u.memory.words;
        uint32_t* out = (side.errors ? u.memory.d_bits : u.memory.x_bits) + sample * words * side.lines + line;
        float p = 0;
        ChancesOf<float> c{};
        if (plan.bl > 0) {
            const float v = line_value(side, sample, line);
            p = quantised(magnitude(v) * (side.errors ? plan.a : plan.b), resolution_width(s.res), s.sto_round,
                          make_key(s.seed, side.rounding), (uint32_t)line, u.number(sample));
            const uint32_t negative = v < 0.0f;
            c = chances(p, side.errors && u.lr(sample) < 0 ? ~negative : negative);
        }
        const Key key = make_key(s.seed, side.bits);
        WordsOf<uint32_t> random{};
        for (int word = 0; word < words; ++word) {
            uint32_t bits = 0;
            for (int b = 0; b < 32 && p > 0; ++b) {
                const int slot = word * 32 + b;
                if (slot >= plan.bl) break;
                bits |= fires(c, draw(key, plan.bl, line, slot, sample, random)) << b;
            }
            if (word == words - 1) bits |= c.negative << 31;
            out[word * side.lines] = bits;
        }
    }

  private:
    // The random word of a slot: one call of the generator gives four slots of a line, or the slots of several lines
    // where trains are short.
    TW_INLINE uint32_t draw(Key key, int bl, int64_t line, int slot, int64_t sample, WordsOf<uint32_t>& random) const {
        const uint64_t number = u.number(sample);
        if (bl > 2) {
            if ((slot & 3) == 0) random = philox(key, (uint32_t)line, (uint32_t)(slot >> 2), number);
            return word_of(random, slot & 3);
        }
        const int64_t vector = line / 8, quad = vector / kQuad;
        const int served = (int)kQuad / bl, k = (int)(vector % kQuad);
        if (slot == 0)
            random = philox(key, (uint32_t)((quad * bl + k / served) * 8 + line % 8), kShortTrain + (uint32_t)bl, number);
        return word_of(random, k % served * bl + slot);
    }
};

struct LevelsBody : LinesBody<LevelsBody> {
    using LinesBody<LevelsBody>::LinesBody;

    TW_INLINE void line(const Side& side, int64_t sample, int64_t line) const {
        const UpdateArgs& s = u.job.update;
        const Schedule plan = u.memory.plan[sample];
        const float v = plan.bl > 0 ? line_value(side, sample, line) : 0.0f, lr = u.lr(sample);  // what does not count may be unset
        float level = 0;
        if (s.kind == PulseKind::ExactClipped) {
            level = side.errors ? v * lr : v;
        } else {
            const bool mean = s.kind == PulseKind::MeanCount;
            const float res = resolution_width(mean ? s.res : side.errors ? s.d_res : s.x_res);
            float p = quantised(magnitude(v) * (side.errors ? plan.a : plan.b), res, s.sto_round,
                                make_key(s.seed, side.rounding), (uint32_t)line, u.number(sample));
            p = minimum(maximum(p, 0.0f), 1.0f);
            if (mean) p = round_even(p * (float)plan.bl);
            level = ((side.errors && lr < 0) ? v > 0.0f : v < 0.0f) ? -p : p;
        }
        (side.errors ? u.memory.d_level : u.memory.x_level)[sample * side.lines + line] = level;
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
