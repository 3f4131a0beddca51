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

// The read less its reference, whose mean follows the reads.
TW_INLINE f8 relative_read(const BufferArgs& b, f8 value, int64_t e, int64_t at, int64_t used) {
    f8 mean = gather(b.mean + at, b.element_stride, used);
    f8 reference = gather(b.reference + at, b.element_stride, used);
    if (b.fresh[e]) {
        reference = mean;
        scatter(b.reference + at, b.element_stride, used, reference);
    }
    scatter(b.mean + at, b.element_stride, used, mean + b.mean_rate * (value - mean));
    return value - reference;
}

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
    LineNoise line(b);
    Scratch<bool> sends(b.events);
    sends.clear(b.events);
    for_elements(b, [&](int64_t e, int64_t j) {
        const int64_t lanes = b.length - j, used = lanes < kLanes ? lanes : kLanes;
        const int64_t at = b.line[e] * b.line_stride + j * b.element_stride;
        f8 value = line.read(e, j);
        if (b.mean) value = relative_read(b, value, e, at, used);
        f8 sign = splat(b.line_sign ? (float)b.line_sign[e] : 1.0f);
        if (b.out_sign) sign = sign * signs_of(b.out_sign + e * b.length + j, used);
        const f8 held = b.restart ? splat(0.0f) : gather(b.buffer + at, b.element_stride, used);
        const BufferStep<f8> step = fill(b, held, sign * b.gain[e] * value);
        scatter(b.buffer + at, b.element_stride, used, step.held);
        sends[e] |= any((u8)(step.pulses != 0.0f));
        store_first(b.pulses + e * b.length + j, -step.pulses, lanes);
    });
    int64_t sent = 0;
    for (int64_t e = 0; e < b.events; ++e) {
        if (!sends[e] || (b.writes && !b.writes[e])) continue;
        if (sent < e) std::memcpy(b.pulses + sent * b.length, b.pulses + e * b.length, (size_t)b.length * sizeof(float));
        b.sent_event[sent++] = (int32_t)e;
    }
    return sent;
}

}  // namespace tilewright::TW_ISA
