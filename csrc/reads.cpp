// Noisy reads of single lines, and the digital buffer that they fill until it makes whole pulses.
#include "converter.hpp"
#include "entries.hpp"
#include "line_read.hpp"
#include "random.hpp"

namespace tilewright::TW_ISA {
namespace {

constexpr int64_t kNoiseBlock = 32;  // crosspoints of a line whose noise is drawn together

// Noise of the reads, in groups of crosspoints of a line.
class LineNoise {
  public:
    explicit LineNoise(const BufferArgs& b)
        : b_(b), noise_key_(make_key(b.seed, kOutputNoise)), weight_key_(make_key(b.seed, kWeightNoise)),
          rounding_(make_key(b.seed, kOutputRounding)) {}

    // Eight crosspoints from j on of event e; to be asked for in order of j.
    TW_INLINE f8 read(int64_t e, int64_t j) {
        const uint64_t event = b_.first_event + (uint64_t)e;
        if (j % kNoiseBlock == 0) {
            if (b_.io.out_noise > 0) noise_ = normal_block(noise_key_, (uint32_t)(j / kNoiseBlock), 0, event);
            if (b_.io.w_noise > 0) weight_noise_ = normal_block(weight_key_, (uint32_t)(j / kNoiseBlock), 0, event);
        }
        const int64_t part = j % kNoiseBlock / kLanes;
        const f8 weights = load_first(b_.lines + e * b_.length + j, b_.length - j);
        return read_line(b_, weights, noise_.normals[part], weight_noise_.normals[part], rounding_, j, event);
    }

  private:
    const BufferArgs& b_;
    const Key noise_key_, weight_key_, rounding_;
    NormalBlock noise_ = {}, weight_noise_ = {};
};

// Part of a line of a digital array, gathered and scattered with the stride of its elements.
TW_INLINE f8 gather(const float* at, int64_t stride, int64_t used) {
    if (stride == 1) return load_first(at, used);
    if (used >= kLanes) return load_at(at, lane_index() * (uint32_t)stride);
    f8 v = {};
    for (int64_t l = 0; l < used; ++l) v[l] = at[l * stride];
    return v;
}
TW_INLINE void scatter(float* at, int64_t stride, int64_t used, f8 v) {
    if (stride == 1) return store_first(at, v, used);
    float value[kLanes];
    store(value, v);
    if (used >= kLanes) {
        for (int64_t l = 0; l < kLanes; ++l) at[l * stride] = value[l];
    } else {
        for (int64_t l = 0; l < used; ++l) at[l * stride] = value[l];
    }
}

// Calls body(event, j) for every eight elements of all lines: all events at 32 elements before the next 32, since columns
// that follow each other share cache lines. Each element sees its events in order.
template <class Body>
TW_INLINE void for_elements(const BufferArgs& b, const Body& body) {
    for (int64_t first = 0; first < b.length; first += kNoiseBlock) {
        const int64_t last = first + kNoiseBlock < b.length ? first + kNoiseBlock : b.length;
        for (int64_t e = 0; e < b.events; ++e)
            for (int64_t j = first; j < last; j += kLanes) body(e, j);
    }
}

// Choppers of up to eight elements.
TW_INLINE f8 signs_of(const int8_t* at, int64_t used) {
    typedef int8_t Bytes __attribute__((vector_size(8)));
    Bytes held = {};
    if (used >= kLanes) std::memcpy(&held, at, sizeof held);
    else for (int64_t l = 0; l < used; ++l) held[l] = at[l];
    return to_float(__builtin_convertvector(held, i8));
}

// What the digital arrays hold at eight crosspoints of a line.
struct Held {
    f8 buffer = {}, mean = {}, reference = {};
};

// A read passes the buffer at eight crosspoints from j on; returns the pulses that leave it.
TW_INLINE f8 pass(const BufferArgs& b, int64_t e, int64_t j, int64_t used, f8 value, Held& held) {
    if (b.mean) {  // the read less its reference, whose mean follows the reads
        if (b.fresh[e]) held.reference = held.mean;
        held.mean = held.mean + b.mean_rate * (value - held.mean);
        value = value - held.reference;
    }
    f8 sign = splat(b.line_sign ? (float)b.line_sign[e] : 1.0f);
    if (b.out_sign) sign = sign * signs_of(b.out_sign + e * b.length + j, used);
    const BufferStep<f8> step = fill(b, b.restart ? splat(0.0f) : held.buffer, sign * b.gain[e] * value);
    held.buffer = step.held;
    return step.pulses;
}

// Eight neighbours of eight rows become eight neighbours of eight columns.
TW_INLINE void transpose(f8* v) {
    f8 t[kLanes];
    for (int k = 0; k < 8; k += 2) {
        t[k] = __builtin_shufflevector(v[k], v[k + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        t[k + 1] = __builtin_shufflevector(v[k], v[k + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int k = 0; k < 8; k += 4)
        for (int l = 0; l < 2; ++l) {
            v[k + l] = __builtin_shufflevector(t[k + l], t[k + l + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            v[k + l + 2] = __builtin_shufflevector(t[k + l], t[k + l + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int k = 0; k < 4; ++k) {
        t[k] = __builtin_shufflevector(v[k], v[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        t[k + 4] = __builtin_shufflevector(v[k], v[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int k = 0; k < 8; ++k) v[k] = t[k];
}

// Eight crosspoints of each of eight neighbouring lines, whose elements are `stride` apart.
TW_INLINE void load_lines(const float* at, int64_t stride, f8* lines) {
    for (int64_t k = 0; k < kLanes; ++k) lines[k] = load(at + k * stride);
    transpose(lines);
}
TW_INLINE void store_lines(float* at, int64_t stride, f8* lines) {
    transpose(lines);
    for (int64_t k = 0; k < kLanes; ++k) store(at + k * stride, lines[k]);
}

// Everything a buffer does with its reads. Columns that follow each other pass it eight at a time: gathered one by one they
// would take several times longer.
class BufferPass {
  public:
    BufferPass(const BufferArgs& b, bool* sends) : b_(b), line_(b), sends_(sends) {}

    // All events at 32 elements before the next 32, since columns share cache lines. Each element sees its events in order.
    void run() {
        for (int64_t first = 0; first < b_.length; first += kNoiseBlock) {
            const int64_t last = first + kNoiseBlock < b_.length ? first + kNoiseBlock : b_.length;
            for (int64_t e = 0; e < b_.events;) {
                const bool eight = neighbours(e);
                if (eight) eight_lines(e, first, last);
                else for (int64_t j = first; j < last; j += kLanes) single(e, j, line_.read(e, j));
                e += eight ? kLanes : 1;
            }
        }
    }

  private:
    // Whether eight lines from event e on lie side by side.
    bool neighbours(int64_t e) const {
        if (b_.line_stride != 1 || e + kLanes > b_.events) return false;
        for (int64_t k = 1; k < kLanes; ++k)
            if (b_.line[e + k] != b_.line[e] + k) return false;
        return true;
    }

    void eight_lines(int64_t e, int64_t first, int64_t last) {
        f8 value[kLanes][kNoiseBlock / kLanes];
        for (int64_t k = 0; k < kLanes; ++k)
            for (int64_t j = first; j < last; j += kLanes) value[k][(j - first) / kLanes] = line_.read(e + k, j);
        for (int64_t j = first; j < last; j += kLanes) {
            const int64_t part = (j - first) / kLanes;
            if (last - j >= kLanes) square(e, j, value, part);
            else for (int64_t k = 0; k < kLanes; ++k) single(e + k, j, value[k][part]);
        }
    }

    void square(int64_t e, int64_t j, const f8 (*value)[kNoiseBlock / kLanes], int64_t part) {
        const int64_t at = b_.line[e] + j * b_.element_stride;
        f8 buffer[kLanes], mean[kLanes] = {}, reference[kLanes] = {};
        load_lines(b_.buffer + at, b_.element_stride, buffer);
        bool fresh = false;
        if (b_.mean) {
            load_lines(b_.mean + at, b_.element_stride, mean);
            load_lines(b_.reference + at, b_.element_stride, reference);
        }
        for (int64_t k = 0; k < kLanes; ++k) {
            Held held{buffer[k], mean[k], reference[k]};
            deliver(e + k, j, pass(b_, e + k, j, kLanes, value[k][part], held));
            buffer[k] = held.buffer, mean[k] = held.mean, reference[k] = held.reference;
            fresh |= b_.mean && b_.fresh[e + k];
        }
        store_lines(b_.buffer + at, b_.element_stride, buffer);
        if (b_.mean) store_lines(b_.mean + at, b_.element_stride, mean);
        if (fresh) store_lines(b_.reference + at, b_.element_stride, reference);
    }

    void single(int64_t e, int64_t j, f8 value) {
        const int64_t lanes = b_.length - j, used = lanes < kLanes ? lanes : kLanes;
        const int64_t at = b_.line[e] * b_.line_stride + j * b_.element_stride;
        Held held;
        held.buffer = gather(b_.buffer + at, b_.element_stride, used);
        if (b_.mean) {
            held.mean = gather(b_.mean + at, b_.element_stride, used);
            held.reference = gather(b_.reference + at, b_.element_stride, used);
        }
        deliver(e, j, pass(b_, e, j, used, value, held));
        scatter(b_.buffer + at, b_.element_stride, used, held.buffer);
        if (!b_.mean) return;
        scatter(b_.mean + at, b_.element_stride, used, held.mean);
        if (b_.fresh[e]) scatter(b_.reference + at, b_.element_stride, used, held.reference);
    }

    TW_INLINE void deliver(int64_t e, int64_t j, f8 pulses) {
        sends_[e] |= any((u8)(pulses != 0.0f));
        store_first(b_.pulses + e * b_.length + j, -pulses, b_.length - j);
    }

    const BufferArgs& b_;
    LineNoise line_;
    bool* sends_;
};

}  // namespace

void read_lines(const BufferArgs& b) {
    LineNoise line(b);
    for (int64_t e = 0; e < b.events; ++e)
        for (int64_t j = 0; j < b.length; j += kLanes) store_first(b.pulses + e * b.length + j, line.read(e, j), b.length - j);
}

// The running mean follows each read; delivered is the read less its reference, or the mean where it is large enough.
void follow(const FollowArgs& f) {
    const BufferArgs& b = f.reads;
    LineNoise line(b);
    for_elements(b, [&](int64_t e, int64_t j) {
        const int64_t lanes = b.length - j, used = lanes < kLanes ? lanes : kLanes;
        const int64_t at = b.line[e] * b.line_stride + j * b.element_stride;
        const f8 value = line.read(e, j), before = gather(b.mean + at, b.element_stride, used);
        const f8 mean = before + b.mean_rate * (value - before);
        scatter(b.mean + at, b.element_stride, used, mean);
        f8 delivered;
        if (f.threshold >= 0) delivered = blend(magnitude(mean) > f.threshold, mean, splat(0.0f));
        else delivered = value - (f.frozen ? gather(f.frozen + at, b.element_stride, used) : mean);
        store_first(f.out + e * b.length + j, -delivered, lanes);
    });
}

int64_t buffer(const BufferArgs& b) {
    Scratch<bool> sends(b.events);
    sends.clear(b.events);
    BufferPass(b, sends.data).run();
    int64_t sent = 0;
    for (int64_t e = 0; e < b.events; ++e) {
        if (!sends[e] || (b.writes && !b.writes[e])) continue;
        if (sent < e) std::memcpy(b.pulses + sent * b.length, b.pulses + e * b.length, (size_t)b.length * sizeof(float));
        b.sent_event[sent++] = (int32_t)e;
    }
    return sent;
}

}  // namespace tilewright::TW_ISA
