// Reads of single lines, the buffer they fill, and the accumulator of mixed precision. What is sent is packed on the
// device, as the processor packs it, and its number stays there.
#pragma once
#include "../line_read.hpp"
#include "entries.hpp"
#include "launch.hpp"
#include "noise.hpp"

namespace tilewright::TW_ISA {
namespace {

// Crosspoint j of the line of an event, as the read delivers it.
TW_INLINE float line_at(const BufferArgs& b, int64_t e, int64_t j, uint64_t first = 0) {
    const uint64_t event = b.first_event + first + (uint64_t)e;
    const float noise = b.io.out_noise > 0 ? normal_at(make_key(b.seed, kOutputNoise), (uint64_t)j, 0, event) : 0;
    const float weight_noise = b.io.w_noise > 0 ? normal_at(make_key(b.seed, kWeightNoise), (uint64_t)j, 0, event) : 0;
    return read_line(b, b.lines[e * b.length + j], noise, weight_noise, make_key(b.seed, kOutputRounding), j, event);
}

struct NextLinesBody {
    static constexpr int kThreads = 128;
    using Shared = Nothing;
    LinesArgs a;

    TW_INLINE bool phase(int p, Place at, Shared&) const {
        const int64_t events = a.transfers * a.reads;
        if (p == 0) {
            for (int64_t e = at.thread; e < events; e += at.threads) {
                a.line[e] = (int32_t)((a.counters[0] + e) % a.lines);
                a.after[e] = (int32_t)(a.soonest + e / a.reads * a.period);
            }
            if (at.thread == 0) *a.first = a.counters[1];
            return true;
        }
        if (at.thread == 0) {
            a.counters[0] = (a.counters[0] + events) % a.lines;
            a.counters[1] += events;
            a.counters[2] += a.transfers;
            *a.vectors += a.more;
        }
        return false;
    }
};

struct ReadLinesBody : OnePhase<ReadLinesBody, 128> {
    BufferArgs b;
    const int64_t* first;  // added to the number of the first event; null is 0
    ReadLinesBody(const BufferArgs& args, const int64_t* first_at) : b(args), first(first_at) {}

    TW_INLINE void each(Place at) const {
        const int64_t item = at.index();
        if (item >= b.events * b.length) return;
        b.pulses[item] = line_at(b, item / b.length, item % b.length, first ? (uint64_t)*first : 0);
    }
    int64_t blocks() const { return blocks_for(b.events * b.length, kThreads); }
};

// Running means of reads: a thread has one element of all lines, and takes the events in order.
struct FollowBody : OnePhase<FollowBody, 128> {
    FollowArgs f;
    const int64_t* first;
    FollowBody(const FollowArgs& args, const int64_t* first_at) : f(args), first(first_at) {}

    TW_INLINE void each(Place place) const {
        const BufferArgs& b = f.reads;
        const int64_t j = place.index();
        if (j >= b.length) return;
        for (int64_t e = 0; e < b.events; ++e) {
            const int64_t at = b.line[e] * b.line_stride + j * b.element_stride;
            const float value = line_at(b, e, j, first ? (uint64_t)*first : 0), before = b.mean[at];
            const float mean = before + b.mean_rate * (value - before);
            b.mean[at] = mean;
            float delivered;
            if (f.threshold >= 0) delivered = magnitude(mean) > f.threshold ? mean : 0.0f;
            else delivered = value - (f.frozen ? f.frozen[at] : mean);
            f.out[e * b.length + j] = -delivered;
        }
    }
    int64_t blocks() const { return blocks_for(f.reads.length, kThreads); }
};

// Reads into the buffer. Blocks share out the lines, and each takes the reads of its own in order. What they send is moved
// together afterwards; a single read has nothing before it.
struct BufferBody {
    static constexpr int kThreads = 256;
    struct Shared {
        int64_t event;
        int32_t sends;
    };
    BufferArgs b;
    const int64_t* first;  // added to the number of the first event; null is 0
    int64_t groups;        // of lines, a block each
    float* steps;          // (events, length) what each read sends, not packed
    int32_t* holds;        // (events) whether there is any
    int64_t* live;         // where there is one event at most: number of events that send pulses; null otherwise

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        if (p == 0) {
            if (at.thread == 0) {
                shared.event = next(0, at.block);
                shared.sends = 0;
                if (live) *live = 0;
            }
        } else if (p % 2 == 1) {
            if (shared.event == b.events) return false;
            if (line(shared.event, at)) mark(&shared.sends, 1);
        } else if (at.thread == 0) {
            conclude(shared);
            shared.event = next(shared.event + 1, at.block);
            shared.sends = 0;
        }
        return true;
    }

  private:
    TW_INLINE int64_t next(int64_t event, int64_t group) const {
        while (event < b.events && b.line[event] % groups != group) ++event;
        return event;
    }
    TW_INLINE void conclude(const Shared& shared) const {
        const int32_t sent = shared.sends && (!b.writes || b.writes[shared.event]);
        b.sent_event[shared.event] = 0;  // what is packed into fewer places leaves no others unset
        if (live) *live = sent;
        else holds[shared.event] = sent;
    }
    // The part of a thread; says whether it sends pulses.
    TW_INLINE bool line(int64_t e, Place place) const {
        bool sends = false;
        for (int64_t j = place.thread; j < b.length; j += place.threads) {
            const int64_t at = b.line[e] * b.line_stride + j * b.element_stride;
            float value = line_at(b, e, j, first ? (uint64_t)*first : 0);
            if (b.mean) value = relative(value, e, at);
            float sign = b.line_sign ? (float)b.line_sign[e] : 1.0f;
            if (b.out_sign) sign *= (float)b.out_sign[e * b.length + j];
            const BufferStep<float> step = fill(b, b.restart ? 0.0f : b.buffer[at], sign * b.gain[e] * value);
            b.buffer[at] = step.held;
            sends |= step.pulses != 0.0f;
            steps[e * b.length + j] = -step.pulses;
        }
        return sends;
    }
    // The read less its reference, whose mean follows the reads.
    TW_INLINE float relative(float value, int64_t e, int64_t at) const {
        const float mean = b.mean[at];
        if (b.fresh[e]) b.reference[at] = mean;
        const float reference = b.reference[at];
        b.mean[at] = mean + b.mean_rate * (value - mean);
        return value - reference;
    }
};

// What no integer holds, and nan, becomes the lowest one, as it does in the vectors of the processor.
TW_INLINE float whole_steps(float v) { return magnitude(v) < 2147483648.0f ? whole_part(v) : -2147483648.0f; }

// The whole steps of a row, taken out of it; a block each, into the row's own place.
struct CarryBody {
    static constexpr int kThreads = 128;
    struct Shared {
        uint32_t largest;
    };
    CarryArgs c;
    float* steps;     // (rows, cols), not packed
    int32_t* holds;   // (rows) whether there is any

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        float* row = c.accumulator + c.rows[at.block] * c.cols;
        float* out = steps + at.block * c.cols;
        if (p == 0) {
            if (at.thread == 0) shared.largest = 0;
        } else if (p == 1) {
            float most = 0;
            for (int64_t j = at.thread; j < c.cols; j += at.threads) {
                out[j] = whole_steps(row[j] / c.step);
                most = maximum(magnitude(out[j]), most);
            }
            raise_to(&shared.largest, as_bits(most));
        } else {
            const float largest = as_float(shared.largest);
            if (at.thread == 0) {
                holds[at.block] = largest != 0;
                c.sent_row[at.block] = 0;  // what is packed into fewer places leaves no others unset
            }
            if (largest == 0) return false;
            const float taken = c.step * (largest > c.most_steps ? c.most_steps / largest : 1.0f);
            for (int64_t j = at.thread; j < c.cols; j += at.threads) row[j] = row[j] - out[j] * taken;
            return false;
        }
        return true;
    }
};

// Rows that hold anything, moved together.
struct PackBody {
    static constexpr int kThreads = 128;
    struct Shared {
        int32_t before;
    };
    const float* rows;      // (blocks, width)
    const int32_t* holds;   // (blocks)
    const int32_t* number;  // (blocks) of each row; null where they are numbered one after the other
    int64_t count, width;
    float* packed;    // (live, width)
    int32_t* source;  // (live) numbers of the rows
    int64_t* live;

    TW_INLINE bool phase(int p, Place at, Shared& shared) const {
        const int64_t r = at.block;
        if (p == 0) {
            if (at.thread == 0) shared.before = 0;
        } else if (p == 1) {
            int32_t before = 0;
            for (int64_t k = at.thread; k < r; k += at.threads) before += holds[k];
            if (before) add_to(&shared.before, before);
        } else {
            const int64_t place = shared.before;
            if (holds[r])
                for (int64_t j = at.thread; j < width; j += at.threads) packed[place * width + j] = rows[r * width + j];
            if (at.thread == 0) {
                if (holds[r]) source[place] = number ? number[r] : (int32_t)r;
                if (r + 1 == count) *live = place + holds[r];
            }
            return false;
        }
        return true;
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
