// The first half of an update: the schedule of each sample, and the pulse trains of its lines, or the levels where pulses
// are counted. A train is the processor's, bit for bit.
#pragma once
#include "../chances.hpp"
#include "../schedule.hpp"
#include "entries.hpp"
#include "launch.hpp"
#include "noise.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int kWordSlots = 31;  // of a train; the top bit of each of its words is the sign of the line

// What an update keeps on the device between its kernels.
struct UpdateMemory {
    uint32_t *x, *d;  // (samples, words, lines): trains, or the bits of levels in a word each
    float* bl;        // (samples) lengths of trains, where pulses are counted
    int64_t* start;   // number of the call; its last kernel moves the clock on
    int words;
};

struct UpdateKeys {
    Key input_bits, input_rounding, error_bits, error_rounding, pulses, writes;
    explicit UpdateKeys(uint64_t seed)
        : input_bits(make_key(seed, kInputLine)), input_rounding(make_key(seed, kInputRound)), error_bits(make_key(seed, kErrorLine)),
          error_rounding(make_key(seed, kErrorRound)), pulses(make_key(seed, kCrosspointNoise)), writes(make_key(seed, kWriteNoise)) {}
};

struct UpdateJob {
    DeviceUpdate job;
    UpdateMemory memory;
    UpdateKeys keys;

    TW_INLINE int64_t samples() const {
        const int64_t most = job.update.samples;
        return job.live && *job.live < most ? *job.live : most;
    }
    TW_INLINE float lr(int64_t sample) const {
        return job.update.lr ? job.update.lr[job.update.lr_uniform ? 0 : sample] : job.lr_value;
    }
    // As long as the clock stands.
    TW_INLINE uint64_t number(int64_t sample) const {
        return job.update.first_sample + (uint64_t)(job.clock.samples ? *job.clock.samples : 0) + (uint64_t)sample;
    }
    TW_INLINE void begin() const { *memory.start = job.clock.calls ? *job.clock.calls : 0; }
    // While the clock may move on.
    TW_INLINE uint64_t call() const { return job.update.call + (uint64_t)*memory.start; }
    // Where no sample counts, there was no call.
    TW_INLINE void end() const {
        if (samples() > 0) job.clock.advance(samples(), 1);
    }
    TW_INLINE void count(UpdateCount what, int64_t value) const {
        if (job.counts && value) add_to(job.counts + what, value);
    }
};

// The lines of one side of an array, in one sample.
struct SideLines {
    const float* values;
    bool is_hot;
    int32_t hot;  // the only active one
    int64_t lines;
    Key bits, rounding;
    bool errors;

    TW_INLINE float value(int64_t line) const { return is_hot ? (hot == line ? 1.0f : 0.0f) : values[line]; }
};

// A block has some of the lines of one sample, inputs first. Each finds the largest input and error of the sample again and
// settles the train, which is less work than to wait for another kernel.
template <class Derived>
struct LinesBody {
    static constexpr int kThreads = 256, kResident = 4;
    struct Shared {
        uint32_t x, d;
        int bl;
        float a, b;  // see Schedule
    };
    UpdateJob u;
    explicit LinesBody(const UpdateJob& job) : u(job) {}

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        const UpdateArgs& s = u.job.update;
        const int64_t cols = u.job.array.cols, rows = u.job.array.rows;
        const uint32_t parts = (uint32_t)in_sample();
        const int64_t sample = (uint32_t)at.block / parts;
        const int64_t item = (int64_t)((uint32_t)at.block % parts) * at.threads + at.thread;
        if (p == 0) {
            if (at.thread == 0) shared.x = shared.d = 0;
            if (at.index() == 0) u.begin();
            return sample < u.samples();
        }
        const UpdateKeys& keys = u.keys;
        if (p == 1) {
            raise_to(&shared.x, largest(s.x, s.x_hot, sample, cols, at));
            raise_to(&shared.d, largest(s.d, s.d_hot, sample, rows, at));
            return true;
        }
        if (p == 2) {
            if (at.thread == 0) {
                const Schedule plan = settle(sample, as_float(shared.x), as_float(shared.d), item == 0);
                shared.bl = plan.bl;
                shared.a = plan.a;
                shared.b = plan.b;
            }
            return true;
        }
        Schedule plan;
        plan.bl = shared.bl;
        plan.a = shared.a;
        plan.b = shared.b;
        const Derived& derived = *static_cast<const Derived*>(this);
        if (item < cols) {
            const int32_t hot = s.x_hot ? s.x_hot[sample] : 0;
            derived.line({s.x + sample * cols, s.x_hot != nullptr, hot, cols, keys.input_bits, keys.input_rounding, false}, plan, sample, item);
        } else if (item < cols + rows) {
            const int32_t hot = s.d_hot ? s.d_hot[sample] : 0;
            derived.line({s.d + sample * rows, s.d_hot != nullptr, hot, rows, keys.error_bits, keys.error_rounding, true}, plan, sample, item - cols);
        }
        return false;
    }
    int64_t blocks() const { return u.job.update.samples * in_sample(); }

  private:
    TW_INLINE int64_t in_sample() const { return blocks_for(u.job.array.rows + u.job.array.cols, kThreads); }
    TW_INLINE static uint32_t largest(const float* values, const int32_t* hot, int64_t sample, int64_t n, Place at) {
        return hot ? as_bits(1.0f) : largest_of(values + sample * n, n, at);
    }

    // The first block of a sample reports it.
    TW_INLINE Schedule settle(int64_t sample, double x_max, double d_max, bool first) const {
        Schedule plan;
        const float lr = u.lr(sample);
        if (u.job.update.kind == PulseKind::ExactClipped) {
            plan.bl = lr != 0 ? 1 : 0;
            return plan;
        }
        plan = schedule(u.job.update, lr, x_max, d_max);
        if (!first) return plan;
        u.count(kTruncated, plan.truncated);
        u.count(kEmpty, plan.bl == 0);
        u.count(kSlots, plan.bl);
        if (u.memory.bl) u.memory.bl[sample] = (float)plan.bl;
        return plan;
    }
};

struct TrainsBody : LinesBody<TrainsBody> {
    using LinesBody<TrainsBody>::LinesBody;

    TW_INLINE void line(const SideLines& side, const Schedule& plan, int64_t sample, int64_t line) const {
        const UpdateArgs& s = u.job.update;
        const int words = u.memory.words, bl = plan.bl;
        uint32_t* out = (side.errors ? u.memory.d : u.memory.x) + sample * words * side.lines + line;
        const uint64_t number = u.number(sample);
        float p = 0;
        ChancesOf<float> c{};
        if (bl > 0) {
            const float v = side.value(line);
            p = quantised(magnitude(v) * (side.errors ? plan.a : plan.b), resolution_width(s.res), s.sto_round, side.rounding,
                          (uint32_t)line, number);
            const uint32_t negative = v < 0.0f;
            c = chances(p, side.errors && u.lr(sample) < 0 ? ~negative : negative);
        }
        const uint32_t sign = c.negative << 31;
        uint64_t fired = 0;  // slots that no word holds yet
        int n = 0, word = 0;
        if (p > 0 && bl > 2) {
            for (int slot = 0; slot < bl; slot += 4) {
                fired |= (uint64_t)fires_of(c, philox(side.bits, (uint32_t)line, (uint32_t)(slot >> 2), number), bl - slot) << n;
                n += 4;
                if (n < kWordSlots) continue;
                if (word == words) break;  // longer than was said beforehand
                out[word++ * side.lines] = ((uint32_t)fired & 0x7fffffffu) | sign;
                fired >>= kWordSlots;
                n -= kWordSlots;
            }
        } else if (p > 0) {
            fired = short_train(side, c, bl, line, number);
        }
        for (; word < words; ++word) {
            out[word * side.lines] = (uint32_t)fired | sign;
            fired = 0;
        }
    }

  private:
    // Of four slots those that fire, as far as the train goes.
    TW_INLINE static uint32_t fires_of(const ChancesOf<float>& c, const WordsOf<uint32_t>& random, int slots) {
        const uint32_t four = fires(c, random.w[0]) | fires(c, random.w[1]) << 1 | fires(c, random.w[2]) << 2 | fires(c, random.w[3]) << 3;
        return slots < 4 ? four & ((1u << slots) - 1) : four;
    }
    // One or two slots: one call of the generator serves several lines.
    TW_INLINE static uint32_t short_train(const SideLines& side, const ChancesOf<float>& c, int bl, int64_t line, uint64_t number) {
        const uint32_t vector = (uint32_t)line / 8, quad = vector / kQuad, k = vector % kQuad;
        const uint32_t served = bl == 1 ? kQuad : kQuad / 2, shared_by = bl == 1 ? 0 : k / served;
        const WordsOf<uint32_t> random =
            philox(side.bits, (quad * (uint32_t)bl + shared_by) * 8 + (uint32_t)line % 8, kShortTrain + (uint32_t)bl, number);
        const int first = (int)(k % served) * bl;
        return fires(c, word_of(random, first)) | (bl == 2 ? fires(c, word_of(random, first + 1)) << 1 : 0);
    }
};

struct LevelsBody : LinesBody<LevelsBody> {
    using LinesBody<LevelsBody>::LinesBody;

    TW_INLINE void line(const SideLines& side, const Schedule& plan, int64_t sample, int64_t line) const {
        const UpdateArgs& s = u.job.update;
        const float v = plan.bl > 0 ? side.value(line) : 0.0f, lr = u.lr(sample);
        float level = 0;
        if (s.kind == PulseKind::ExactClipped) {
            level = side.errors ? v * lr : v;
        } else if (plan.bl > 0) {
            const bool mean = s.kind == PulseKind::MeanCount;
            const float res = resolution_width(mean ? s.res : side.errors ? s.d_res : s.x_res);
            float p = quantised(magnitude(v) * (side.errors ? plan.a : plan.b), res, s.sto_round, side.rounding, (uint32_t)line, u.number(sample));
            p = minimum(maximum(p, 0.0f), 1.0f);
            if (mean) p = round_even(p * (float)plan.bl);
            level = ((side.errors && lr < 0) ? v > 0.0f : v < 0.0f) ? -p : p;
        }
        (side.errors ? u.memory.d : u.memory.x)[sample * side.lines + line] = as_bits(level);
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
